//! A module's name -> the entries that it used last time, held until it is
//! compiled; then what it used -> its manifest.
//!
//! Invariant: two lookups before the compile, one for the manifest and one for
//! all entries; after it nothing but the new entries, and a lookup and a publish
//! for the manifest if there is something new in it.

use super::manifest_log::{ManifestLog, week_of};
use super::session::{Module, Origin, Session};
use super::{WasmtimeStore, lock};
use std::mem;
use std::time::Instant;
use stencil::{Lookup, PublishSummary};

/// A module that is being compiled. End it with [`Prefetched::finish`].
///
/// Dropping it without that, or another `prefetch`, also publishes; but then the
/// build may not have run to its end, so no key leaves the manifest for not
/// having been used.
#[must_use = "the module ends when this is dropped"]
#[derive(Debug)]
pub struct Prefetched<'s> {
    store: &'s WasmtimeStore,
    number: u64,
    entries: u64,
}

impl Prefetched<'_> {
    /// How many entries were fetched.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Ends a module that was compiled to its end: waits until its new entries
    /// are published, and the record of its manifest if it needs one. What
    /// became of them.
    pub fn finish(self) -> PublishSummary {
        self.store.end(Some(self.number), true)
    }
}

impl Drop for Prefetched<'_> {
    fn drop(&mut self) {
        self.store.end(Some(self.number), false);
    }
}

impl WasmtimeStore {
    /// Fetches what the module of this name used when it was last compiled, by
    /// whomever. Ends the module before it, if that has not been done.
    ///
    /// `module_id` is what the program calls the module, a path or a name with
    /// the build's variant; not its content, so that an edited module finds what
    /// its last build used. Modules of one name overwrite each other's manifest,
    /// which costs time and nothing else.
    pub fn prefetch(&self, module_id: &[u8]) -> Prefetched<'_> {
        self.end(None, false);
        let start = Instant::now();
        let tiers = self.config.tiers.as_ref();
        let trips_before = tiers.round_trips();
        let week = week_of((self.config.clock)());
        let log = ManifestLog::read(tiers, &self.namespace, module_id, week);
        let trips = tiers.round_trips().saturating_sub(trips_before);
        if let Ok(trips @ 1..) = u32::try_from(trips) {
            lock(&self.economics).measured(start.elapsed() / trips);
        }

        let keys = log.keys();
        let answers = if keys.is_empty() { Vec::new() } else { tiers.lookup(&keys) };
        let mut entries = 0;
        let module = Module { id: module_id.to_owned(), log, used: Default::default() };
        let mut session = lock(&self.session);
        let number = session.number + 1;
        *session = Session::new(number, Some(module));
        for (key, answer) in keys.iter().zip(answers) {
            match answer {
                Lookup::Hit(bytes, _) => {
                    entries += 1;
                    let bytes_max = self.config.held_bytes_max;
                    session.hold(*key, bytes, Origin::Prefetched, bytes_max);
                }
                Lookup::Miss(reason) => session.missing(*key, reason),
            }
        }
        drop(session);

        let mut stats = lock(&self.stats);
        stats.prefetches += 1;
        stats.prefetched_keys += keys.len() as u64;
        stats.prefetched_entries += entries;
        stats.prefetching += start.elapsed();
        Prefetched { store: self, number, entries }
    }

    /// Publishes whatever Wasmtime inserted so far, and waits for it. Programs
    /// that use [`Self::prefetch`] need not call it.
    pub fn flush(&self) -> PublishSummary {
        self.publisher.flush()
    }

    /// Ends the session of that number, or any.
    pub(super) fn end(&self, number: Option<u64>, is_whole: bool) -> PublishSummary {
        let mut session = lock(&self.session);
        if session.module.is_none() || number.is_some_and(|number| number != session.number) {
            return PublishSummary::default();
        }
        let next = Session::new(session.number + 1, None);
        let ended = mem::replace(&mut *session, next);
        drop(session);
        // The entries first: a manifest names what is there.
        let mut summary = self.publisher.flush();
        if let Some(module) = ended.module {
            let manifest = self.publish_manifest(&module, is_whole);
            lock(&self.stats).manifests.add(&manifest);
            summary.add(&manifest);
        }
        summary
    }

    fn publish_manifest(&self, module: &Module, is_whole: bool) -> PublishSummary {
        let Module { id, log, used } = module;
        if log.record_of(used, is_whole).is_none() {
            return PublishSummary::default();
        }
        // Others may have written since.
        let tiers = self.config.tiers.as_ref();
        let week = week_of((self.config.clock)());
        let log = ManifestLog::read(tiers, &self.namespace, id, week);
        let Some(record) = log.record_of(used, is_whole) else {
            return PublishSummary::default();
        };
        match log.entry_of(&self.namespace, id, &record) {
            Ok(entry) => tiers.publish(&[entry]),
            Err(reason) => PublishSummary::refused(reason, 1),
        }
    }
}
