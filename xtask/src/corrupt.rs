//! A store -> the same with some of its answers damaged.

use std::borrow::Cow;
use stencil::{CacheKey, CacheStore, EntryBytes, Lookup, NewEntry, PublishSummary};

/// One entry in this many is damaged.
const ONE_IN: u8 = 8;

/// Damages what it answers; which entries, and how, follows from their keys.
pub struct Corrupt<'a>(pub &'a dyn CacheStore);

/// Whether the entries of a key are damaged.
fn is_damaged(key: &CacheKey) -> bool {
    key.as_bytes()[0].is_multiple_of(ONE_IN)
}

fn damage(key: &CacheKey, bytes: &EntryBytes) -> EntryBytes {
    let mut bytes = bytes.to_vec();
    let [_, how, at, more, ..] = *key.as_bytes();
    let at = (usize::from(at) << 8 | usize::from(more)) % bytes.len();
    match how % 3 {
        0 => bytes[at] ^= 1 << (how >> 5),
        1 => bytes.truncate(at),
        _ => bytes[at..].fill(0),
    }
    bytes.into()
}

impl CacheStore for Corrupt<'_> {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.get(key)
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let mut answers = self.0.lookup(keys);
        for (key, answer) in keys.iter().zip(&mut answers) {
            if let Lookup::Hit(bytes, _) = answer
                && is_damaged(key)
            {
                *bytes = damage(key, bytes);
            }
        }
        answers
    }

    fn publish(&self, _: &[NewEntry]) -> PublishSummary {
        PublishSummary::default()
    }
}
