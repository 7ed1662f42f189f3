//! Numbers -> sealed entries, and a lookup -> how many of them were found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use cache_client::{DiskConfig, DiskStore};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use stencil::{
    CacheKey, CacheStore, Fingerprint, Lookup, MissReason, NewEntry, StencilBuilder, entry,
};

/// Sealed entries with `len` bytes of code each. The same number gives the same
/// entry, in every process.
pub fn entries(numbers: Range<u64>, len: usize) -> Vec<NewEntry> {
    let entry = |n: u64| {
        let hash = Fingerprint::of([("entry", &n.to_le_bytes()[..])]);
        let key = CacheKey::from_bytes(*hash.as_bytes());
        let mut code = vec![0; len];
        SmallRng::seed_from_u64(n).fill_bytes(&mut code);
        let bytes = entry::seal(&key, &StencilBuilder::new(code, 1, 0, 0)).expect("small");
        NewEntry { key, bytes }
    };
    numbers.map(entry).collect()
}

/// The answers to a lookup of known entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub hits: usize,
    pub misses: BTreeMap<MissReason, usize>,
}

/// Looks up `entries` at once. Whatever is found has exactly the right bytes.
pub fn look_up(store: &dyn CacheStore, entries: &[NewEntry]) -> Answers {
    let keys: Vec<CacheKey> = entries.iter().map(|entry| entry.key).collect();
    let lookups = store.lookup(&keys);
    assert_eq!(lookups.len(), keys.len(), "one answer for each key");
    let mut answers = Answers::default();
    for (lookup, entry) in lookups.into_iter().zip(entries) {
        match lookup {
            Lookup::Hit(bytes, _) => {
                assert_eq!(bytes, entry.bytes, "entry {} is another one", entry.key);
                answers.hits += 1;
            }
            Lookup::Miss(reason) => *answers.misses.entry(reason).or_default() += 1,
        }
    }
    answers
}

/// A store of at most `size_max` bytes.
pub fn disk(dir: &Path, size_max: u64) -> DiskStore {
    DiskStore::open(DiskConfig { dir: dir.to_owned(), size_max })
}
