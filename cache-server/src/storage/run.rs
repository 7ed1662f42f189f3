//! What one commit has put into one pack <-> an item of the index.
//!
//! ```text
//! key    pack u32, offset u32                              big-endian
//! value  namespace u32, then for each record, without gaps:
//!        first 8 bytes of its key, length u32, entry bytes u32
//! ```
//!
//! The value's integers are little-endian. The entry bytes [`DEAD`] mean that
//! the record is not to be found.

use crate::storage::pack::{PackId, Place};
use crate::storage::record::NamespaceId;
use stencil::CacheKey;

/// The entry bytes of a dead record: over the limit of an entry.
const DEAD: u32 = u32::MAX;
const ITEM_LEN: usize = 16;
/// Records in one run. sled keeps up to 17 items in a page, and puts pages of
/// more than a quarter of a segment into a file each.
pub(crate) const ITEMS_MAX: usize = 400;

/// The first 8 bytes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(pub(crate) [u8; 8]);

impl Prefix {
    /// A key's.
    pub(crate) fn of(key: &CacheKey) -> Self {
        Self(key.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) prefix: Prefix,
    pub(crate) len: u32,
    entry_bytes: u32,
}

impl Item {
    /// An entry's record.
    pub(crate) fn entry(prefix: Prefix, len: u32, entry_bytes: u32) -> Self {
        Self { prefix, len, entry_bytes }
    }

    /// Bytes without an entry.
    pub(crate) fn dead(len: u32) -> Self {
        Self { prefix: Prefix([0; 8]), len, entry_bytes: DEAD }
    }

    /// The decoded length of its entry, if there is one.
    pub(crate) fn entry_bytes(&self) -> Option<u32> {
        (self.entry_bytes != DEAD).then_some(self.entry_bytes)
    }
}

/// Records of one namespace that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) pack: PackId,
    pub(crate) offset: u32,
    pub(crate) namespace: NamespaceId,
    pub(crate) items: Vec<Item>,
}

impl Run {
    /// The byte behind it.
    pub(crate) fn end(&self) -> u64 {
        let len: u64 = self.items.iter().map(|item| u64::from(item.len)).sum();
        u64::from(self.offset) + len
    }

    /// Its entries that are not dead: where they are, and what is known of them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Place, Prefix, u32)> + '_ {
        let places = self.places();
        places.filter_map(|(place, item)| Some((place, item.prefix, item.entry_bytes()?)))
    }

    fn places(&self) -> impl Iterator<Item = (Place, &Item)> + '_ {
        self.items.iter().scan(self.offset, |offset, item| {
            let place = Place { pack: self.pack, offset: *offset, len: item.len };
            *offset = offset.checked_add(item.len)?;
            Some((place, item))
        })
    }

    /// Marks the record at this place as dead; the bytes that its entry had.
    pub(crate) fn kill(&mut self, dead: Place) -> Option<u32> {
        let at = self.places().position(|(place, _)| place == dead)?;
        let item = self.items.get_mut(at)?;
        let entry_bytes = item.entry_bytes();
        *item = Item::dead(item.len);
        entry_bytes
    }

    /// The index's key.
    pub(crate) fn key(pack: PackId, offset: u32) -> [u8; 8] {
        ((u64::from(pack.0) << 32) | u64::from(offset)).to_be_bytes()
    }

    /// The index's value.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(4 + self.items.len() * ITEM_LEN);
        value.extend_from_slice(&self.namespace.0.to_le_bytes());
        for item in &self.items {
            value.extend_from_slice(&item.prefix.0);
            value.extend_from_slice(&item.len.to_le_bytes());
            value.extend_from_slice(&item.entry_bytes.to_le_bytes());
        }
        value
    }

    /// The run of an item of the index; `None` if it is not one.
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let key = u64::from_be_bytes(key.try_into().ok()?);
        let (namespace, items) = value.split_first_chunk()?;
        let (items, rest) = items.as_chunks::<ITEM_LEN>();
        let items = items.iter().map(|item| {
            let (prefix, rest) = item.split_first_chunk()?;
            let (len, entry_bytes) = rest.split_first_chunk()?;
            Some(Item {
                prefix: Prefix(*prefix),
                len: u32::from_le_bytes(*len),
                entry_bytes: u32::from_le_bytes(entry_bytes.try_into().ok()?),
            })
        });
        let run = Self {
            pack: PackId((key >> 32) as u32),
            offset: key as u32,
            namespace: NamespaceId(u32::from_le_bytes(*namespace)),
            items: items.collect::<Option<_>>()?,
        };
        (rest.is_empty() && run.end() <= u64::from(u32::MAX)).then_some(run)
    }
}

/// Runs that are being made.
#[derive(Debug, Default)]
pub(crate) struct Runs(pub(crate) Vec<Run>);

impl Runs {
    /// Adds a record behind the last one, or in another pack.
    pub(crate) fn push(&mut self, pack: PackId, offset: u32, namespace: NamespaceId, item: Item) {
        let follows = |run: &&mut Run| {
            let fits = item.entry_bytes().is_none() || run.namespace == namespace;
            let there = run.pack == pack && run.end() == u64::from(offset);
            fits && there && run.items.len() < ITEMS_MAX
        };
        if let Some(run) = self.0.last_mut().filter(follows) {
            run.items.push(item);
            return;
        }
        self.0.push(Run { pack, offset, namespace, items: vec![item] });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let entry = |n: u8| Item::entry(Prefix([n; 8]), 100 + u32::from(n), 7);
        let items = vec![entry(1), Item::dead(50), entry(2)];
        Run { pack: PackId(3), offset: 1000, namespace: NamespaceId(9), items }
    }

    #[test]
    fn a_run_comes_back() {
        let run = run();
        let key = Run::key(run.pack, run.offset);
        assert_eq!(Run::decode(&key, &run.encode()), Some(run.clone()));
        assert_eq!(Run::decode(&key, &run.encode()[1..]), None);
        assert_eq!(Run::decode(&key[1..], &run.encode()), None);
    }

    #[test]
    fn a_dead_record_keeps_its_room_and_loses_its_entry() {
        let mut run = run();
        let places: Vec<Place> = run.entries().map(|(place, ..)| place).collect();
        assert_eq!((places[0].offset, places[1].offset, run.end()), (1000, 1151, 1253));
        assert_eq!(run.kill(places[0]), Some(7));
        assert_eq!(run.kill(places[0]), None);
        assert_eq!(run.entries().map(|(place, ..)| place).collect::<Vec<_>>(), [places[1]]);
        assert_eq!(run.end(), 1253);
    }
}
