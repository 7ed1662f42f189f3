//! A sound entry -> one that is not: damaged, cut, of another key, or with claims that are not so.

use oracle::seal::{CODE_LEN_AT, KEY_AT, renew_checksum};
use stencil::{EntryBytes, NewEntry};

/// One byte is another one.
pub fn damaged(entry: &NewEntry, at: usize, xor: u8) -> NewEntry {
    let mut bytes = entry.bytes.to_vec();
    bytes[at] ^= xor;
    changed(entry, bytes)
}

/// Of this length: cut, or with a tail.
pub fn resized(entry: &NewEntry, len: usize) -> NewEntry {
    let mut bytes = entry.bytes.to_vec();
    bytes.resize(len, 0xa5);
    changed(entry, bytes)
}

/// The sound entry of another key, under this one.
pub fn replaced(entry: &NewEntry, by: &NewEntry) -> NewEntry {
    changed(entry, by.bytes.to_vec())
}

/// Another function's entry, sealed for this key as if it were its own.
pub fn forged(entry: &NewEntry, by: &NewEntry) -> NewEntry {
    let mut bytes = by.bytes.to_vec();
    bytes[KEY_AT..CODE_LEN_AT].copy_from_slice(entry.key.as_bytes());
    renew_checksum(&mut bytes);
    changed(entry, bytes)
}

/// With other bytes at a place, and a checksum that fits.
pub fn overwritten(entry: &NewEntry, at: usize, with: &[u8]) -> NewEntry {
    let mut bytes = entry.bytes.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    renew_checksum(&mut bytes);
    changed(entry, bytes)
}

/// The control of every fault here: it is one.
#[track_caller]
fn changed(entry: &NewEntry, bytes: Vec<u8>) -> NewEntry {
    let bytes = EntryBytes::from(bytes);
    assert_ne!(bytes, entry.bytes, "the entry is as it was");
    NewEntry { key: entry.key, bytes }
}

/// The entries, with some in the place of those of the same key.
pub fn with(entries: &[NewEntry], instead: &[NewEntry]) -> Vec<NewEntry> {
    let other = |entry: &NewEntry| instead.iter().find(|new| new.key == entry.key).cloned();
    entries.iter().map(|entry| other(entry).unwrap_or_else(|| entry.clone())).collect()
}
