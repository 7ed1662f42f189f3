//! Entries -> this process's memory: the tier that answers first.
//!
//! Invariant: the entries kept never add up to more than the budget; the least
//! recently used go first.
//!
//! Entries are kept as they were given, without a copy. One that is a slice of
//! a larger buffer (the disk tier hands out slices of what it read) keeps the
//! whole buffer alive: at most about twice what was asked for together, but up
//! to a whole chunk for an entry that outlives its neighbours.

use crate::single;
use lru::LruCache;
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use stencil::{
    CacheKey, CacheStore, EntryBytes, Lookup, MissReason, NewEntry, PublishSummary, Tier, entry,
};

/// What keeping one entry costs besides its bytes: key, list and map nodes.
const OVERHEAD_BYTES: u64 = 128;

/// A store in this process's memory, bounded in bytes.
pub struct MemoryStore {
    kept: Mutex<Kept>,
    bytes_max: u64,
}

struct Kept {
    entries: LruCache<CacheKey, EntryBytes>,
    bytes: u64,
}

fn cost(bytes: &EntryBytes) -> u64 {
    bytes.len() as u64 + OVERHEAD_BYTES
}

impl MemoryStore {
    /// An empty store that keeps at most `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        let kept = Kept { entries: LruCache::unbounded(), bytes: 0 };
        Self { kept: Mutex::new(kept), bytes_max }
    }

    /// How many entries are kept, and how many bytes they take.
    pub fn size(&self) -> (u64, u64) {
        let kept = self.kept();
        (kept.entries.len() as u64, kept.bytes)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves whole entries behind, at worst a wrong sum.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn publish(&mut self, new: &NewEntry, bytes_max: u64, summary: &mut PublishSummary) {
        match self.entries.get(&new.key) {
            Some(there) if *there == new.bytes => return summary.already_there += 1,
            Some(there) if entry::verify(&new.key, there).is_ok() => {
                return summary.conflicts += 1;
            }
            // One that is damaged makes room for a sound one.
            _ => {}
        }
        if cost(&new.bytes) > bytes_max {
            summary.refuse(MissReason::TooLarge, 1);
            return;
        }
        self.bytes += cost(&new.bytes);
        if let Some(before) = self.entries.put(new.key, new.bytes.clone()) {
            self.bytes -= cost(&before);
        }
        summary.stored += 1;
        summary.stored_bytes += new.bytes.len() as u64;
        while self.bytes > bytes_max {
            let Some((_, evicted)) = self.entries.pop_lru() else {
                break;
            };
            self.bytes -= cost(&evicted);
        }
    }
}

impl CacheStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        single::get(self, key)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        single::insert(self, key, value)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let mut kept = self.kept();
        let answer = |key| match kept.entries.get(key) {
            Some(bytes) => Lookup::Hit(bytes.clone(), Tier::Memory),
            None => Lookup::Miss(MissReason::Absent),
        };
        keys.iter().map(answer).collect()
    }

    fn replace(&self, entries: &[NewEntry]) -> PublishSummary {
        let mut kept = self.kept();
        for entry in entries {
            if let Some(wrong) = kept.entries.pop(&entry.key) {
                kept.bytes -= cost(&wrong);
            }
        }
        drop(kept);
        self.publish(entries)
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        let mut kept = self.kept();
        let mut summary = PublishSummary::default();
        for entry in entries {
            kept.publish(entry, self.bytes_max, &mut summary);
        }
        summary
    }
}
