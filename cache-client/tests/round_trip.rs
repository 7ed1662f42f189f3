//! Entries -> the tiers -> the same entries, from other stores on the same
//! directory.

mod common;

use cache_client::{DiskConfig, DiskStore, MemoryStore, TieredStore};
use common::{Answers, disk, entries, look_up};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stencil::{
    CacheKey, CacheStore, Lookup, MissReason, NewEntry, PublishSummary, StencilBuilder, Tier, entry,
};
use tempfile::TempDir;

const SIZE_MAX: u64 = 64 << 20;

fn all_hits(hits: usize) -> Answers {
    Answers { hits, ..Answers::default() }
}

fn missed(reason: MissReason, count: usize) -> Answers {
    Answers { hits: 0, misses: BTreeMap::from([(reason, count)]) }
}

/// A sound entry of the same key with other code.
fn other_code(twin: &NewEntry) -> NewEntry {
    let bytes = entry::seal(&twin.key, &StencilBuilder::new(vec![7; 99], 1, 0, 0)).unwrap();
    NewEntry { key: twin.key, bytes }
}

#[test]
fn what_one_store_publishes_another_finds() {
    let dir = TempDir::new().unwrap();
    let new = entries(0..3000, 900);
    let first = disk(dir.path(), SIZE_MAX);
    let published = first.publish(&new);
    assert_eq!(published.stored, 3000);
    assert_eq!(published.stored_bytes, new.iter().map(|e| e.bytes.len() as u64).sum::<u64>());
    assert_eq!(published, PublishSummary { stored: 3000, ..published.clone() }, "nothing else");
    assert_eq!(look_up(&first, &new), all_hits(3000));

    let second = disk(dir.path(), SIZE_MAX);
    assert_eq!(look_up(&second, &new), all_hits(3000));
    let stats = second.stats();
    assert_eq!((stats.entries, stats.failure), (3000, None));
    assert_eq!(stats.entry_bytes, published.stored_bytes);
    assert_eq!(second.publish(&new).already_there, 3000);
    assert_eq!(first.problems().len() + second.problems().len(), 0);
}

#[test]
fn answers_come_in_the_order_of_the_keys() {
    let dir = TempDir::new().unwrap();
    let store = disk(dir.path(), SIZE_MAX);
    let known = entries(0..600, 300);
    assert_eq!(store.publish(&known).stored, 600);
    let unknown = entries(600..1200, 300);
    // Backwards, every known key twice, and every other key one that is absent.
    let pairs = known.iter().rev().zip(&unknown);
    let asked: Vec<(&NewEntry, bool)> =
        pairs.flat_map(|(k, u)| [(k, true), (u, false), (k, true)]).collect();
    let keys: Vec<CacheKey> = asked.iter().map(|(entry, _)| entry.key).collect();
    let lookups = disk(dir.path(), SIZE_MAX).lookup(&keys);
    assert_eq!(lookups.len(), asked.len());
    for ((entry, known), lookup) in asked.into_iter().zip(lookups) {
        let expected = match known {
            true => Lookup::Hit(entry.bytes.clone(), Tier::Disk),
            false => Lookup::Miss(MissReason::Absent),
        };
        assert_eq!(lookup, expected);
    }
    assert_eq!(store.lookup(&[]), []);
}

#[test]
fn entries_of_all_sizes_survive() {
    let dir = TempDir::new().unwrap();
    let mut new = Vec::new();
    for (at, len) in [0, 1, 15_000, 16_384, 98_304, 1 << 20, 5 << 20, 3].into_iter().enumerate() {
        let n = at as u64;
        new.extend(entries(n..n + 1, len));
    }
    assert_eq!(disk(dir.path(), SIZE_MAX).publish(&new).stored, 8);
    assert_eq!(look_up(&disk(dir.path(), SIZE_MAX), &new), all_hits(8));
    // One at a time, too: then each is read for itself.
    let store = disk(dir.path(), SIZE_MAX);
    for one in new.chunks(1) {
        assert_eq!(look_up(&store, one), all_hits(1));
    }
}

#[test]
fn an_entry_listed_twice_is_stored_once() {
    let dir = TempDir::new().unwrap();
    let store = disk(dir.path(), SIZE_MAX);
    let new = entries(0..2, 100);
    let (one, two) = (&new[0], &new[1]);
    let twice = [one.clone(), two.clone(), one.clone(), other_code(two)];
    let published = store.publish(&twice);
    assert_eq!((published.stored, published.already_there, published.conflicts), (2, 1, 1));
    assert_eq!(look_up(&store, &new), all_hits(2));
    assert_eq!(store.stats().entries, 2);
}

#[test]
fn a_conflict_is_counted_and_what_is_stored_stays() {
    let dir = TempDir::new().unwrap();
    let store = disk(dir.path(), SIZE_MAX);
    let new = entries(0..3, 100);
    assert_eq!(store.publish(&new).stored, 3);
    let published = store.publish(&[other_code(&new[1]), new[2].clone()]);
    let expected = PublishSummary { conflicts: 1, already_there: 1, ..PublishSummary::default() };
    assert_eq!(published, expected);
    assert_eq!(look_up(&disk(dir.path(), SIZE_MAX), &new), all_hits(3));
}

#[test]
fn wrong_entries_are_replaced_in_every_tier_and_nothing_else_is() {
    let dir = TempDir::new().unwrap();
    let new = entries(0..900, 300);
    let wrong: Vec<NewEntry> = new.iter().step_by(7).map(other_code).collect();
    let right: Vec<NewEntry> = new.iter().step_by(7).cloned().collect();
    let mut first = new.clone();
    for (at, wrong) in wrong.iter().enumerate() {
        first[at * 7] = wrong.clone();
    }
    let tiers: [Arc<dyn CacheStore>; 2] =
        [Arc::new(MemoryStore::new(SIZE_MAX)), Arc::new(disk(dir.path(), SIZE_MAX))];
    let store = TieredStore::new(tiers.to_vec());
    assert_eq!(store.publish(&first).stored, 900);
    let other = disk(dir.path(), SIZE_MAX);
    assert_eq!(look_up(&other, &first), all_hits(900));
    assert_eq!(store.publish(&right).conflicts, wrong.len() as u64, "publishing does not do it");
    assert_eq!(look_up(&other, &first), all_hits(900));

    let replaced = store.replace(&right);
    assert_eq!((replaced.stored, replaced.conflicts), (right.len() as u64, 0));
    for tier in &tiers {
        assert_eq!(look_up(&**tier, &new), all_hits(900));
    }
    assert_eq!(look_up(&other, &new), all_hits(900), "a process that has the file open");
    assert_eq!(other.problems(), [""; 0]);
    let again = store.replace(&right);
    assert_eq!((again.stored, again.already_there), (0, right.len() as u64));
    assert_eq!(other.stats().entries, 900);
}

#[test]
fn what_is_not_a_sealed_entry_of_its_key_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = disk(dir.path(), SIZE_MAX);
    let new = entries(0..3, 100);
    let unsealed = NewEntry { key: new[0].key, bytes: vec![1; 500].into() };
    let mut flipped = new[1].bytes.to_vec();
    flipped[80] ^= 1;
    let flipped = NewEntry { key: new[1].key, bytes: flipped.into() };
    let mut foreign = new[1].bytes.to_vec();
    foreign[4] ^= 0x80;
    let foreign = NewEntry { key: new[1].key, bytes: foreign.into() };
    let misplaced = NewEntry { key: new[2].key, bytes: new[1].bytes.clone() };
    let published = store.publish(&[unsealed, flipped, foreign, misplaced, new[0].clone()]);
    let refused = BTreeMap::from([
        (MissReason::Checksum, 2),
        (MissReason::Version, 1),
        (MissReason::WrongKey, 1),
    ]);
    assert_eq!((published.stored, published.refused), (1, refused));
    assert_eq!(look_up(&store, &new[1..]), missed(MissReason::Absent, 2));
}

#[test]
fn an_entry_that_would_drive_out_the_others_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = disk(dir.path(), 4 << 20);
    let large = entries(0..1, 600 << 10);
    let refused = PublishSummary::refused(MissReason::TooLarge, 1);
    assert_eq!(store.publish(&large), refused);
}

#[test]
fn get_and_insert_are_a_plain_store() {
    let dir = TempDir::new().unwrap();
    let stores: [Box<dyn CacheStore>; 2] =
        [Box::new(disk(dir.path(), SIZE_MAX)), Box::new(MemoryStore::new(1 << 20))];
    let new = entries(0..2, 100);
    for store in &stores {
        let key = new[0].key.as_bytes();
        assert_eq!(store.get(key), None);
        assert!(store.insert(key, new[0].bytes.to_vec()));
        assert!(store.insert(key, new[0].bytes.to_vec()), "there already");
        assert!(!store.insert(key, other_code(&new[0]).bytes.to_vec()), "conflict");
        assert_eq!(store.get(key).as_deref(), Some(&new[0].bytes[..]));
        assert_eq!(store.get(new[1].key.as_bytes()), None);
        // Keys of other lengths are never there and never kept.
        assert!(!store.insert(&key[1..], new[0].bytes.to_vec()));
        assert_eq!(store.get(&key[1..]), None);
        assert_eq!(store.round_trips(), 0);
    }
    assert!(!stores[0].insert(new[1].key.as_bytes(), vec![0; 9]), "unsealed");
}

#[test]
fn a_store_makes_no_files_before_it_is_used() {
    let dir = TempDir::new().unwrap();
    let inner = dir.path().join("cache");
    let store = DiskStore::open(DiskConfig::new(&inner));
    let stats = store.stats();
    assert_eq!((stats.file, stats.entries, stats.failure), (None, 0, None));
    assert_eq!(store.prune(None), cache_client::PruneSummary::default());
    assert!(!inner.exists());
    assert_eq!(look_up(&store, &entries(0..1, 1)), missed(MissReason::Absent, 1));
    assert!(inner.exists());
    assert_eq!(store.problems(), [""; 0]);
}

#[test]
fn threads_share_a_store() {
    let dir = TempDir::new().unwrap();
    let store = disk(dir.path(), SIZE_MAX);
    std::thread::scope(|scope| {
        for n in 0..6 {
            let store = &store;
            scope.spawn(move || {
                // Half of each thread's entries are its neighbour's, too.
                let new = entries(n * 100..n * 100 + 200, 500);
                assert_eq!(store.publish(&new).refused, BTreeMap::new());
                assert_eq!(look_up(store, &new), all_hits(200));
            });
        }
    });
    assert_eq!(look_up(&disk(dir.path(), SIZE_MAX), &entries(0..700, 500)), all_hits(700));
    assert_eq!(store.stats().entries, 700);
    assert_eq!(store.problems(), [""; 0]);
}

#[test]
fn the_memory_tier_keeps_to_its_budget_and_drops_the_least_recently_used() {
    let new = entries(0..12, 1000);
    let store = MemoryStore::new(10 * (new[0].bytes.len() as u64 + 128));
    assert_eq!(store.publish(&new[..10]).stored, 10);
    let (count, full) = store.size();
    assert_eq!(count, 10);
    // Reading the oldest two makes the next two the oldest.
    assert_eq!(look_up(&store, &new[..2]), all_hits(2));
    assert_eq!(store.publish(&new[10..]).stored, 2);
    assert_eq!(store.size(), (10, full));
    assert_eq!(look_up(&store, &new[..2]), all_hits(2));
    assert_eq!(look_up(&store, &new[2..4]), missed(MissReason::Absent, 2));
    assert_eq!(look_up(&store, &new[4..]), all_hits(8));

    let large = entries(20..21, 20_000);
    assert_eq!(store.publish(&large), PublishSummary::refused(MissReason::TooLarge, 1));
    assert_eq!(store.size(), (10, full), "nothing was dropped for it");
    let conflict = store.publish(&[other_code(&new[0])]);
    assert_eq!(conflict, PublishSummary { conflicts: 1, ..PublishSummary::default() });
    assert_eq!(look_up(&store, &new[..1]), all_hits(1));
}

/// A damaged entry in memory once stayed for the life of the process: the sound one that a compile
/// then published was refused as a conflict, and every compile missed it again.
#[test]
fn a_damaged_entry_in_memory_is_replaced_by_a_sound_one() {
    let new = entries(0..3, 100);
    let mut bytes = new[1].bytes.to_vec();
    bytes[70] ^= 1;
    let store = MemoryStore::new(1 << 20);
    store.publish(&new);
    let sound = store.size();
    let store = MemoryStore::new(1 << 20);
    store.publish(&[NewEntry { key: new[1].key, bytes: bytes.into() }]);
    let published = store.publish(&new);
    assert_eq!((published.stored, published.conflicts), (3, 0), "{published:?}");
    assert_eq!(look_up(&store, &new), all_hits(3));
    assert_eq!(store.size(), sound, "the damaged one is not counted any more");
    assert_eq!(store.publish(&[other_code(&new[1])]).conflicts, 1, "a sound one stays");
}

/// Misses everything for one reason, and counts how often it is asked.
struct Failing {
    reason: MissReason,
    asked: AtomicU64,
}

impl CacheStore for Failing {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }
    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }
    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        self.asked.fetch_add(keys.len() as u64, Ordering::Relaxed);
        vec![Lookup::Miss(self.reason); keys.len()]
    }
    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        PublishSummary::refused(self.reason, entries.len() as u64)
    }
    fn round_trips(&self) -> u64 {
        1
    }
}

fn failing(reason: MissReason) -> Arc<Failing> {
    Arc::new(Failing { reason, asked: AtomicU64::new(0) })
}

fn tiers_of(lookups: &[Lookup]) -> Vec<Option<Tier>> {
    let tier = |lookup: &Lookup| match lookup {
        Lookup::Hit(_, tier) => Some(*tier),
        Lookup::Miss(_) => None,
    };
    lookups.iter().map(tier).collect()
}

#[test]
fn the_first_tier_that_has_an_entry_answers_and_those_above_are_filled() {
    let dir = TempDir::new().unwrap();
    let new = entries(0..6, 500);
    let keys: Vec<CacheKey> = new.iter().map(|entry| entry.key).collect();
    let memory = Arc::new(MemoryStore::new(1 << 20));
    let on_disk = Arc::new(disk(dir.path(), SIZE_MAX));
    let last = failing(MissReason::Absent);
    assert_eq!(memory.publish(&new[..2]).stored, 2);
    assert_eq!(on_disk.publish(&new[..4]).stored, 4);
    let store = TieredStore::new(vec![memory.clone(), on_disk.clone(), last.clone()]);

    let expected = [Tier::Memory, Tier::Memory, Tier::Disk, Tier::Disk].map(Some);
    assert_eq!(tiers_of(&store.lookup(&keys))[..4], expected);
    assert_eq!(look_up(&store, &new[..4]), all_hits(4));
    assert_eq!(last.asked.load(Ordering::Relaxed), 2, "only what the others miss");
    store.settle();
    assert_eq!(tiers_of(&store.lookup(&keys[..4])), [Some(Tier::Memory); 4]);
    assert_eq!((memory.size().0, store.fills().stored), (4, 2));

    // Publish reaches every tier; the lower ones say whether it is kept.
    let published = store.publish(&new[4..]);
    assert_eq!((published.stored, published.conflicts), (2, 0));
    assert_eq!(published.refused, BTreeMap::from([(MissReason::Absent, 2)]));
    assert_eq!(memory.size().0, 6);
    assert_eq!(look_up(&*on_disk, &new), all_hits(6));
    assert_eq!(store.round_trips(), 1);

    let fresh = Arc::new(MemoryStore::new(1 << 20));
    let store = TieredStore::new(vec![fresh.clone(), on_disk]);
    assert_eq!(store.get(keys[0].as_bytes()).as_deref(), Some(&new[0].bytes[..]));
    assert_eq!(fresh.size().0, 1, "get fills, too");
}

#[test]
fn the_more_telling_reason_is_reported() {
    let one = entries(0..1, 10);
    let (absent, busy) = (MissReason::Absent, MissReason::Busy);
    let corrupt = MissReason::Corrupt;
    for (above, below, expected) in [
        (absent, absent, absent),
        (absent, busy, busy),
        (busy, absent, busy),
        (busy, corrupt, corrupt),
    ] {
        let store = TieredStore::new(vec![failing(above), failing(below)]);
        assert_eq!(look_up(&store, &one), missed(expected, 1));
    }
    let none = TieredStore::new(Vec::new());
    assert_eq!(look_up(&none, &one), missed(absent, 1));
    assert_eq!(none.publish(&one), PublishSummary::default());
}
