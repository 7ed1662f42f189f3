//! Places -> whole records that were used not long ago, in memory.
//!
//! Invariants:
//! - records and what it takes to keep them have at most as many bytes as the
//!   limit says;
//! - a record is a copy of its own: none keeps a larger buffer alive.

use crate::storage::lock;
use crate::storage::pack::Place;
use bytes::Bytes;
use lru::LruCache;
use std::sync::Mutex;

/// What a record takes besides its own bytes: a node and a slot of the map,
/// and the allocator's share.
const OVERHEAD_BYTES: u64 = 128;

/// The memory tier.
#[derive(Debug)]
pub(crate) struct Hot {
    records: Mutex<Records>,
    bytes_max: u64,
}

#[derive(Debug)]
struct Records {
    by_place: LruCache<u64, Bytes>,
    bytes: u64,
}

fn cost(record: &Bytes) -> u64 {
    record.len() as u64 + OVERHEAD_BYTES
}

impl Hot {
    /// An empty one. With a limit of 0 it stays empty.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let records = Records { by_place: LruCache::unbounded(), bytes: 0 };
        Self { records: Mutex::new(records), bytes_max }
    }

    /// Whether it keeps anything at all.
    pub(crate) fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// The records at these places.
    pub(crate) fn get(&self, places: impl Iterator<Item = Place>) -> Vec<Option<Bytes>> {
        let mut records = lock(&self.records);
        places.map(|place| records.by_place.get(&place.number()).cloned()).collect()
    }

    /// Keeps copies of records.
    pub(crate) fn put<'a>(&self, found: impl Iterator<Item = (Place, &'a [u8])>) {
        for (place, record) in found {
            if record.len() as u64 + OVERHEAD_BYTES > self.bytes_max {
                continue;
            }
            let record = Bytes::copy_from_slice(record);
            let mut records = lock(&self.records);
            records.bytes += cost(&record);
            if let Some(before) = records.by_place.put(place.number(), record) {
                records.bytes -= cost(&before);
            }
            while records.bytes > self.bytes_max {
                let Some((_, oldest)) = records.by_place.pop_lru() else { break };
                records.bytes -= cost(&oldest);
            }
        }
    }

    /// Forgets a record.
    pub(crate) fn remove(&self, place: Place) {
        let mut records = lock(&self.records);
        if let Some(record) = records.by_place.pop(&place.number()) {
            records.bytes -= cost(&record);
        }
    }

    /// How many records there are, and what they take in bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        let records = lock(&self.records);
        (records.by_place.len() as u64, records.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::pack::PackId;

    fn place(n: u32) -> Place {
        Place { pack: PackId(1), offset: n, len: 1000 }
    }

    fn put(hot: &Hot, n: u32) {
        hot.put(std::iter::once((place(n), &[n as u8; 1000][..])));
    }

    #[test]
    fn the_least_recently_used_go_and_the_limit_holds() {
        let hot = Hot::new(3 * (1000 + OVERHEAD_BYTES));
        (0..3).for_each(|n| put(&hot, n));
        assert!(hot.get([place(0)].into_iter()).iter().all(Option::is_some));
        put(&hot, 3);
        put(&hot, 3);
        let found = hot.get((0..4).map(place));
        assert_eq!(
            found.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        assert_eq!(hot.size(), (3, 3 * (1000 + OVERHEAD_BYTES)));
        hot.remove(place(3));
        assert_eq!(hot.size(), (2, 2 * (1000 + OVERHEAD_BYTES)));
    }

    #[test]
    fn a_limit_of_zero_turns_it_off() {
        let hot = Hot::new(0);
        put(&hot, 1);
        assert_eq!(hot.size(), (0, 0));
    }
}
