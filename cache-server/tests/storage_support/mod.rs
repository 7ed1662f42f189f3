//! A number -> an entry of a realistic size, and a storage to put it in.

#![expect(dead_code, reason = "every test file uses a part of it")]

use bytes::Bytes;
use cache_server::storage::{
    LookupCounts, Next, PackStorage, Published, Storage, StorageConfig, StorageError, StoredEntry,
};
use proto::coding::{Decoder, Encoder};
use proto::v1::Coding;
use proto::{Coded, Namespace};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeMap;
use std::path::Path;
use stencil::{CacheKey, Fingerprint};

pub fn namespace(name: &str) -> Namespace {
    Namespace::new(name, Fingerprint::from_bytes([1; 32])).unwrap()
}

pub fn key(n: u64) -> CacheKey {
    let mut bytes = [0; 32];
    StdRng::seed_from_u64(n).fill(&mut bytes);
    CacheKey::from_bytes(bytes)
}

/// Of 100 bytes to 10 KB coded, 1.7 KB on average; a little of it compresses.
pub fn entry(n: u64) -> StoredEntry {
    version(n, 0)
}

/// Another entry under the same key.
pub fn version(n: u64, version: u8) -> StoredEntry {
    let mut random = StdRng::seed_from_u64(n);
    let len = if n.is_multiple_of(8) {
        random.random_range(2000..10_000)
    } else {
        random.random_range(100..2000)
    };
    let mut data = vec![0; len];
    random.fill(data.as_mut_slice());
    data[0] = version;
    data.extend_from_slice(&[0; 100]);
    let coded = Encoder::new().encode(&Bytes::from(data)).unwrap();
    StoredEntry { key: key(n), coded }
}

pub fn entries(numbers: impl IntoIterator<Item = u64>) -> Vec<StoredEntry> {
    numbers.into_iter().map(entry).collect()
}

/// Stored in another way, the same when decoded.
pub fn raw(entry: &StoredEntry) -> StoredEntry {
    let data = Decoder::new().decode(&entry.coded).unwrap();
    let coded = Coded { coding: Coding::Raw, entry_bytes: data.len() as u32, data };
    StoredEntry { key: entry.key, coded }
}

/// A small storage without a memory tier, so that packs are read.
pub fn config(dir: &Path) -> StorageConfig {
    StorageConfig { size_max: 64 << 20, hot_bytes_max: 0, ..StorageConfig::new(dir) }
}

#[track_caller]
pub fn open(dir: &Path) -> PackStorage {
    PackStorage::open(config(dir)).unwrap()
}

#[track_caller]
pub fn publish(storage: &dyn Storage, numbers: impl IntoIterator<Item = u64>) -> Published {
    storage.publish(&namespace("a"), entries(numbers), false).unwrap()
}

/// Publishes a hundred at a time until it is refused; those acknowledged.
pub fn publish_until_full(
    storage: &dyn Storage,
    from: u64,
    max: u64,
) -> (u64, Option<StorageError>) {
    let mut next = from;
    while next < max {
        match storage.publish(&namespace("a"), entries(next..next + 100), false) {
            Ok(_) => next += 100,
            Err(error) => return (next, Some(error)),
        }
    }
    (next, None)
}

/// What a lookup finds, by the index of its key.
pub fn lookup(
    storage: &dyn Storage,
    name: &str,
    keys: &[CacheKey],
) -> (BTreeMap<u32, Coded>, LookupCounts) {
    let mut found = BTreeMap::new();
    let counts = storage.lookup(&namespace(name), keys, &mut |index, coded| {
        assert!(found.insert(index, coded).is_none(), "an entry was given twice");
        Next::More
    });
    assert_eq!((counts.keys, counts.hits), (keys.len() as u64, found.len() as u64));
    (found, counts)
}

/// Looks up numbers and checks the bytes of what is found; how many that are.
#[track_caller]
pub fn found(storage: &dyn Storage, numbers: std::ops::Range<u64>) -> u64 {
    let numbers: Vec<u64> = numbers.collect();
    let mut hits = 0;
    for numbers in numbers.chunks(5000) {
        let keys: Vec<CacheKey> = numbers.iter().map(|n| key(*n)).collect();
        let (found, _) = lookup(storage, "a", &keys);
        for (index, coded) in &found {
            assert_eq!(*coded, entry(numbers[*index as usize]).coded);
        }
        hits += found.len() as u64;
    }
    hits
}

#[track_caller]
pub fn check_all(storage: &dyn Storage, numbers: std::ops::Range<u64>) {
    let all = numbers.end - numbers.start;
    assert_eq!(found(storage, numbers), all);
}

/// What a directory takes on the disk, in bytes, as `du` counts.
pub fn disk_usage(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(dir).unwrap().flatten();
    let bytes = files.map(|file| {
        let metadata = file.metadata().unwrap();
        if metadata.is_dir() { disk_usage(&file.path()) } else { metadata.blocks() * 512 }
    });
    bytes.sum()
}

/// The pack files, in order.
pub fn packs(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir.join("packs")).unwrap();
    let mut packs: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    packs.sort();
    packs
}
