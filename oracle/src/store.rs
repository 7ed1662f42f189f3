//! A cache in memory that keeps the first entry of each key, and notices when a
//! second one is different.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use stencil::{
    CacheKey, CacheStore, EntryBytes, Lookup, MissReason, NewEntry, PublishSummary, Tier, entry,
};

/// All entries, open to tests that damage them.
pub type Entries = HashMap<CacheKey, EntryBytes>;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: Mutex<Entries>,
    served: AtomicU64,
    conflicts: AtomicU64,
}

impl MemoryStore {
    /// The entries.
    pub fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("no test panics while it holds the entries")
    }

    /// Another store with the same entries.
    pub fn fork(&self) -> Self {
        Self { entries: Mutex::new(self.entries().clone()), ..Self::default() }
    }

    /// How many lookups found an entry so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Fails if two compiles ever had different code for one key.
    pub fn assert_no_conflicts(&self) {
        assert_eq!(self.conflicts.load(Ordering::Relaxed), 0, "one key, different entries");
    }
}

impl CacheStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let key = CacheKey::from_bytes(key.try_into().ok()?);
        self.entries().get(&key).map(|bytes| Cow::Owned(bytes.to_vec()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let Ok(key) = key.try_into() else {
            return false;
        };
        let entry = NewEntry { key: CacheKey::from_bytes(key), bytes: value.into() };
        self.publish(&[entry]).conflicts == 0
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let entries = self.entries();
        let answer = |key| match entries.get(key) {
            Some(bytes) => {
                self.served.fetch_add(1, Ordering::Relaxed);
                Lookup::Hit(bytes.clone(), Tier::Memory)
            }
            None => Lookup::Miss(MissReason::Absent),
        };
        keys.iter().map(answer).collect()
    }

    fn replace(&self, new: &[NewEntry]) -> PublishSummary {
        self.entries().retain(|key, _| new.iter().all(|new| new.key != *key));
        self.publish(new)
    }

    fn publish(&self, new: &[NewEntry]) -> PublishSummary {
        let mut summary = PublishSummary::default();
        let mut entries = self.entries();
        for NewEntry { key, bytes } in new {
            match entries.get(key) {
                Some(old) if old == bytes => summary.already_there += 1,
                Some(old) if entry::verify(key, old).is_ok() => summary.conflicts += 1,
                _ => {
                    entries.insert(*key, bytes.clone());
                    summary.stored += 1;
                    summary.stored_bytes += bytes.len() as u64;
                }
            }
        }
        self.conflicts.fetch_add(summary.conflicts, Ordering::Relaxed);
        summary
    }
}
