//! A store -> the same, and the keys that it was asked for.

use std::borrow::Cow;
use std::sync::Mutex;
use stencil::{CacheKey, CacheStore, Lookup, NewEntry, PublishSummary};

/// Passes everything on, and remembers the lookups.
pub struct Recorder<'a> {
    store: &'a dyn CacheStore,
    asked: Mutex<Vec<(CacheKey, bool)>>,
}

impl<'a> Recorder<'a> {
    /// Nothing was asked for yet.
    pub fn new(store: &'a dyn CacheStore) -> Self {
        Self { store, asked: Mutex::default() }
    }

    /// The keys of all lookups, in their order, and whether the store had an entry.
    ///
    /// # Panics
    ///
    /// If a lookup has.
    pub fn asked(self) -> Vec<(CacheKey, bool)> {
        self.asked.into_inner().expect("nothing panicked in there")
    }

    /// The keys alone.
    ///
    /// # Panics
    ///
    /// If a lookup has.
    pub fn keys(self) -> Vec<CacheKey> {
        self.asked().into_iter().map(|(key, _)| key).collect()
    }
}

impl CacheStore for Recorder<'_> {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.store.get(key)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.store.insert(key, value)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let replies = self.store.lookup(keys);
        let hits = replies.iter().map(|reply| matches!(reply, Lookup::Hit(..)));
        let mut asked = self.asked.lock().expect("nothing panics in here");
        asked.extend(keys.iter().copied().zip(hits));
        replies
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        self.store.publish(entries)
    }

    fn replace(&self, entries: &[NewEntry]) -> PublishSummary {
        self.store.replace(entries)
    }

    fn round_trips(&self) -> u64 {
        self.store.round_trips()
    }
}
