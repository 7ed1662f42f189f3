//! A namespace and a key -> the place of a record, in memory.
//!
//! Invariant: an entry takes 20 bytes and one of the map's own, and the map is
//! at least 7/16 and at most 7/8 full once it has grown: at most 48 bytes an
//! entry, and half as much again while it grows.
//!
//! The first 8 bytes of a key stand for all of it: keys are SHA-256. A key
//! that was made to agree with another in them is refused before it gets here
//! (`stage`).

use crate::storage::pack::{PackId, Place};
use crate::storage::record::NamespaceId;
use crate::storage::run::Prefix;
use proto::Namespace;
use std::collections::HashMap;

/// What the map keeps an entry under. In two halves, so that four bytes are
/// not lost to alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot([u32; 2]);

impl Slot {
    /// Where a key's entry is kept.
    pub(crate) fn of(namespace: NamespaceId, prefix: Prefix) -> Self {
        // An odd constant with well mixed bits: 2^64 divided by the golden ratio.
        let offset = u64::from(namespace.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = u64::from_le_bytes(prefix.0).wrapping_add(offset);
        Self([slot as u32, (slot >> 32) as u32])
    }
}

const SLOT_BYTES: u64 = (size_of::<Slot>() + size_of::<Place>() + 1) as u64;

/// A namespace's entries, in numbers.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceCounts {
    pub(crate) name: Namespace,
    pub(crate) entries: u64,
    pub(crate) stored_bytes: u64,
}

/// All entries, by their keys, and all namespaces, by their names.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: HashMap<Slot, Place>,
    ids: HashMap<Namespace, NamespaceId>,
    namespaces: HashMap<NamespaceId, NamespaceCounts>,
    entry_bytes: u64,
    stored_bytes: u64,
}

impl Table {
    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        self.places.len() as u64
    }

    /// Bytes of all entries, decoded and as they are stored.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.entry_bytes, self.stored_bytes)
    }

    /// What it takes in memory, in bytes.
    pub(crate) fn table_bytes(&self) -> u64 {
        // A map with room for n has the next power of two of 8/7 n slots.
        let slots = (self.places.capacity() as u64 * 8 / 7).next_power_of_two();
        if self.places.capacity() == 0 { 0 } else { slots * SLOT_BYTES }
    }

    /// The namespaces that have entries.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &NamespaceCounts> {
        self.namespaces.values().filter(|counts| counts.entries > 0)
    }

    /// The number of a namespace.
    pub(crate) fn id(&self, namespace: &Namespace) -> Option<NamespaceId> {
        self.ids.get(namespace).copied()
    }

    /// The name of a namespace.
    pub(crate) fn name(&self, id: NamespaceId) -> Option<&Namespace> {
        self.namespaces.get(&id).map(|counts| &counts.name)
    }

    /// How many namespaces there are, with entries or without.
    pub(crate) fn namespaces_len(&self) -> usize {
        self.ids.len()
    }

    /// The number after the largest of a namespace.
    pub(crate) fn next_id(&self) -> NamespaceId {
        NamespaceId(self.namespaces.keys().map(|id| id.0 + 1).max().unwrap_or(1))
    }

    /// Adds a namespace; false if either its name or its number is another's.
    pub(crate) fn add_namespace(&mut self, id: NamespaceId, name: &Namespace) -> bool {
        if let Some(known) = self.name(id) {
            return known == name;
        }
        if self.ids.contains_key(name) || id.0 == u32::MAX {
            return false;
        }
        self.ids.insert(name.clone(), id);
        let counts = NamespaceCounts { name: name.clone(), entries: 0, stored_bytes: 0 };
        self.namespaces.insert(id, counts);
        true
    }

    /// Removes the namespaces without entries, but for the last: its number is
    /// not to be given again.
    pub(crate) fn remove_empty_namespaces(&mut self) -> Vec<NamespaceId> {
        let last = self.next_id().0.saturating_sub(1);
        let empty =
            self.namespaces.iter().filter(|(id, counts)| counts.entries == 0 && id.0 != last);
        let empty: Vec<_> = empty.map(|(id, _)| *id).collect();
        for id in &empty {
            if let Some(counts) = self.namespaces.remove(id) {
                self.ids.remove(&counts.name);
            }
        }
        empty
    }

    /// Where a key's record is, if it is anywhere.
    pub(crate) fn get(&self, namespace: NamespaceId, prefix: Prefix) -> Option<Place> {
        self.places.get(&Slot::of(namespace, prefix)).copied()
    }

    /// Adds an entry; the place that it takes over.
    pub(crate) fn insert(
        &mut self,
        namespace: NamespaceId,
        prefix: Prefix,
        place: Place,
        entry_bytes: u32,
    ) -> Option<Place> {
        let before = self.places.insert(Slot::of(namespace, prefix), place);
        self.entry_bytes += u64::from(entry_bytes);
        self.stored_bytes += stored_bytes(place);
        if let Some(counts) = self.namespaces.get_mut(&namespace) {
            counts.entries += 1;
            counts.stored_bytes += stored_bytes(place);
        }
        if let Some(before) = before {
            self.uncount(namespace, before, 0);
        }
        before
    }

    /// Removes an entry if it is at this place.
    pub(crate) fn remove(
        &mut self,
        namespace: NamespaceId,
        prefix: Prefix,
        place: Place,
        entry_bytes: u32,
    ) -> bool {
        let slot = Slot::of(namespace, prefix);
        if self.places.get(&slot) != Some(&place) {
            return false;
        }
        self.places.remove(&slot);
        self.uncount(namespace, place, entry_bytes);
        true
    }

    /// Takes the decoded bytes of an entry that was taken over out of the sum.
    pub(crate) fn uncount_entry_bytes(&mut self, entry_bytes: u32) {
        self.entry_bytes = self.entry_bytes.saturating_sub(u64::from(entry_bytes));
    }

    fn uncount(&mut self, namespace: NamespaceId, place: Place, entry_bytes: u32) {
        self.uncount_entry_bytes(entry_bytes);
        self.stored_bytes = self.stored_bytes.saturating_sub(stored_bytes(place));
        if let Some(counts) = self.namespaces.get_mut(&namespace) {
            counts.entries = counts.entries.saturating_sub(1);
            counts.stored_bytes = counts.stored_bytes.saturating_sub(stored_bytes(place));
        }
    }

    /// Gives back what is no longer needed.
    pub(crate) fn shrink(&mut self) {
        if self.places.capacity() > 4 * self.places.len() {
            self.places.shrink_to_fit();
        }
    }
}

fn stored_bytes(place: Place) -> u64 {
    u64::from(place.len).saturating_sub(crate::storage::record::HEADER_LEN as u64)
}

impl Place {
    /// The place as one number.
    pub(crate) fn number(self) -> u64 {
        let PackId(pack) = self.pack;
        (u64::from(pack) << 32) | u64::from(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stencil::Fingerprint;

    const NAMESPACE: NamespaceId = NamespaceId(1);

    fn place(n: u32) -> Place {
        Place { pack: PackId(1), offset: n * 1000, len: 1000 }
    }

    fn table() -> Table {
        let mut table = Table::default();
        let name = Namespace::new("a", Fingerprint::from_bytes([1; 32])).unwrap();
        assert!(table.add_namespace(NAMESPACE, &name));
        table
    }

    #[test]
    fn an_entry_takes_at_most_48_bytes() {
        assert_eq!(SLOT_BYTES, 21);
        let mut table = table();
        for n in 0..100_000_u32 {
            let prefix = Prefix(u64::from(n).wrapping_mul(0x1234_5678_9abc_def1).to_le_bytes());
            table.insert(NAMESPACE, prefix, place(n), 1);
            let bound = 48 * u64::from(n + 1);
            assert!(n < 16 || table.table_bytes() <= bound, "{n}: {}", table.table_bytes());
        }
    }

    #[test]
    fn only_the_entry_at_the_place_is_removed() {
        let mut table = table();
        let prefix = Prefix([1; 8]);
        table.insert(NAMESPACE, prefix, place(1), 10);
        assert_eq!(table.insert(NAMESPACE, prefix, place(2), 20), Some(place(1)));
        table.uncount_entry_bytes(10);
        assert!(!table.remove(NAMESPACE, prefix, place(1), 10));
        assert_eq!((table.len(), table.bytes().0), (1, 20));
        assert!(table.remove(NAMESPACE, prefix, place(2), 20));
        assert_eq!((table.len(), table.bytes()), (0, (0, 0)));
    }

    #[test]
    fn the_number_of_an_empty_namespace_is_not_given_again() {
        let mut table = table();
        let name = Namespace::new("b", Fingerprint::from_bytes([1; 32])).unwrap();
        assert!(!table.add_namespace(NAMESPACE, &name));
        assert!(table.add_namespace(table.next_id(), &name));
        assert_eq!(table.remove_empty_namespaces(), [NAMESPACE]);
        assert_eq!(table.next_id(), NamespaceId(3));
    }
}
