//! Tiers that count, are far away, or lie.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use stencil::{CacheKey, CacheStore, EntryBytes, Lookup, NewEntry, PublishSummary};

type Tamper = fn(&CacheKey, EntryBytes) -> EntryBytes;

/// A store seen from outside.
pub struct Watched {
    inner: Arc<dyn CacheStore>,
    /// Waits this long in every call; simulated distance.
    delay: Duration,
    /// Changes what lookups give.
    tamper: Tamper,
    /// How many keys each lookup had.
    lookups: Mutex<Vec<usize>>,
    /// How many entries each publish had.
    publishes: Mutex<Vec<usize>>,
}

impl Watched {
    pub fn new(inner: Arc<dyn CacheStore>) -> Self {
        Self {
            inner,
            delay: Duration::ZERO,
            tamper: |_, bytes| bytes,
            lookups: Mutex::default(),
            publishes: Mutex::default(),
        }
    }

    pub fn far(inner: Arc<dyn CacheStore>, delay: Duration) -> Self {
        Self { delay, ..Self::new(inner) }
    }

    pub fn lying(inner: Arc<dyn CacheStore>, tamper: Tamper) -> Self {
        Self { tamper, ..Self::new(inner) }
    }

    pub fn lookups(&self) -> Vec<usize> {
        self.lookups.lock().unwrap().clone()
    }

    pub fn publishes(&self) -> Vec<usize> {
        self.publishes.lock().unwrap().clone()
    }
}

impl CacheStore for Watched {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        unreachable!("the plugin uses the batch forms")
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        unreachable!("the plugin uses the batch forms")
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        self.lookups.lock().unwrap().push(keys.len());
        thread::sleep(self.delay);
        let answers = self.inner.lookup(keys).into_iter().zip(keys);
        let tampered = answers.map(|(answer, key)| match answer {
            Lookup::Hit(bytes, tier) => Lookup::Hit((self.tamper)(key, bytes), tier),
            miss => miss,
        });
        tampered.collect()
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        self.publishes.lock().unwrap().push(entries.len());
        thread::sleep(self.delay);
        self.inner.publish(entries)
    }
}
