//! Staged batches -> entries that are committed; too much of them -> room.
//!
//! A commit, in this order: room on the disk is asked for; records are
//! appended and synchronised; their runs are put into the index, and that is
//! synchronised; the table learns of them.
//!
//! Invariants:
//! - one commit at a time, and nothing else changes files;
//! - a commit that fails leaves packs and table as they were.

use crate::storage::append::{Appended, Packs};
use crate::storage::index::{Changes, Index, IndexError};
use crate::storage::pack::{Place, sync_dir};
use crate::storage::packed::Shared;
use crate::storage::quarantine::Quarantine;
use crate::storage::read::Damage;
use crate::storage::recover::{self, killed};
use crate::storage::reserve::Reserve;
use crate::storage::run::Prefix;
use crate::storage::stage::{Batch, Staged, stage};
use crate::storage::{Published, StorageError};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often the uses of packs are written down. What came after is forgotten
/// if the process dies.
const NOTE_USES_EVERY: Duration = Duration::from_secs(60);

/// What the one who writes holds.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` after a failure, until it can be opened again.
    pub(crate) index: Option<Index>,
    pub(crate) packs: Packs,
    pub(crate) reserve: Reserve,
    pub(crate) quarantine: Quarantine,
    /// What broken indexes take on the disk, in bytes.
    pub(crate) aside_bytes: u64,
    pub(crate) uses_noted: Instant,
    pub(crate) closed: bool,
}

impl Writer {
    /// Publishes batches together: all of them, or none.
    pub(crate) fn publish(
        &mut self,
        shared: &Shared,
        batches: &[&Batch],
    ) -> Result<Vec<Published>, StorageError> {
        if self.closed {
            return Err(StorageError::Closed);
        }
        if self.index.is_none() {
            self.reopen(shared)?;
        }
        self.reserve.take();
        let mut staged = stage(shared, batches)?;
        // What was evicted may be what the batches were compared with.
        while !staged.new.is_empty() {
            match self.make_room(shared, &staged) {
                Ok(false) => break,
                Ok(true) => staged = stage(shared, batches)?,
                Err(StorageError::Index(what)) => {
                    return Err(self.failed(shared, StorageError::Index(what)));
                }
                Err(error) => return Err(error),
            }
        }
        self.put_aside(shared, &std::mem::take(&mut staged.damaged));
        if staged.new.is_empty() {
            return Ok(staged.outcomes);
        }
        self.reserve.check(staged.bytes())?;
        let committed = self.commit(shared, &staged);
        self.note_disk_bytes(shared);
        committed?;
        self.note_uses(shared, false);
        Ok(staged.outcomes)
    }

    fn commit(&mut self, shared: &Shared, staged: &Staged) -> Result<(), StorageError> {
        let mut appended = Appended::default();
        let committed = self.append(shared, staged, &mut appended);
        if let Err(error) = committed {
            appended.undo(&self.packs.dir);
            // A run of this commit may have reached the disk. It must not come
            // to lie over records of another one.
            self.packs.active = None;
            return Err(self.failed(shared, error));
        }
        Ok(())
    }

    /// Opens the index again: what failed once may have poisoned it.
    fn failed(&mut self, shared: &Shared, error: StorageError) -> StorageError {
        tracing::warn!(%error, "nothing was committed; the index is opened again");
        if let Err(error) = self.reopen(shared) {
            tracing::warn!(%error, "the index stays closed until the next publish");
        }
        error
    }

    fn append(
        &mut self,
        shared: &Shared,
        staged: &Staged,
        appended: &mut Appended,
    ) -> Result<(), StorageError> {
        let Some(index) = &self.index else { return Err(closed_index()) };
        {
            let state = shared.state();
            let name_of = |id| {
                let new = staged.names.iter().find(|(new, _)| *new == id).map(|(_, name)| name);
                new.or_else(|| state.table.name(id))
            };
            self.packs.append(&staged.new, name_of, appended)?;
        }
        let replaced: Vec<_> = {
            let state = shared.state();
            let places = staged.new.iter();
            places.filter_map(|new| state.table.get(new.namespace, new.prefix())).collect()
        };
        let (mut runs, entry_bytes) = killed(index, &replaced)?;
        runs.append(&mut appended.runs.0);
        index.commit(&Changes { runs, namespaces: staged.names.clone() })?;

        let mut state = shared.state_mut();
        for grown in &appended.grown {
            grown.pack.commit(grown.after);
            grown.pack.touch(shared.now());
            state.packs.insert(grown.pack.id, grown.pack.clone());
        }
        for (id, name) in &staged.names {
            state.table.add_namespace(*id, name);
        }
        for (new, place) in staged.new.iter().zip(&appended.places) {
            state.table.insert(new.namespace, new.prefix(), *place, new.coded.entry_bytes);
        }
        entry_bytes.into_iter().for_each(|bytes| state.table.uncount_entry_bytes(bytes));
        drop(state);
        mark_dead(shared, &replaced);
        shared.fill_hot(staged, &appended.places);
        Ok(())
    }

    /// Evicts packs until there is room for what is new; whether it had to.
    fn make_room(&mut self, shared: &Shared, staged: &Staged) -> Result<bool, StorageError> {
        let Some(index) = &self.index else { return Err(closed_index()) };
        let (size_max, entries_max) = (shared.config.size_max, shared.config.entries_max);
        let (needed, new) = (staged.bytes(), staged.new.len() as u64);
        let others = index.disk_bytes() + self.beside();
        let over = |size: u64, entries: u64| {
            let (packs, table) = {
                let state = shared.state();
                (state.disk_bytes(), state.table.len())
            };
            packs + others + needed > size || table + new > entries
        };
        if !over(size_max, entries_max) {
            return Ok(false);
        }
        let full = || {
            let dir = shared.config.dir.display().to_string();
            StorageError::Full { dir, free: size_max.saturating_sub(others), needed }
        };
        // What would not fit beside nothing else is no reason to evict.
        if others + needed > size_max || new > entries_max {
            return Err(full());
        }
        let low = (shared.config.low_watermark(), entries_max / 10 * 9);
        let mut evicted = false;
        while over(low.0, low.1) {
            if shared.state().packs.len() <= 1 {
                // All that is left is the pack that grows.
                self.packs.active = None;
            }
            let growing = self.packs.active.as_ref().map(|active| active.pack.id);
            let Some(pack) = shared.state().oldest(growing) else { break };
            let runs = index.runs_of(pack.id)?;
            index.forget_runs(&runs)?;
            index.forget_use(pack.id)?;
            let removed = shared.state_mut().evict(&pack, &runs);
            shared.counters.evicted.fetch_add(removed, Ordering::Relaxed);
            tracing::debug!(pack = pack.id.0, entries = removed, "evicted a pack");
            pack.remove()?;
            evicted = true;
        }
        if evicted {
            sync_dir(&self.packs.dir)?;
        } else if over(size_max, entries_max) {
            return Err(full());
        }
        Ok(evicted)
    }

    /// Puts damaged records into the quarantine: they are absent from now on.
    pub(crate) fn put_aside(&mut self, shared: &Shared, damaged: &[Damage]) {
        let there = |damage: &&Damage| {
            let prefix = Prefix::of(&damage.key);
            shared.state().table.get(damage.namespace, prefix) == Some(damage.place)
        };
        let damaged: Vec<&Damage> = damaged.iter().filter(there).collect();
        if damaged.is_empty() || self.closed {
            return;
        }
        for Damage { key, place, bytes, error, .. } in &damaged {
            tracing::warn!(%key, pack = place.pack.0, offset = place.offset, %error,
                "an entry is damaged; it is put into the quarantine");
            if let Err(error) = self.quarantine.put(*place, bytes) {
                tracing::warn!(%error, "a damaged entry is not kept");
            }
            shared.hot.remove(*place);
        }
        shared.counters.quarantined.fetch_add(damaged.len() as u64, Ordering::Relaxed);
        let places: Vec<Place> = damaged.iter().map(|damage| damage.place).collect();
        mark_dead(shared, &places);
        if let Err(error) = self.forget(shared, &damaged, &places) {
            tracing::warn!(%error, "a damaged entry stays in the index until it is read again");
        }
        self.note_disk_bytes(shared);
    }

    fn forget(
        &self,
        shared: &Shared,
        damaged: &[&Damage],
        places: &[Place],
    ) -> Result<(), IndexError> {
        let killed = match &self.index {
            Some(index) => killed(index, places),
            None => Err(IndexError::closed()),
        };
        let (runs, entry_bytes) = match killed {
            Ok((runs, entry_bytes)) => (Ok(runs), entry_bytes),
            Err(error) => (Err(error), vec![0; places.len()]),
        };
        let mut state = shared.state_mut();
        for (damage, entry_bytes) in damaged.iter().zip(entry_bytes) {
            let prefix = Prefix::of(&damage.key);
            state.table.remove(damage.namespace, prefix, damage.place, entry_bytes);
        }
        drop(state);
        let changes = Changes { runs: runs?, ..Changes::default() };
        self.index.as_ref().map_or(Ok(()), |index| index.commit(&changes))
    }

    /// Opens the index again after a failure. If it cannot be read, all of it
    /// is built anew.
    fn reopen(&mut self, shared: &Shared) -> Result<(), StorageError> {
        if let Some(index) = self.index.take() {
            index.close();
        }
        self.reserve.release();
        let index = recover::open_index(&shared.config.dir, &mut self.reserve)?;
        let mut packs = shared.state().packs.clone();
        let loaded = recover::load(&index, &mut packs)?;
        let mut state = shared.state_mut();
        state.table = loaded.table;
        state.packs = packs;
        drop(state);
        shared.counters.reopened.fetch_add(1, Ordering::Relaxed);
        shared.counters.runs_lost.fetch_add(loaded.dropped, Ordering::Relaxed);
        tracing::warn!(loaded.dropped, loaded.adopted, "the index is open again");
        self.aside_bytes = recover::aside_bytes(&shared.config.dir);
        self.index = Some(index);
        Ok(())
    }

    /// Writes down when packs were used last.
    pub(crate) fn note_uses(&mut self, shared: &Shared, now: bool) {
        if !now && self.uses_noted.elapsed() < NOTE_USES_EVERY {
            return;
        }
        self.uses_noted = Instant::now();
        let uses: Vec<_> = {
            let state = shared.state();
            state.packs.values().map(|pack| (pack.id, pack.used())).collect()
        };
        if let Some(index) = &self.index
            && let Err(error) = index.note_uses(&uses)
        {
            tracing::warn!(%error, "what was used last is not written down");
        }
    }

    fn beside(&self) -> u64 {
        self.reserve.disk_bytes() + self.quarantine.disk_bytes() + self.aside_bytes
    }

    /// Makes `disk_bytes` known to those who ask for figures.
    pub(crate) fn note_disk_bytes(&self, shared: &Shared) {
        let index = self.index.as_ref().map_or(0, Index::disk_bytes);
        shared.counters.beside_bytes.store(index + self.beside(), Ordering::Relaxed);
    }
}

/// Marks records as dead in their packs, for whoever rebuilds the index.
fn mark_dead(shared: &Shared, places: &[Place]) {
    let mut packs = BTreeMap::new();
    for place in places {
        let Some(pack) = shared.state().packs.get(&place.pack).cloned() else { continue };
        if let Err(error) = pack.kill(place.offset) {
            tracing::warn!(%error, "a dead record is not marked in its pack");
        }
        packs.insert(pack.id, pack);
    }
    for pack in packs.values() {
        if let Err(error) = pack.sync() {
            tracing::warn!(%error, "the marks of dead records may not last");
        }
    }
}

fn closed_index() -> StorageError {
    IndexError::closed().into()
}
