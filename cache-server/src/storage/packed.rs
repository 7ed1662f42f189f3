//! [`PackStorage`]: keys and entries <-> a data directory.
//!
//! ```text
//! DATA_DIR/lock               held as long as a server runs
//! DATA_DIR/secret             seal             what checksums are seeded with
//! DATA_DIR/packs/*.pack       record, pack     entries, appended
//! DATA_DIR/index/             run, index       sled: what is in which pack
//! DATA_DIR/reserve            reserve          room for sled when the disk is full
//! DATA_DIR/quarantine/        quarantine       damaged records
//! DATA_DIR/index-broken-N/    recover          an index that could not be read
//! ```
//!
//! A lookup asks `table` for places and reads them, from `hot` or from packs. A
//! publish waits until it may write, and then writes for all who wait.
//!
//! Invariant: the writer's lock is taken before the state's, and no lock is
//! held while an entry is handed out.

use crate::storage::append::{Active, Packs};
use crate::storage::config::{OpenError, SIZE_MIN, StorageConfig};
use crate::storage::hot::Hot;
use crate::storage::pack::{Pack, PackId, Place, io_error, sync_dir};
use crate::storage::quarantine::Quarantine;
use crate::storage::read::{Damage, From, Plan, Wanted};
use crate::storage::record::{NamespaceId, put_entry};
use crate::storage::recover::{self, INDEX, PackMap};
use crate::storage::reserve::Reserve;
use crate::storage::run::{Prefix, Run};
use crate::storage::seal::Secret;
use crate::storage::stage::{Batch, Staged};
use crate::storage::table::Table;
use crate::storage::writer::Writer;
use crate::storage::{
    LookupCounts, Next, Published, Storage, StorageError, StorageStats, StoredEntry, lock,
};
use proto::{Coded, Namespace};
use std::collections::{BTreeMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;
use stencil::CacheKey;

/// Bytes of entries that are committed together when several publishes wait.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// Entries in pack files.
#[derive(Debug)]
pub struct PackStorage {
    shared: Shared,
    writer: Mutex<Writer>,
    waiting: Mutex<Vec<Arc<Job>>>,
    _lock: File,
}

/// A publish that waits for its turn.
#[derive(Debug)]
struct Job {
    batch: Batch,
    outcome: Mutex<Option<Result<Published, StorageError>>>,
}

/// What readers and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: StorageConfig,
    pub(crate) secret: Secret,
    pub(crate) hot: Hot,
    pub(crate) counters: Counters,
    state: RwLock<State>,
    clock: AtomicU64,
}

/// Where everything is.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) packs: PackMap,
}

/// Figures that no lock is needed for.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) evicted: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) reopened: AtomicU64,
    pub(crate) runs_lost: AtomicU64,
    /// What everything but packs takes on the disk, in bytes.
    pub(crate) beside_bytes: AtomicU64,
}

impl State {
    /// What the packs take on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.packs.values().map(|pack| pack.disk_bytes()).sum()
    }

    /// The pack that was not used for the longest time.
    pub(crate) fn oldest(&self, but: Option<PackId>) -> Option<Arc<Pack>> {
        let packs = self.packs.values().filter(|pack| Some(pack.id) != but);
        packs.min_by_key(|pack| (pack.used(), pack.id)).cloned()
    }

    /// Removes a pack and its entries; how many there were.
    pub(crate) fn evict(&mut self, pack: &Pack, runs: &[Run]) -> u64 {
        let mut removed = 0;
        for run in runs {
            for (place, prefix, entry_bytes) in run.entries() {
                removed += u64::from(self.table.remove(run.namespace, prefix, place, entry_bytes));
            }
        }
        self.packs.remove(&pack.id);
        self.table.shrink();
        removed
    }
}

impl Shared {
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next tick of the clock that orders the uses of packs.
    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// What to read for these keys.
    pub(crate) fn plan<'a>(
        &self,
        namespace: NamespaceId,
        keys: impl Iterator<Item = &'a CacheKey>,
    ) -> Plan {
        let now = self.now();
        let state = self.state();
        let mut wanted: Vec<Wanted> = Vec::new();
        for (index, key) in (0..).zip(keys) {
            if let Some(place) = state.table.get(namespace, Prefix::of(key)) {
                wanted.push(Wanted { place, index, key: *key });
            }
        }
        wanted.sort_unstable_by_key(|wanted| (wanted.place, wanted.index));
        let mut packs = BTreeMap::new();
        let mut last = None;
        for Wanted { place, .. } in &wanted {
            if last.replace(place.pack) != Some(place.pack)
                && let Some(pack) = state.packs.get(&place.pack)
            {
                pack.touch(now);
                packs.insert(place.pack, pack.clone());
            }
        }
        Plan { secret: self.secret, namespace, wanted, packs }
    }

    /// Puts into memory what was just published.
    pub(crate) fn fill_hot(&self, staged: &Staged, places: &[Place]) {
        if !self.hot.is_on() {
            return;
        }
        let mut record = Vec::new();
        for (new, place) in staged.new.iter().zip(places) {
            record.clear();
            put_entry(&mut record, self.secret.seal(*place), new.namespace, &new.key, &new.coded);
            self.hot.put(std::iter::once((*place, record.as_slice())));
        }
    }
}

/// Entries are machine code: whoever may write here may run code on every
/// reader.
fn check_rights(dir: &Path) -> Result<(), OpenError> {
    let metadata = dir.metadata().map_err(|error| io_error("look at", dir, error))?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    match ours && metadata.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(OpenError::Untrusted { dir: dir.to_owned() }),
    }
}

fn make_dir(dir: &Path) -> Result<(), StorageError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| io_error("make", dir, error))
}

fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|error| io_error("open", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path, error).into()),
    }
}

impl PackStorage {
    /// Opens a data directory, or makes one. Whatever a process that died has
    /// left there is mended.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`].
    pub fn open(config: StorageConfig) -> Result<Self, OpenError> {
        if config.size_max < SIZE_MIN {
            return Err(OpenError::TooSmall { got: config.size_max });
        }
        let dir = &config.dir;
        let packs_dir = dir.join("packs");
        make_dir(&packs_dir)?;
        check_rights(dir)?;
        let lock = take_lock(dir)?;
        let secret = Secret::open(dir)?;
        let mut reserve = Reserve::open(dir, config.reserve_bytes());
        let index = recover::open_index(dir, &mut reserve)
            .map_err(|error| OpenError::Index { dir: dir.join(INDEX), what: error.to_string() })?;
        let mut packs = recover::open_packs(&packs_dir, secret)?;
        let next = packs.keys().next_back().copied();
        let next = next.max(index.packs().map_err(StorageError::from)?.last().copied());
        let loaded = recover::load(&index, &mut packs)?;
        sync_dir(&packs_dir)?;
        sync_dir(dir)?;
        tracing::info!(dir = %dir.display(), entries = loaded.table.len(), packs = packs.len(),
            loaded.dropped, loaded.adopted, "storage is open");
        if loaded.dropped > 0 {
            tracing::warn!(
                runs = loaded.dropped,
                "the index has entries whose packs are gone or \
                shorter; they are forgotten, and stored again when they are published again"
            );
        }
        let growing = packs.values().next_back().filter(|pack| pack.len() < config.pack_bytes());
        let clock = packs.values().map(|pack| pack.used()).max().unwrap_or(0);
        let packs_writer = Packs {
            dir: packs_dir,
            secret,
            pack_bytes: config.pack_bytes(),
            next: PackId(next.map_or(1, |last| last.0 + 1)),
            active: growing.cloned().map(Active::new),
        };
        let writer = Writer {
            index: Some(index),
            packs: packs_writer,
            reserve,
            quarantine: Quarantine::open(&dir.join("quarantine"), config.quarantine_bytes_max()),
            aside_bytes: recover::aside_bytes(dir),
            uses_noted: Instant::now(),
            closed: false,
        };
        let shared = Shared {
            hot: Hot::new(config.hot_bytes_max),
            counters: Counters { runs_lost: loaded.dropped.into(), ..Counters::default() },
            state: RwLock::new(State { table: loaded.table, packs }),
            clock: AtomicU64::new(clock + 1),
            config,
            secret,
        };
        writer.note_disk_bytes(&shared);
        Ok(Self { shared, writer: Mutex::new(writer), waiting: Mutex::default(), _lock: lock })
    }

    fn put_aside(&self, damaged: &[Damage]) -> u64 {
        if !damaged.is_empty() {
            lock(&self.writer).put_aside(&self.shared, damaged);
        }
        damaged.len() as u64
    }

    /// Publishes for all who wait, in groups.
    fn work(&self, writer: &mut Writer) {
        let jobs = std::mem::take(&mut *lock(&self.waiting));
        let mut rest = jobs.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |job: &&Arc<Job>| {
                let first = bytes == 0;
                bytes += job.bytes();
                first || bytes <= GROUP_BYTES_MAX
            };
            let (group, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = others;
            let batches: Vec<&Batch> = group.iter().map(|job| &job.batch).collect();
            match writer.publish(&self.shared, &batches) {
                Ok(outcomes) => {
                    group.iter().zip(outcomes).for_each(|(job, outcome)| job.done(Ok(outcome)));
                }
                Err(error) => match group {
                    [job] => job.done(Err(error)),
                    // What is too much together may be done one by one.
                    _ => group.iter().for_each(|job| {
                        let outcomes = writer.publish(&self.shared, &[&job.batch]);
                        job.done(outcomes.map(|mut outcomes| outcomes.pop().unwrap_or_default()));
                    }),
                },
            }
        }
    }
}

impl Job {
    fn bytes(&self) -> usize {
        self.batch.entries.iter().map(|entry| entry.coded.data.len()).sum()
    }

    fn done(&self, outcome: Result<Published, StorageError>) {
        *lock(&self.outcome) = Some(outcome);
    }
}

impl Storage for PackStorage {
    fn lookup(
        &self,
        namespace: &Namespace,
        keys: &[CacheKey],
        found: &mut dyn FnMut(u32, Coded) -> Next,
    ) -> LookupCounts {
        let mut counts = LookupCounts { keys: keys.len() as u64, ..LookupCounts::default() };
        let Some(namespace) = self.shared.state().table.id(namespace) else { return counts };
        let plan = self.shared.plan(namespace, keys.iter());
        let rest = plan.read(&self.shared.hot, &mut |index, coded, from| {
            counts.hits += 1;
            counts.hot_hits += u64::from(from == From::Memory);
            found(index, coded)
        });
        counts.quarantined = self.put_aside(&rest.damaged);
        counts
    }

    fn find_missing(&self, namespace: &Namespace, keys: &[CacheKey]) -> Vec<u32> {
        let id = self.shared.state().table.id(namespace);
        // Who is told that an entry is there will not publish it: that is a use.
        let there = id.map(|id| self.shared.plan(id, keys.iter()).wanted).unwrap_or_default();
        let there: HashSet<u32> = there.into_iter().map(|wanted| wanted.index).collect();
        (0..).zip(keys).map(|(index, _)| index).filter(|index| !there.contains(index)).collect()
    }

    fn publish(
        &self,
        namespace: &Namespace,
        entries: Vec<StoredEntry>,
        replace: bool,
    ) -> Result<Published, StorageError> {
        let batch = Batch { namespace: namespace.clone(), entries, replace };
        let job = Arc::new(Job { batch, outcome: Mutex::default() });
        lock(&self.waiting).push(job.clone());
        let mut writer = lock(&self.writer);
        if lock(&job.outcome).is_none() {
            self.work(&mut writer);
        }
        drop(writer);
        let outcome = lock(&job.outcome).take();
        outcome.unwrap_or_else(|| Err(StorageError::Index("the one who wrote has panicked".into())))
    }

    fn stats(&self) -> StorageStats {
        let counters = &self.shared.counters;
        let (hot_entries, hot_bytes) = self.shared.hot.size();
        let state = self.shared.state();
        let (entry_bytes, stored_bytes) = state.table.bytes();
        let namespaces = state.table.namespaces();
        StorageStats {
            entries: state.table.len(),
            entry_bytes,
            stored_bytes,
            disk_bytes: state.disk_bytes() + counters.beside_bytes.load(Ordering::Relaxed),
            size_max: self.shared.config.size_max,
            hot_entries,
            hot_bytes,
            hot_bytes_max: self.shared.config.hot_bytes_max,
            table_bytes: state.table.table_bytes(),
            evicted: counters.evicted.load(Ordering::Relaxed),
            quarantined: counters.quarantined.load(Ordering::Relaxed),
            reopened: counters.reopened.load(Ordering::Relaxed),
            runs_lost: counters.runs_lost.load(Ordering::Relaxed),
            namespaces: namespaces
                .map(|counts| (counts.name.clone(), counts.entries, counts.stored_bytes))
                .collect(),
        }
    }

    fn close(&self) -> Result<(), StorageError> {
        let mut writer = lock(&self.writer);
        self.work(&mut writer);
        if !writer.closed {
            writer.closed = true;
            writer.note_uses(&self.shared, true);
            if let Some(index) = writer.index.take() {
                index.close();
            }
        }
        Ok(())
    }
}

impl Drop for PackStorage {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
