//! Limits on the disk, on memory and on the number of entries -> they hold,
//! and the least recently used goes.

mod storage_support;

use cache_server::storage::{MemoryStorage, PackStorage, Storage, StorageConfig, StorageError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use storage_support::*;

#[test]
fn what_is_used_stays_and_the_cap_holds() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { size_max: 32 << 20, ..config(dir.path()) };
    let storage = PackStorage::open(config.clone()).unwrap();
    let mut next = 0;
    while storage.stats().evicted == 0 {
        publish(&storage, next..next + 500);
        // The first ones are asked for again and again.
        check_all(&storage, 0..500);
        next += 500;
        let used = disk_usage(dir.path());
        assert!(used <= config.size_max, "{used}");
    }
    for _ in 0..40 {
        publish(&storage, next..next + 500);
        check_all(&storage, 0..500);
        next += 500;
    }
    let (kept, gone) = (found(&storage, next - 2000..next), found(&storage, 2000..4000));
    assert_eq!((kept, gone), (2000, 0));
    drop(storage);
    // Who was used last survives a restart.
    let storage = PackStorage::open(config).unwrap();
    publish(&storage, next..next + 8000);
    assert!(storage.stats().evicted > 0);
    check_all(&storage, 0..500);
}

#[test]
fn after_three_times_the_cap_a_stored_byte_takes_at_most_1_3_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { size_max: 96 << 20, ..config(dir.path()) };
    let storage = PackStorage::open(config.clone()).unwrap();
    let (mut next, mut published) = (0, 0);
    let mut most = 0;
    while published < 3 * config.size_max {
        let batch = entries(next..next + 300);
        next += 300;
        published += batch.iter().map(|entry| entry.coded.data.len() as u64).sum::<u64>();
        storage.publish(&namespace("a"), batch, false).unwrap();
        most = most.max(disk_usage(dir.path()));
    }
    println!("{next} entries of {} bytes on average", published / next);
    assert!(most <= config.size_max, "{most} bytes were used");
    let check = |storage: &PackStorage, when: &str| {
        let (stats, used) = (storage.stats(), disk_usage(dir.path()));
        let ratio = used as f64 / stats.stored_bytes as f64;
        println!(
            "{when}: {} stored, {used} on the disk, {ratio:.3}; the index {}",
            stats.stored_bytes,
            disk_usage(&dir.path().join("index"))
        );
        assert!(ratio <= 1.3, "{ratio}");
        let counted = stats.disk_bytes as f64 / used as f64;
        assert!((0.98..1.02).contains(&counted), "{} counted, {used} used", stats.disk_bytes);
        assert!(stats.stored_bytes > config.size_max / 2);
    };
    check(&storage, "after publishing");
    drop(storage);
    let storage = PackStorage::open(config.clone()).unwrap();
    check(&storage, "after a restart");
    assert_eq!(found(&storage, next - 1000..next), 1000);
}

#[test]
fn a_lowered_cap_is_kept_with_the_next_publish() {
    let dir = tempfile::tempdir().unwrap();
    publish(&open(dir.path()), 0..20_000);
    let config = StorageConfig { size_max: 16 << 20, ..config(dir.path()) };
    let storage = PackStorage::open(config.clone()).unwrap();
    publish(&storage, 20_000..20_001);
    assert!(storage.stats().disk_bytes <= config.size_max);
    assert!(disk_usage(dir.path()) <= config.size_max);
    assert_eq!(found(&storage, 20_000..20_001), 1);
}

#[test]
fn the_number_of_entries_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { entries_max: 5000, ..config(dir.path()) };
    let storage = PackStorage::open(config).unwrap();
    for part in 0..30 {
        publish(&storage, part * 500..(part + 1) * 500);
        assert!(storage.stats().entries <= 5000);
        check_all(&storage, part * 500..(part + 1) * 500);
    }
    assert!(storage.stats().table_bytes <= 48 * 5000 * 2);
}

#[test]
fn a_replaced_entry_does_not_come_back_when_the_new_one_is_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { size_max: 16 << 20, ..config(dir.path()) };
    let storage = PackStorage::open(config.clone()).unwrap();
    publish(&storage, 0..2000);
    storage.publish(&namespace("a"), vec![version(0, 1)], true).unwrap();
    let with_the_new_one = packs(dir.path()).pop().unwrap();
    for part in 10..60 {
        // The pack of the old one is used, that of the new one is not.
        check_all(&storage, 1..400);
        publish(&storage, part * 500..(part + 1) * 500);
    }
    assert!(!with_the_new_one.exists());
    check_all(&storage, 1..400);
    drop(storage);
    let storage = PackStorage::open(config.clone()).unwrap();
    assert_eq!(lookup(&storage, "a", &[key(0)]).0.len(), 0);
    drop(storage);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let storage = PackStorage::open(config).unwrap();
    assert_eq!(lookup(&storage, "a", &[key(0)]).0.len(), 0);
    check_all(&storage, 1..400);
}

#[test]
fn readers_get_sound_entries_while_packs_are_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { size_max: 16 << 20, hot_bytes_max: 1 << 20, ..config(dir.path()) };
    let storage = &PackStorage::open(config).unwrap();
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..2 {
            scope.spawn(move || {
                let mut hits = 0;
                while !done.load(Ordering::Relaxed) {
                    hits += found(storage, reader * 300..reader * 300 + 5000);
                }
                assert!(hits > 0);
            });
        }
        let writers = [0, 1].map(|writer| {
            scope.spawn(move || {
                for part in 0..40 {
                    let from = writer * 10_000 + part * 200;
                    assert!(publish(storage, from..from + 200).conflicts.is_empty());
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    let stats = storage.stats();
    assert!(stats.evicted > 0);
    assert_eq!((stats.quarantined, stats.reopened), (0, 0));
    assert!(disk_usage(dir.path()) <= 16 << 20);
}

#[test]
fn what_can_never_fit_is_refused_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { size_max: 16 << 20, ..config(dir.path()) };
    let storages: [Box<dyn Storage>; 2] =
        [Box::new(PackStorage::open(config).unwrap()), Box::new(MemoryStorage::new(16 << 20))];
    for storage in storages {
        publish(&*storage, 0..100);
        let refused = storage.publish(&namespace("a"), entries(1000..15_000), false);
        assert!(matches!(refused, Err(StorageError::Full { .. })), "{refused:?}");
        assert_eq!(storage.stats().evicted, 0);
        publish(&*storage, 100..200);
        check_all(&*storage, 0..200);
    }
}

#[test]
fn more_entries_than_there_may_ever_be_are_refused_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { entries_max: 500, ..config(dir.path()) };
    let storage = PackStorage::open(config).unwrap();
    publish(&storage, 0..100);
    let refused = storage.publish(&namespace("a"), entries(1000..1501), false);
    assert!(matches!(refused, Err(StorageError::Full { .. })), "{refused:?}");
    assert_eq!(storage.stats().evicted, 0);
    check_all(&storage, 0..100);
}

#[test]
fn the_memory_tier_keeps_its_limit_and_answers() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { hot_bytes_max: 1 << 20, ..config(dir.path()) };
    let storage = PackStorage::open(config.clone()).unwrap();
    publish(&storage, 0..5000);
    let stats = storage.stats();
    assert!(stats.hot_bytes <= 1 << 20 && stats.hot_bytes > 1 << 19, "{}", stats.hot_bytes);
    let hot = |numbers: std::ops::Range<u64>| {
        let keys: Vec<_> = numbers.map(key).collect();
        lookup(&storage, "a", &keys).1.hot_hits
    };
    assert_eq!((hot(4900..5000), hot(0..100), hot(0..100)), (100, 0, 100));
    check_all(&storage, 0..5000);
    assert!(storage.stats().hot_bytes <= 1 << 20);
}

#[test]
fn memory_forgets_the_least_recently_used() {
    let storage = MemoryStorage::new(1 << 20);
    for part in 0..30 {
        publish(&storage, part * 100..(part + 1) * 100);
        check_all(&storage, 0..50);
    }
    assert!(storage.stats().stored_bytes <= 1 << 20);
    assert!(storage.stats().evicted > 0);
}
