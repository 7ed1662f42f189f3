//! A cache that a compile has filled -> the same with a sound entry that holds
//! other code.

use crate::sandbox::Sandbox;
use cache_client::{DiskConfig, DiskStore};
use std::collections::BTreeSet;
use std::fs;
use stencil::{CacheKey, CacheStore as _, EntryBytes, Lookup, NewEntry};

/// The entries of a cache by key, found in its file by their seals; pages that
/// are free again may show one twice.
pub fn entries(sandbox: &Sandbox) -> Vec<(CacheKey, EntryBytes)> {
    let disk = DiskStore::open(DiskConfig::new(sandbox.cache()));
    let file = fs::read(disk.stats().file.unwrap()).unwrap();
    let starts = file.windows(4).enumerate().filter(|(_, window)| window == b"STCL");
    let keys = starts.filter_map(|(at, _)| {
        let key: [u8; 32] = file.get(at + 24..at + 56)?.try_into().ok()?;
        Some(CacheKey::from_bytes(key))
    });
    let keys: BTreeSet<CacheKey> = keys.collect();
    let found = keys.into_iter().filter_map(|key| match disk.get_one(&key) {
        Lookup::Hit(bytes, _) => Some((key, bytes)),
        Lookup::Miss(_) => None,
    });
    found.collect()
}

/// An entry with another function's code, and what it stands in for.
pub struct Planted {
    pub wrong: NewEntry,
    pub right: EntryBytes,
}

/// Makes a wrong entry for one of a cache's keys.
pub fn forge(sandbox: &Sandbox) -> Planted {
    let entries = entries(sandbox);
    let code_len = |key, bytes| stencil::entry::open(key, bytes).unwrap().code().len();
    let victim = entries.iter().find(|(key, bytes)| code_len(key, bytes) > 16);
    let (key, right) = victim.unwrap();
    let others = entries.iter().map(|(key, bytes)| (key, bytes));
    let bytes = oracle::forged::other_code(key, right, others);
    Planted { wrong: NewEntry { key: *key, bytes }, right: right.clone() }
}

/// Makes one, and puts it in place of the right one.
pub fn plant(sandbox: &Sandbox) -> Planted {
    let planted = forge(sandbox);
    let disk = DiskStore::open(DiskConfig::new(sandbox.cache()));
    assert_eq!(disk.replace(std::slice::from_ref(&planted.wrong)).stored, 1);
    assert_eq!(found(sandbox, &planted.wrong.key), planted.wrong.bytes);
    planted
}

/// What a new process finds under a key.
pub fn found(sandbox: &Sandbox, key: &CacheKey) -> EntryBytes {
    match DiskStore::open(DiskConfig::new(sandbox.cache())).get_one(key) {
        Lookup::Hit(bytes, _) => bytes,
        Lookup::Miss(reason) => panic!("{key} is not there: {reason}"),
    }
}
