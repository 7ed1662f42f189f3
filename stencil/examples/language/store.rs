//! Keys -> entries, in this process: the smallest store there is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;
use stencil::CacheStore;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(pub Mutex<HashMap<Vec<u8>, Vec<u8>>>);

impl CacheStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.lock().unwrap().get(key).cloned().map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.0.lock().unwrap().insert(key.to_vec(), value);
        true
    }
}
