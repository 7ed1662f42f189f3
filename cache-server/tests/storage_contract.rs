//! What every storage does, in files as well as in memory.

mod storage_support;

use cache_server::storage::{
    MemoryStorage, Next, PackStorage, Storage, StorageConfig, StorageError, StoredEntry,
};
use proto::coding::Decoder;
use sha2::{Digest as _, Sha256};
use std::thread;
use stencil::CacheKey;
use storage_support::*;

/// Runs a claim on packs, on packs with a memory tier, and in memory.
#[track_caller]
fn check(claim: fn(&dyn Storage)) {
    for hot_bytes_max in [0, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let config = StorageConfig { hot_bytes_max, ..config(dir.path()) };
        claim(&PackStorage::open(config).unwrap());
    }
    claim(&MemoryStorage::new(64 << 20));
}

#[test]
fn what_was_published_is_found_and_nothing_else() {
    check(|storage| {
        let published = publish(storage, 0..500);
        assert_eq!((published.stored, published.already_there), (500, 0));
        let bytes = entries(0..500).iter().map(|e| u64::from(e.coded.entry_bytes)).sum::<u64>();
        assert_eq!(published.stored_bytes, bytes);
        check_all(storage, 0..500);
        assert_eq!(found(storage, 400..600), 100);
        let keys: Vec<_> = [600, 3, 601, 4].map(key).to_vec();
        assert_eq!(storage.find_missing(&namespace("a"), &keys), [0, 2]);
        assert_eq!(storage.find_missing(&namespace("b"), &keys), [0, 1, 2, 3]);
        let stats = storage.stats();
        let stored = entries(0..500).iter().map(|e| e.coded.data.len() as u64).sum::<u64>();
        assert_eq!((stats.entries, stats.entry_bytes, stats.stored_bytes), (500, bytes, stored));
        assert_eq!(stats.namespaces, [(namespace("a"), 500, stored)]);
    });
}

#[test]
fn the_same_entry_is_there_already_however_it_is_compressed() {
    check(|storage| {
        publish(storage, 0..10);
        assert_eq!(publish(storage, 0..20).already_there, 10);
        let again = vec![raw(&entry(0)), raw(&entry(30)), entry(30)];
        let published = storage.publish(&namespace("a"), again, false).unwrap();
        assert_eq!((published.stored, published.already_there), (1, 2));
        assert_eq!(storage.stats().entries, 21);
    });
}

#[test]
fn other_bytes_under_a_key_are_a_conflict_and_the_first_stay() {
    check(|storage| {
        publish(storage, 0..10);
        let offered = vec![version(3, 1), entry(20), version(20, 1)];
        let published = storage.publish(&namespace("a"), offered, false).unwrap();
        assert_eq!(published.stored, 1);
        let sha256 = |entry: cache_server::storage::StoredEntry| -> [u8; 32] {
            Sha256::digest(Decoder::new().decode(&entry.coded).unwrap()).into()
        };
        let conflicts = published.conflicts;
        assert_eq!(conflicts.iter().map(|c| c.key).collect::<Vec<_>>(), [key(3), key(20)]);
        for (conflict, n) in conflicts.iter().zip([3, 20]) {
            assert_eq!(conflict.stored, sha256(entry(n)));
            assert_eq!(conflict.offered, sha256(version(n, 1)));
        }
        check_all(storage, 0..10);
        check_all(storage, 20..21);
    });
}

#[test]
fn replacing_puts_the_new_entry_in_the_place_of_the_old_one() {
    check(|storage| {
        publish(storage, 0..10);
        let before = storage.stats();
        let new = vec![version(3, 1), entry(4), version(30, 1), version(30, 2)];
        let published = storage.publish(&namespace("a"), new, true).unwrap();
        assert_eq!((published.stored, published.already_there), (3, 1));
        let (found, _) = lookup(storage, "a", &[key(3), key(4), key(30)]);
        assert_eq!(found[&0], version(3, 1).coded);
        assert_eq!(found[&1], entry(4).coded);
        assert_eq!(found[&2], version(30, 2).coded);
        let (stats, last) = (storage.stats(), version(30, 2).coded);
        assert_eq!(stats.entries, 11);
        assert_eq!(stats.entry_bytes, before.entry_bytes + u64::from(last.entry_bytes));
        assert_eq!(stats.stored_bytes, before.stored_bytes + last.data.len() as u64);
    });
}

#[test]
fn the_same_key_in_two_namespaces_is_two_entries() {
    check(|storage| {
        publish(storage, 0..10);
        let other = vec![version(3, 1)];
        let published = storage.publish(&namespace("b"), other, false).unwrap();
        assert_eq!((published.stored, published.conflicts.len()), (1, 0));
        assert_eq!(lookup(storage, "b", &[key(3), key(4)]).0[&0], version(3, 1).coded);
        assert_eq!(lookup(storage, "b", &[key(3), key(4)]).0.len(), 1);
        assert_eq!(lookup(storage, "c", &[key(3)]).0.len(), 0);
        check_all(storage, 0..10);
    });
}

#[test]
fn a_lookup_stops_when_nobody_listens() {
    check(|storage| {
        publish(storage, 0..10);
        let keys: Vec<_> = (0..10).map(key).collect();
        let mut calls = 0;
        storage.lookup(&namespace("a"), &keys, &mut |_, _| {
            calls += 1;
            if calls == 3 { Next::Stop } else { Next::More }
        });
        assert_eq!(calls, 3);
    });
}

#[test]
fn a_closed_storage_takes_nothing_and_says_so() {
    check(|storage| {
        publish(storage, 0..10);
        storage.close().unwrap();
        let refused = storage.publish(&namespace("a"), entries(10..11), false);
        assert!(matches!(refused, Err(StorageError::Closed)));
        check_all(storage, 0..10);
        storage.close().unwrap();
    });
}

#[test]
fn many_threads_that_publish_the_same_have_no_conflicts() {
    check(|storage| {
        let stored: u64 = thread::scope(|scope| {
            let publish = |n: u64| {
                move || {
                    let parts = (0..10).map(|part| {
                        let from = (part + n) % 10 * 50;
                        let published = publish(storage, from..from + 50);
                        assert_eq!(published.conflicts, []);
                        assert_eq!(published.stored + published.already_there, 50);
                        assert_eq!(found(storage, from..from + 50), 50);
                        published.stored
                    });
                    parts.sum::<u64>()
                }
            };
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(publish(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((stored, storage.stats().entries), (500, 500));
    });
}

#[test]
fn the_largest_entry_is_stored() {
    check(|storage| {
        let mut large = raw(&entry(1));
        large.coded.entry_bytes = proto::limits::ENTRY_BYTES_MAX as u32;
        large.coded.data = vec![7; proto::limits::ENTRY_BYTES_MAX].into();
        storage.publish(&namespace("a"), vec![large.clone()], false).unwrap();
        assert_eq!(lookup(storage, "a", &[key(1)]).0[&0], large.coded);
    });
}

/// Another key that the table of all keys does not tell apart from `key(n)`.
/// `namespaces` is how many namespaces later it is published.
fn crafted(n: u64, namespaces: u64) -> CacheKey {
    let offset = namespaces.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let prefix = u64::from_le_bytes(*key(n).as_bytes().first_chunk().unwrap());
    let mut bytes = [0xaa; 32];
    bytes[..8].copy_from_slice(&prefix.wrapping_sub(offset).to_le_bytes());
    CacheKey::from_bytes(bytes)
}

#[test]
fn a_key_that_was_made_to_take_the_place_of_another_is_refused() {
    for hot_bytes_max in [0, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let config = StorageConfig { hot_bytes_max, ..config(dir.path()) };
        let storage = PackStorage::open(config.clone()).unwrap();
        publish(&storage, 0..10);
        storage.publish(&namespace("b"), entries(100..103), false).unwrap();
        let before = storage.stats();
        for (name, key) in [("a", crafted(3, 0)), ("b", crafted(3, 1))] {
            for replace in [false, true] {
                let entry = StoredEntry { key, ..entry(50) };
                let published = storage.publish(&namespace(name), vec![entry], replace).unwrap();
                let told = (published.stored, published.already_there, published.refused);
                assert_eq!(told, (0, 0, 1), "{name}");
                assert!(published.conflicts.is_empty(), "{name}");
            }
            assert!(lookup(&storage, name, &[key]).0.is_empty(), "{name}");
            check_all(&storage, 0..10);
        }
        // Among those of one batch the first one counts.
        let both = vec![entry(20), StoredEntry { key: crafted(20, 0), ..entry(51) }, entry(20)];
        let published = storage.publish(&namespace("a"), both, true).unwrap();
        let told = (published.stored, published.already_there, published.refused);
        assert_eq!(told, (1, 1, 1));

        let other = storage.publish(&namespace("a"), vec![version(3, 1)], false).unwrap();
        assert_eq!((other.stored, other.conflicts.len(), other.refused), (0, 1, 0));
        let counts = |storage: &PackStorage| {
            let mut counts = storage.stats().namespaces;
            counts.sort_by_key(|(name, ..)| name.to_string());
            counts
        };
        let after = counts(&storage);
        assert_eq!(after.iter().map(|(_, entries, _)| *entries).collect::<Vec<_>>(), [11, 3]);
        let more = entry(20).coded.data.len() as u64;
        assert_eq!(storage.stats().stored_bytes, before.stored_bytes + more);
        drop(storage);
        let storage = PackStorage::open(config).unwrap();
        assert_eq!(counts(&storage), after);
        check_all(&storage, 0..10);
    }
}
