//! [`MemoryStorage`]: keys and entries in memory, for tests.
//!
//! Invariant: it answers as [`PackStorage`](crate::storage::PackStorage) does,
//! and forgets the least recently used entries beyond its limit.

use crate::storage::compare::conflict;
use crate::storage::{
    LookupCounts, Next, Published, Storage, StorageError, StorageStats, StoredEntry, lock,
};
use lru::LruCache;
use proto::coding::Decoder;
use proto::{Coded, Namespace};
use std::collections::BTreeMap;
use std::sync::Mutex;
use stencil::CacheKey;

/// Entries in memory.
#[derive(Debug)]
pub struct MemoryStorage {
    size_max: u64,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    by_key: LruCache<(Namespace, CacheKey), Coded>,
    stored_bytes: u64,
    entry_bytes: u64,
    evicted: u64,
    closed: bool,
}

impl MemoryStorage {
    /// An empty one, for `size_max` bytes of coded entries.
    pub fn new(size_max: u64) -> Self {
        let entries = Entries {
            by_key: LruCache::unbounded(),
            stored_bytes: 0,
            entry_bytes: 0,
            evicted: 0,
            closed: false,
        };
        Self { size_max, entries: Mutex::new(entries) }
    }
}

impl Entries {
    fn put(&mut self, key: (Namespace, CacheKey), coded: Coded) {
        self.stored_bytes += coded.data.len() as u64;
        self.entry_bytes += u64::from(coded.entry_bytes);
        if let Some(before) = self.by_key.put(key, coded) {
            self.uncount(&before);
        }
    }

    fn uncount(&mut self, coded: &Coded) {
        self.stored_bytes -= coded.data.len() as u64;
        self.entry_bytes -= u64::from(coded.entry_bytes);
    }
}

impl Storage for MemoryStorage {
    fn lookup(
        &self,
        namespace: &Namespace,
        keys: &[CacheKey],
        found: &mut dyn FnMut(u32, Coded) -> Next,
    ) -> LookupCounts {
        let mut counts = LookupCounts { keys: keys.len() as u64, ..LookupCounts::default() };
        for (index, key) in (0..).zip(keys) {
            let coded = lock(&self.entries).by_key.get(&(namespace.clone(), *key)).cloned();
            let Some(coded) = coded else { continue };
            counts.hits += 1;
            counts.hot_hits += 1;
            if found(index, coded) == Next::Stop {
                break;
            }
        }
        counts
    }

    fn find_missing(&self, namespace: &Namespace, keys: &[CacheKey]) -> Vec<u32> {
        let entries = lock(&self.entries);
        let is_missing = |key: &CacheKey| !entries.by_key.contains(&(namespace.clone(), *key));
        (0..).zip(keys).filter(|(_, key)| is_missing(key)).map(|(index, _)| index).collect()
    }

    fn publish(
        &self,
        namespace: &Namespace,
        entries: Vec<StoredEntry>,
        replace: bool,
    ) -> Result<Published, StorageError> {
        let mut stored = lock(&self.entries);
        if stored.closed {
            return Err(StorageError::Closed);
        }
        let needed = entries.iter().map(|entry| entry.coded.data.len() as u64).sum();
        if needed > self.size_max {
            let dir = "memory".to_owned();
            return Err(StorageError::Full { dir, free: self.size_max, needed });
        }
        let mut decoder = Decoder::new();
        let mut outcome = Published::default();
        for StoredEntry { key, coded } in entries {
            let name = (namespace.clone(), key);
            if let Some(before) = stored.by_key.peek(&name) {
                match conflict(&mut decoder, &key, before, &coded) {
                    None => {
                        outcome.already_there += 1;
                        continue;
                    }
                    Some(conflict) if !replace => {
                        outcome.conflicts.push(conflict);
                        continue;
                    }
                    Some(_) => {}
                }
            }
            outcome.stored += 1;
            outcome.stored_bytes += u64::from(coded.entry_bytes);
            stored.put(name, coded);
        }
        while stored.stored_bytes > self.size_max {
            let Some((_, oldest)) = stored.by_key.pop_lru() else { break };
            stored.uncount(&oldest);
            stored.evicted += 1;
        }
        Ok(outcome)
    }

    fn stats(&self) -> StorageStats {
        let entries = lock(&self.entries);
        let mut namespaces: BTreeMap<String, (Namespace, u64, u64)> = BTreeMap::new();
        for ((namespace, _), coded) in &entries.by_key {
            let name = namespace.to_string();
            let counts = namespaces.entry(name).or_insert((namespace.clone(), 0, 0));
            counts.1 += 1;
            counts.2 += coded.data.len() as u64;
        }
        StorageStats {
            entries: entries.by_key.len() as u64,
            entry_bytes: entries.entry_bytes,
            stored_bytes: entries.stored_bytes,
            size_max: self.size_max,
            hot_entries: entries.by_key.len() as u64,
            hot_bytes: entries.stored_bytes,
            hot_bytes_max: self.size_max,
            evicted: entries.evicted,
            namespaces: namespaces.into_values().collect(),
            ..StorageStats::default()
        }
    }

    fn close(&self) -> Result<(), StorageError> {
        lock(&self.entries).closed = true;
        Ok(())
    }
}
