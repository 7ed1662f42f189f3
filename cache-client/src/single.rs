//! One key or entry -> a batch of one, for stores whose work is in the batches.

use std::borrow::Cow;
use stencil::{CacheKey, CacheStore, Lookup, NewEntry};

/// Keys that are not a [`CacheKey`]'s 32 bytes are never there.
pub(crate) fn get(store: &impl CacheStore, key: &[u8]) -> Option<Cow<'static, [u8]>> {
    let key = CacheKey::from_bytes(key.try_into().ok()?);
    match store.lookup(&[key]).pop()? {
        Lookup::Hit(bytes, _) => Some(Cow::Owned(bytes.into())),
        Lookup::Miss(_) => None,
    }
}

/// Keys that are not a [`CacheKey`]'s 32 bytes are not kept. What is queued
/// counts as kept.
pub(crate) fn insert(store: &impl CacheStore, key: &[u8], value: Vec<u8>) -> bool {
    let Ok(key) = key.try_into() else {
        return false;
    };
    let entry = NewEntry { key: CacheKey::from_bytes(key), bytes: value.into() };
    let summary = store.publish(&[entry]);
    summary.conflicts == 0 && summary.refused.is_empty()
}
