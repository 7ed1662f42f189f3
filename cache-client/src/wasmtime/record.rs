//! Cache keys of a module <-> one record of its manifest.
//!
//! ```text
//!  0         1        2          6
//!  +---------+--------+----------+----------------------+
//!  | version | kind   | count    | keys, ascending      |
//!  | u8      | u8     | u32 (LE) | 32 bytes each        |
//!  +---------+--------+----------+----------------------+
//! ```
//!
//! Invariant: same set of keys, same bytes, in whatever order Wasmtime asked
//! for them; so machines that build the same at the same time write the same.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use stencil::CacheKey;

const VERSION: u8 = 1;
const HEADER_LEN: usize = 6;

/// A manifest names at most this many keys (4 MiB of them). What a module has
/// beyond is not prefetched.
pub(super) const KEYS_MAX: usize = 1 << 17;

/// What a record does to the list of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// Replaces it.
    Full = 0,
    /// Adds to it.
    Append = 1,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: RecordKind,
    keys: BTreeSet<CacheKey>,
}

impl Record {
    /// A record of the lowest [`KEYS_MAX`] of `keys`.
    pub(super) fn new(kind: RecordKind, keys: impl IntoIterator<Item = CacheKey>) -> Self {
        let mut keys: BTreeSet<CacheKey> = keys.into_iter().collect();
        while keys.len() > KEYS_MAX {
            keys.pop_last();
        }
        Self { kind, keys }
    }

    pub(super) fn keys(&self) -> &BTreeSet<CacheKey> {
        &self.keys
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.keys.len() * CacheKey::LEN);
        bytes.extend_from_slice(&[VERSION, self.kind as u8]);
        bytes.extend_from_slice(&(self.keys.len() as u32).to_le_bytes());
        self.keys.iter().for_each(|key| bytes.extend_from_slice(key.as_bytes()));
        bytes
    }

    /// `None` if the bytes are not what [`Self::encode`] writes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let ([version, kind, count @ ..], keys) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let kind = match kind {
            0 => RecordKind::Full,
            1 => RecordKind::Append,
            _ => return None,
        };
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (keys, rest) = keys.as_chunks::<{ CacheKey::LEN }>();
        if *version != VERSION || count != keys.len() || count > KEYS_MAX || !rest.is_empty() {
            return None;
        }
        keys.is_sorted_by(|a, b| a < b).then(|| Self {
            kind,
            keys: keys.iter().map(|key| CacheKey::from_bytes(*key)).collect(),
        })
    }

    /// Bits that differ between records of different keys, most of the time.
    pub(super) fn lane(&self, lanes: u8) -> u8 {
        let hash: [u8; 32] = Sha256::digest(self.encode()).into();
        let [first, ..] = hash;
        first % lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> CacheKey {
        CacheKey::from_bytes([n; 32])
    }

    #[test]
    fn a_record_survives_its_bytes_whatever_the_order_of_its_keys() {
        for kind in [RecordKind::Full, RecordKind::Append] {
            let record = Record::new(kind, [key(3), key(1), key(3)]);
            assert_eq!(record.keys().len(), 2);
            assert_eq!(record.encode(), Record::new(kind, [key(1), key(3)]).encode());
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn bytes_that_are_not_a_record_are_none() {
        let good = Record::new(RecordKind::Full, [key(1), key(2)]).encode();
        assert!(Record::decode(&good).is_some());
        for (at, byte) in [(0, 9), (1, 2), (2, 3), (6, 3)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(Record::decode(&bad), None, "byte {at}");
        }
        assert_eq!(Record::decode(&good[..good.len() - 1]), None);
        assert_eq!(Record::decode(&[]), None);
    }

    #[test]
    fn a_record_has_a_bounded_number_of_keys() {
        let keys = (0..=KEYS_MAX as u64).map(|n| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            CacheKey::from_bytes(bytes)
        });
        let record = Record::new(RecordKind::Full, keys);
        assert_eq!(record.keys().len(), KEYS_MAX);
        assert!(Record::decode(&record.encode()).is_some());
    }
}
