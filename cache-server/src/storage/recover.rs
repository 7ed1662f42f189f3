//! The files of a data directory, in whatever state -> an index, a table and
//! the packs, which agree.
//!
//! What no run of the index covers is read: sound records there are taken up,
//! whether their commit was interrupted or the index has lost it, and the rest
//! is cut off or marked as dead. So an index that is gone is rebuilt, and the
//! death of the process between two steps of a commit loses nothing.
//!
//! Invariants:
//! - packs are the truth; the index only saves the time to read them;
//! - of two records of one key the later one counts.

use crate::storage::index::{Changes, Index, IndexError};
use crate::storage::pack::{Pack, PackId, Place, ScannedAs};
use crate::storage::record::NamespaceId;
use crate::storage::reserve::Reserve;
use crate::storage::run::{Item, Prefix, Run, Runs};
use crate::storage::seal::Secret;
use crate::storage::table::Table;
use crate::storage::{StorageError, pack};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The index's directory in the data directory.
pub(crate) const INDEX: &str = "index";
/// What the directory of an index that could not be read is called, with a
/// number.
const BROKEN: &str = "index-broken-";
/// sled's threads hold its lock for a moment after it was closed.
const ATTEMPTS_MAX: u32 = 100;
const ATTEMPT_EVERY: Duration = Duration::from_millis(20);
/// After so many of them the lock is not to blame.
const WAITS_MAX: u32 = 25;

/// All packs that there are.
pub(crate) type PackMap = BTreeMap<PackId, Arc<Pack>>;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) table: Table,
    /// Runs of the index that do not fit their packs.
    pub(crate) dropped: u64,
    /// Entries that the index did not know.
    pub(crate) adopted: u64,
}

/// Opens the index. One that is damaged is put aside and followed by an empty
/// one.
pub(crate) fn open_index(dir: &Path, reserve: &mut Reserve) -> Result<Index, IndexError> {
    let path = dir.join(INDEX);
    let mut attempt = 0;
    loop {
        attempt += 1;
        match Index::open(&path).and_then(|index| check(&index).map(|()| index)) {
            Ok(index) => return Ok(index),
            Err(error) if attempt >= ATTEMPTS_MAX => return Err(error),
            // It may be for want of room.
            Err(error) if (error.is_damage || attempt > WAITS_MAX) && reserve.release() => {
                tracing::warn!(%error, "the index does not open; it gets the reserve's room");
            }
            Err(error) if error.is_damage => {
                let aside = put_aside(dir, &path)?;
                tracing::warn!(%error, aside, "the index is damaged; it is rebuilt from the packs");
                attempt = attempt.max(ATTEMPTS_MAX - 2);
            }
            Err(_) => thread::sleep(ATTEMPT_EVERY),
        }
    }
}

/// Reads what is read anyway, so that damage shows.
fn check(index: &Index) -> Result<(), IndexError> {
    index.namespaces()?;
    index.uses()?;
    for pack in index.packs()? {
        index.runs_of(pack)?;
    }
    Ok(())
}

fn put_aside(dir: &Path, index: &Path) -> Result<String, IndexError> {
    let number = |name: &str| name.strip_prefix(BROKEN)?.parse::<u32>().ok();
    let mut last = 0;
    for file in fs::read_dir(dir)?.flatten() {
        if let Some(number) = file.file_name().to_str().and_then(number) {
            last = last.max(number);
            // The newest is enough to find out what happened.
            let _ = fs::remove_dir_all(file.path());
        }
    }
    let name = format!("{BROKEN}{}", last + 1);
    fs::rename(index, dir.join(&name))?;
    Ok(name)
}

/// What broken indexes take on the disk, in bytes.
pub(crate) fn aside_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let aside = files.filter(|file| file.file_name().to_string_lossy().starts_with(BROKEN));
    aside.map(|file| crate::storage::index::disk_bytes(&file.path())).sum()
}

/// Opens all packs.
pub(crate) fn open_packs(dir: &Path, secret: Secret) -> Result<PackMap, StorageError> {
    let open = |id| Ok((id, Arc::new(Pack::open(dir, id, secret)?)));
    pack::list(dir)?.into_iter().map(open).collect()
}

/// Makes index and packs agree, and the table of both.
pub(crate) fn load(index: &Index, packs: &mut PackMap) -> Result<Loaded, StorageError> {
    let mut loaded = Loaded::default();
    for (id, name) in index.namespaces()? {
        loaded.table.add_namespace(id, &name);
    }
    for pack in index.packs()? {
        if !packs.contains_key(&pack) {
            let runs = index.runs_of(pack)?;
            loaded.dropped += runs.len() as u64;
            index.forget_runs(&runs)?;
            index.forget_use(pack)?;
        }
    }
    let mut superseded = Vec::new();
    for pack in packs.values() {
        superseded.extend(load_pack(index, pack, &mut loaded)?);
    }
    kill(index, &mut loaded.table, &superseded)?;
    packs.retain(|_, pack| pack.len() > 0 || pack.remove().is_err());
    for id in loaded.table.remove_empty_namespaces() {
        index.forget_namespace(id)?;
    }
    note_uses(index, packs)?;
    Ok(loaded)
}

/// Loads one pack; the places whose keys it has, too.
fn load_pack(index: &Index, pack: &Pack, loaded: &mut Loaded) -> Result<Vec<Place>, StorageError> {
    let mut runs = index.runs_of(pack.id)?;
    let mut dropped = Vec::new();
    let is_known = |run: &Run| loaded.table.name(run.namespace).is_some();
    if !runs.iter().all(|run| run.entries().next().is_none() || is_known(run)) {
        // Names stand before what they name, so all of it has to be read.
        dropped.append(&mut runs);
    }
    let mut covered = 0;
    let mut kept = Vec::new();
    for run in runs {
        if u64::from(run.offset) >= covered && run.end() <= pack.len() {
            covered = run.end();
            kept.push(run);
        } else {
            dropped.push(run);
        }
    }
    loaded.dropped += dropped.len() as u64;
    let mut changes = Changes::default();
    let mut refused = HashSet::new();
    let mut all = Vec::new();
    let mut at = 0;
    for run in kept {
        all.extend(adopt(pack, at..u64::from(run.offset), loaded, &mut refused, &mut changes)?);
        at = run.end();
        all.push(run);
    }
    all.extend(adopt(pack, at..pack.len(), loaded, &mut refused, &mut changes)?);
    if !dropped.is_empty() {
        index.forget_runs(&dropped)?;
    }
    if !changes.runs.is_empty() || !changes.namespaces.is_empty() {
        index.commit(&changes)?;
    }
    let mut superseded = Vec::new();
    for run in &all {
        for (place, prefix, entry_bytes) in run.entries() {
            superseded.extend(loaded.table.insert(run.namespace, prefix, place, entry_bytes));
        }
    }
    Ok(superseded)
}

/// Takes up the sound records of a range that no run covers.
fn adopt(
    pack: &Pack,
    range: std::ops::Range<u64>,
    loaded: &mut Loaded,
    refused: &mut HashSet<NamespaceId>,
    changes: &mut Changes,
) -> Result<Vec<Run>, StorageError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let mut scanned = pack.scan(range.start, range.end)?;
    let is_tail = range.end == pack.len();
    if let Some(last) = scanned.pop_if(|last| is_tail && matches!(last.what, ScannedAs::Garbage)) {
        tracing::warn!(
            pack = pack.id.0,
            offset = last.offset,
            bytes = last.len,
            "the end of a pack is not a record; it is cut off"
        );
        pack.cut(u64::from(last.offset))?;
    }
    let mut runs = Runs::default();
    for found in scanned {
        let (mut namespace, mut item) = (NamespaceId(0), Item::dead(found.len));
        match found.what {
            ScannedAs::Name(id, name) => {
                if loaded.table.add_namespace(id, &name) {
                    changes.namespaces.push((id, name));
                } else {
                    refused.insert(id);
                }
            }
            ScannedAs::Entry { namespace: id, key, entry_bytes } => {
                if loaded.table.name(id).is_some() && !refused.contains(&id) {
                    namespace = id;
                    item = Item::entry(Prefix::of(&key), found.len, entry_bytes);
                    loaded.adopted += 1;
                }
            }
            ScannedAs::Dead | ScannedAs::Garbage => {}
        }
        runs.push(pack.id, found.offset, namespace, item);
    }
    changes.runs.extend(runs.0.iter().cloned());
    Ok(runs.0)
}

/// The runs in which records are marked as dead, and what each had in bytes.
pub(crate) fn killed(index: &Index, places: &[Place]) -> Result<(Vec<Run>, Vec<u32>), IndexError> {
    let mut runs: BTreeMap<Place, Run> = BTreeMap::new();
    let mut entry_bytes = Vec::new();
    for place in places {
        let Some(found) = index.run_at(place.pack, place.offset)? else {
            entry_bytes.push(0);
            continue;
        };
        let at = Place { pack: found.pack, offset: found.offset, len: 0 };
        let run = runs.entry(at).or_insert(found);
        entry_bytes.push(run.kill(*place).unwrap_or(0));
    }
    Ok((runs.into_values().collect(), entry_bytes))
}

/// Marks records as dead that the table does not have any more.
fn kill(index: &Index, table: &mut Table, places: &[Place]) -> Result<(), IndexError> {
    if places.is_empty() {
        return Ok(());
    }
    let (runs, entry_bytes) = killed(index, places)?;
    entry_bytes.into_iter().for_each(|bytes| table.uncount_entry_bytes(bytes));
    index.commit(&Changes { runs, ..Changes::default() })
}

/// Gives each pack its last use. One without has been made after they were
/// written down.
fn note_uses(index: &Index, packs: &PackMap) -> Result<(), IndexError> {
    let uses: BTreeMap<PackId, u64> = index.uses()?.into_iter().collect();
    let last = uses.values().copied().max().unwrap_or(0);
    for (id, pack) in packs {
        pack.touch(uses.get(id).copied().unwrap_or(last));
    }
    Ok(())
}
