//! A module's name -> the cache keys that its last builds used, kept in a store
//! whose entries never change.
//!
//! "What this module used last time" changes with every build, while an entry,
//! once there, stays: other bytes under the same key are refused and counted as
//! a conflict. So a manifest is a log. Each record has a key of its own, made of
//! the module's name and a [`Place`]: week, generation within the week, and
//! lane. All places of this week and of the last one, and the first ones of the
//! weeks before, are asked for in one batch. Read in order, a full record
//! replaces the list and any other adds to it.
//!
//! - **Nothing new, nothing written.** A build whose keys are all in the list
//!   leaves the log alone, as long as no more than half as many again are in it
//!   for nothing. Machines that build two branches by turns thus end with a list
//!   that serves both. An edit writes a record of the keys that are new.
//! - **Bounded.** A week has [`GENERATIONS`] generations, and the more of them
//!   are taken, the more keys must be new: Wasmtime's keys depend on whether the
//!   function compiled before was a hit, so a few are new in every build. A
//!   build that finds no room is not recorded: what it edited is missed by
//!   `prefetch` until there is more of it, or the next week. The first record of
//!   a week is a full one, so older weeks can be forgotten.
//! - **Few conflicts.** A writer looks at the log again just before it writes. Two
//!   that do so at the same time take the same generation, but the lane comes
//!   from a hash of the record: the same keys give the same bytes, and different
//!   ones a different lane, seven times of eight. The eighth time the later
//!   record is refused, a server counts and logs a conflict, and the record's keys
//!   are written by the next build. Many machines that build a new module at the
//!   same time will see that; it is no sign of a wrong key.
//! - **Several views.** Machines with other tiers may see other parts of the log.
//!   A missing or damaged record costs its keys' prefetch and nothing more.

use super::blob;
use super::namespace::{Namespace, Place};
use super::record::{KEYS_MAX, Record, RecordKind};
use std::collections::HashSet;
use std::time::{Duration, SystemTime};
use stencil::{CacheKey, CacheStore, Lookup, MissReason, NewEntry};

/// Records one after the other within a week.
pub(super) const GENERATIONS: u8 = 32;
/// Records beside each other within a generation.
pub(super) const LANES: u8 = 8;
/// How long a module may rest until its keys are forgotten, in weeks.
const WEEKS_ASKED: u64 = 26;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The list of a module's keys, as far as it can be read.
#[derive(Clone, Debug)]
pub(super) struct ManifestLog {
    week: u64,
    keys: HashSet<CacheKey>,
    /// This week has a full record.
    is_current: bool,
    /// The generation of the next record, or why the log could not be read.
    generation: Result<u8, MissReason>,
}

/// The week of a time; the first one for times before 1970.
pub(super) fn week_of(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / WEEK.as_secs()
}

/// Everywhere that a record may lie, in the order of the log.
fn places(week: u64) -> impl Iterator<Item = Place> {
    let first = week.saturating_sub(WEEKS_ASKED);
    (first..=week).flat_map(move |asked| {
        let generations = if asked + 1 >= week { GENERATIONS } else { 1 };
        (0..generations).flat_map(move |generation| {
            (0..LANES).map(move |lane| Place { week: asked, generation, lane })
        })
    })
}

/// Whether a miss for this reason means that the place can be written to.
fn is_free(reason: MissReason) -> bool {
    matches!(
        reason,
        MissReason::Absent
            | MissReason::Version
            | MissReason::Checksum
            | MissReason::WrongKey
            | MissReason::BadEntry
            | MissReason::Corrupt
    )
}

impl ManifestLog {
    /// Reads a module's log with one lookup.
    pub(super) fn read(
        tiers: &dyn CacheStore,
        namespace: &Namespace,
        module_id: &[u8],
        week: u64,
    ) -> Self {
        let places: Vec<Place> = places(week).collect();
        let keys: Vec<CacheKey> =
            places.iter().map(|place| namespace.manifest(module_id, *place)).collect();
        let mut log = Self { week, keys: HashSet::new(), is_current: false, generation: Ok(0) };
        for ((place, key), answer) in places.into_iter().zip(&keys).zip(tiers.lookup(&keys)) {
            match answer {
                Lookup::Hit(bytes, _) => log.take(place, key, &bytes),
                Lookup::Miss(reason) if is_free(reason) => {}
                Lookup::Miss(reason) => log.generation = Err(reason),
            }
        }
        log
    }

    fn take(&mut self, place: Place, key: &CacheKey, bytes: &[u8]) {
        if place.week == self.week {
            let next = place.generation + 1;
            self.generation = self.generation.and(Ok(next));
        }
        let Some(record) = blob::open(key, bytes).ok().and_then(Record::decode) else {
            return;
        };
        if record.kind == RecordKind::Full {
            self.keys.clear();
            self.is_current |= place.week == self.week;
        }
        let room = KEYS_MAX.saturating_sub(self.keys.len());
        self.keys.extend(record.keys().iter().take(room));
    }

    /// The keys, in ascending order.
    pub(super) fn keys(&self) -> Vec<CacheKey> {
        let mut keys: Vec<CacheKey> = self.keys.iter().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// How many keys must be new for a record: from one in an empty week up to an
    /// eighth of the module in a full one.
    fn new_min(&self, used: usize) -> usize {
        let taken = usize::from(self.generation.unwrap_or(GENERATIONS));
        (used * taken / usize::from(GENERATIONS) / 8).max(1)
    }

    /// What has to be written after a build that used `used`; `is_whole` if it
    /// ran to its end, so that what it did not use is not used any more.
    pub(super) fn record_of(&self, used: &HashSet<CacheKey>, is_whole: bool) -> Option<Record> {
        let new = || used.difference(&self.keys).copied();
        let stale = self.keys.difference(used).count();
        let new_count = new().count();
        let is_bloated = stale > used.len() / 2 || self.keys.len() + new_count > KEYS_MAX;
        let record = match is_whole {
            true if !self.is_current || is_bloated => {
                Record::new(RecordKind::Full, used.iter().copied())
            }
            // Of a build that failed nobody knows what it would have used.
            false if !self.is_current => {
                Record::new(RecordKind::Full, self.keys.iter().copied().chain(new()))
            }
            _ if new_count < self.new_min(used.len()) => return None,
            _ => Record::new(RecordKind::Append, new()),
        };
        (!record.keys().is_empty()).then_some(record)
    }

    /// The entry of a record in the next free place.
    ///
    /// # Errors
    ///
    /// [`MissReason::Full`] if the week has none left, or why the log could not
    /// be read: what is not known to be free is not written to.
    pub(super) fn entry_of(
        &self,
        namespace: &Namespace,
        module_id: &[u8],
        record: &Record,
    ) -> Result<NewEntry, MissReason> {
        let generation = self.generation?;
        if generation >= GENERATIONS {
            return Err(MissReason::Full);
        }
        let place = Place { week: self.week, generation, lane: record.lane(LANES) };
        let key = namespace.manifest(module_id, place);
        let bytes = blob::seal(&key, record.encode()).map_err(|e| MissReason::from(&e))?;
        Ok(NewEntry { key, bytes })
    }
}
