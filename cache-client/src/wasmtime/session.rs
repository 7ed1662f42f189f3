//! Entries held for the module that is compiled now, and the keys that it used.
//!
//! Invariant: what was inserted is held until the session ends, so a function
//! that occurs twice in a module is compiled once, as with a store in memory;
//! the tiers may not have it yet.

use super::manifest_log::ManifestLog;
use std::collections::{HashMap, HashSet};
use stencil::{CacheKey, EntryBytes, MissReason};

/// How a held entry came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Prefetched,
    /// Inserted by Wasmtime, or asked for, earlier in this session.
    Held,
    /// Asked for just now.
    Asked,
}

/// What is known of a key without asking.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Entry(EntryBytes, Origin),
    /// It was looked up together with the others.
    Missing(MissReason),
}

/// A module that was announced.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) id: Vec<u8>,
    /// Its log as it was read at the start.
    pub(super) log: ManifestLog,
    /// The keys that were found or inserted.
    pub(super) used: HashSet<CacheKey>,
}

/// From one `prefetch` to its end, or between two.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Counts up, so that the guard of an earlier one does not end this one.
    pub(super) number: u64,
    pub(super) module: Option<Module>,
    known: HashMap<CacheKey, Known>,
    held_bytes: u64,
}

impl Session {
    pub(super) fn new(number: u64, module: Option<Module>) -> Self {
        Self { number, module, ..Self::default() }
    }

    /// What is known of a key that Wasmtime asks for.
    pub(super) fn find(&mut self, key: &CacheKey) -> Option<Known> {
        let known = self.known.get(key)?.clone();
        if let Known::Entry(..) = known {
            self.mark_used(key);
        }
        Some(known)
    }

    /// Holds an entry, if it fits into `bytes_max`.
    pub(super) fn hold(
        &mut self,
        key: CacheKey,
        bytes: EntryBytes,
        origin: Origin,
        bytes_max: u64,
    ) {
        let len = bytes.len() as u64;
        if self.held_bytes.saturating_add(len) > bytes_max {
            return;
        }
        self.held_bytes += len;
        if let Some(Known::Entry(before, _)) = self.known.insert(key, Known::Entry(bytes, origin)) {
            self.held_bytes -= before.len() as u64;
        }
    }

    /// Notes that the tiers were asked for a key and have nothing.
    pub(super) fn missing(&mut self, key: CacheKey, reason: MissReason) {
        self.known.insert(key, Known::Missing(reason));
    }

    /// Notes that the module uses a key.
    pub(super) fn mark_used(&mut self, key: &CacheKey) {
        if let Some(module) = &mut self.module {
            module.used.insert(*key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CacheKey = CacheKey::from_bytes([1; 32]);
    const OTHER: CacheKey = CacheKey::from_bytes([2; 32]);

    #[test]
    fn what_does_not_fit_is_not_held() {
        let mut session = Session::default();
        session.hold(KEY, EntryBytes::from_static(b"12345678"), Origin::Held, 10);
        session.hold(OTHER, EntryBytes::from_static(b"123"), Origin::Held, 10);
        assert!(session.find(&KEY).is_some());
        assert!(session.find(&OTHER).is_none());
        assert_eq!(session.held_bytes, 8);
    }

    #[test]
    fn an_insert_takes_the_place_of_what_was_missing() {
        let mut session = Session::default();
        session.missing(KEY, MissReason::Checksum);
        assert!(matches!(session.find(&KEY), Some(Known::Missing(MissReason::Checksum))));
        session.hold(KEY, EntryBytes::from_static(b"1"), Origin::Held, 10);
        assert!(matches!(session.find(&KEY), Some(Known::Entry(_, Origin::Held))));
    }
}
