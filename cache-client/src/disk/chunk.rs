//! Entries in publish order <-> a chunk: their bytes in one piece, and a
//! directory that says where each one starts.
//!
//! ```text
//! directory   prefix i64 | length u32     12 bytes an entry, in order
//! data        entry | entry | entry ...   sealed, without gaps
//! ```
//!
//! Invariant: a directory is a hint. Reading a damaged one gives wrong places
//! within the chunk, never a place outside it, and an entry found there fails
//! its seal.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use std::ops::Range;
use stencil::{CacheKey, NewEntry};

/// A chunk is closed when it holds this many bytes. Measured
/// (`examples/measure.rs`): from 64 KiB on a lookup is bound by copying.
pub(crate) const CHUNK_BYTES: usize = 96 << 10;

const PREFIX_LEN: usize = 8;
const ITEM_LEN: usize = PREFIX_LEN + 4;

/// The first 8 bytes of a cache key: what the index is sorted by. Two keys that
/// share it shadow one another, which the seal's key echo brings to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prefix(pub(crate) i64);

impl Prefix {
    pub(crate) fn of(key: &CacheKey) -> Self {
        let (prefix, _) = key.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self(i64::from_le_bytes(*prefix))
    }
}

impl ToSql for Prefix {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

/// The row number of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkId(pub(crate) i64);

impl ToSql for ChunkId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for ChunkId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

/// Where the entries of one chunk lie, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    places: Vec<(Prefix, Range<u32>)>,
}

impl Directory {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Prefix, Range<u32>)> + '_ {
        self.places.iter().cloned()
    }

    /// How many bytes of data the directory describes.
    pub(crate) fn data_len(&self) -> u32 {
        self.places.last().map_or(0, |(_, range)| range.end)
    }
}

impl FromSql for Directory {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let (items, rest) = value.as_blob()?.as_chunks::<ITEM_LEN>();
        let mut places = Vec::with_capacity(items.len());
        let mut start = 0u32;
        for item in items {
            let (Some((prefix, _)), Some((_, len))) =
                (item.split_first_chunk(), item.split_last_chunk())
            else {
                return Err(FromSqlError::InvalidType);
            };
            let len = u32::from_le_bytes(*len);
            let end = start.checked_add(len).ok_or(FromSqlError::InvalidType)?;
            places.push((Prefix(i64::from_le_bytes(*prefix)), start..end));
            start = end;
        }
        if !rest.is_empty() {
            return Err(FromSqlError::InvalidType);
        }
        Ok(Self { places })
    }
}

/// A chunk being filled.
#[derive(Default)]
pub(crate) struct ChunkBuilder {
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) directory: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl ChunkBuilder {
    pub(crate) fn add(&mut self, entry: &NewEntry) {
        let prefix = Prefix::of(&entry.key);
        let len = u32::try_from(entry.bytes.len()).unwrap_or(u32::MAX);
        self.prefixes.push(prefix);
        self.directory.extend_from_slice(&prefix.0.to_le_bytes());
        self.directory.extend_from_slice(&len.to_le_bytes());
        self.data.extend_from_slice(&entry.bytes);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.data.len() >= CHUNK_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.prefixes.clear();
        self.directory.clear();
        self.data.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_survives_its_bytes() {
        let mut chunk = ChunkBuilder::default();
        let entries = [1u8, 2, 3].map(|n| NewEntry {
            key: CacheKey::from_bytes([n; 32]),
            bytes: vec![n; usize::from(n)].into(),
        });
        entries.iter().for_each(|entry| chunk.add(entry));
        let read = Directory::column_result(ValueRef::Blob(&chunk.directory));
        let read = read.expect("a directory");
        let places: Vec<_> = read.iter().map(|(_, range)| range).collect();
        assert_eq!(places, [0..1, 1..3, 3..6]);
        let prefixes: Vec<_> = read.iter().map(|(prefix, _)| prefix).collect();
        assert_eq!(prefixes, chunk.prefixes);
        assert_eq!(read.data_len() as usize, chunk.data.len());
    }

    #[test]
    fn a_directory_that_is_cut_or_overflows_is_refused() {
        let refused = |bytes: &[u8]| Directory::column_result(ValueRef::Blob(bytes)).is_err();
        assert!(!refused(&[0; 24]));
        assert!(refused(&[0; 23]));
        assert!(refused(&[0xff; 24]));
    }
}
