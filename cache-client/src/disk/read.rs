//! Cache keys -> sealed entries, each one checked.
//!
//! A lookup plans where its keys lie, then reads chunk by chunk. Both are done
//! by a few threads with a connection each.
//!
//! Invariant: an entry is handed out only if its seal is whole and echoes the
//! key that was asked for. What the tables say is never believed.

use crate::disk::chunk::ChunkId;
use crate::disk::error::DiskError;
use crate::disk::generation::{Generation, lock};
use crate::disk::plan::{self, LastUse, Location, Place, Plan};
use bytes::Bytes;
use rusqlite::blob::Blob;
use rusqlite::{Connection, ErrorCode, MAIN_DB};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use stencil::{CacheKey, Lookup, MissReason, Tier, entry};

/// More threads than this do not read faster.
const THREADS_MAX: usize = 4;
/// Starting a thread takes as long as looking up about this many keys.
const KEYS_PER_THREAD_MIN: usize = 256;

/// What became of a lookup.
pub(crate) struct Answers {
    pub(crate) lookups: Vec<Lookup>,
    /// The chunks that it met.
    pub(crate) uses: Vec<LastUse>,
    /// Why some keys were not looked up at all.
    pub(crate) failure: Option<DiskError>,
}

/// A key by its position among those asked for, and where its entry should lie.
type Wanted = (usize, Location);

/// A key by its position among those asked for, and its answer.
type Found = (usize, Lookup);

/// Looks up many keys at once, each in a transaction of its thread.
pub(crate) fn lookup(generation: &Generation, keys: &[CacheKey]) -> Answers {
    let mut found = Vec::with_capacity(keys.len());
    let mut failure = None;
    let mut uses = Vec::new();
    let mut wanted = Vec::with_capacity(keys.len());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(THREADS_MAX).min(1 + keys.len() / KEYS_PER_THREAD_MIN);

    let share = keys.len().div_ceil(threads).max(1);
    let shares = keys.chunks(share).collect();
    let plans = in_parallel(shares, |keys| {
        generation.read(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            plan::plan(&snapshot, keys)
        })
    });
    for (plan, first) in plans.into_iter().zip((0..).step_by(share)) {
        match plan {
            Ok(plan) => {
                sort_out(plan.places, first, &mut wanted, &mut found);
                uses.extend(plan.uses);
            }
            Err(error) => failure = Some(error),
        }
    }

    let groups = by_chunk(&mut wanted);
    let next = AtomicUsize::new(0);
    let reads = in_parallel(vec![(); threads.min(groups.len())], |()| {
        let mut found = Vec::new();
        let read = generation.read(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let mut chunks = ChunkReader::new(&snapshot);
            while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                chunks.read(keys, group, &mut found)?;
            }
            Ok(())
        });
        (found, read)
    });
    for (part, read) in reads {
        found.extend(part);
        failure = read.err().or(failure);
    }
    let unanswered = failure.as_ref().map_or(MissReason::Io, DiskError::reason);
    Answers { lookups: in_order(keys.len(), found, unanswered), uses, failure }
}

/// Looks up keys within the connection's current transaction.
pub(crate) fn lookup_within(
    connection: &Connection,
    keys: &[CacheKey],
) -> rusqlite::Result<Vec<Lookup>> {
    let (mut wanted, mut found) = (Vec::new(), Vec::new());
    let Plan { places, .. } = plan::plan(connection, keys)?;
    sort_out(places, 0, &mut wanted, &mut found);
    let mut chunks = ChunkReader::new(connection);
    for group in by_chunk(&mut wanted) {
        chunks.read(keys, group, &mut found)?;
    }
    Ok(in_order(keys.len(), found, MissReason::Io))
}

/// Runs one job on this thread and the others on a thread each, or on this one
/// too if the system refuses a thread.
fn in_parallel<J: Send, T: Send>(jobs: Vec<J>, run: impl Fn(J) -> T + Sync) -> Vec<T> {
    let jobs: Vec<Mutex<Option<J>>> = jobs.into_iter().map(|job| Mutex::new(Some(job))).collect();
    let run = &|job: &Mutex<Option<J>>| lock(job).take().map(&run);
    let Some((first, others)) = jobs.split_first() else {
        return Vec::new();
    };
    thread::scope(|scope| {
        let start = |job| thread::Builder::new().spawn_scoped(scope, move || run(job)).ok();
        let threads: Vec<_> = others.iter().map(start).collect();
        let mut results: Vec<T> = run(first).into_iter().collect();
        for (job, thread) in others.iter().zip(threads) {
            results.extend(match thread.map(ScopedJoinHandle::join) {
                None => run(job),
                Some(Ok(result)) => result,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
            });
        }
        results
    })
}

/// Places -> keys to read, and keys whose answer is known.
fn sort_out(places: Vec<Place>, first: usize, wanted: &mut Vec<Wanted>, found: &mut Vec<Found>) {
    for (place, at) in places.into_iter().zip(first..) {
        match place {
            Place::At(location) => wanted.push((at, location)),
            Place::Absent => found.push((at, Lookup::Miss(MissReason::Absent))),
            Place::Dangling => found.push((at, Lookup::Miss(MissReason::Corrupt))),
        }
    }
}

/// Sorts by place and cuts into one group a chunk.
fn by_chunk(wanted: &mut [Wanted]) -> Vec<&[Wanted]> {
    wanted.sort_unstable_by_key(|(_, location)| (location.chunk, location.range.start));
    wanted.chunk_by(|(_, a), (_, b)| a.chunk == b.chunk).collect()
}

fn in_order(len: usize, found: Vec<Found>, unanswered: MissReason) -> Vec<Lookup> {
    let mut lookups = vec![Lookup::Miss(unanswered); len];
    for (at, lookup) in found {
        if let Some(slot) = lookups.get_mut(at) {
            *slot = lookup;
        }
    }
    lookups
}

/// Reads chunks through one handle that is moved from row to row.
struct ChunkReader<'c> {
    connection: &'c Connection,
    handle: Option<Blob<'c>>,
}

impl<'c> ChunkReader<'c> {
    fn new(connection: &'c Connection) -> Self {
        let handle = None;
        Self { connection, handle }
    }

    /// Reads the entries of one chunk, in one piece where most of it is wanted.
    ///
    /// The answers are slices of what was read and keep it alive, so where they
    /// are few, each one is read for itself.
    fn read(
        &mut self,
        keys: &[CacheKey],
        group: &[Wanted],
        found: &mut Vec<Found>,
    ) -> rusqlite::Result<()> {
        let ([(_, first), ..], [.., (_, last)]) = (group, group) else {
            return Ok(());
        };
        let span = first.range.start..last.range.end;
        let wanted: usize = group.iter().map(|(_, location)| location.range.len()).sum();
        let whole = if wanted.saturating_mul(2) >= span.len() {
            self.bytes(first, &span)?.ok()
        } else {
            None
        };
        for (at, location) in group {
            let Some(key) = keys.get(*at) else { continue };
            let bytes = match &whole {
                Some(whole) => slice(whole, &span, &location.range).ok_or(MissReason::Corrupt),
                None => self.bytes(location, &location.range)?,
            };
            let lookup = match checked(key, bytes) {
                Ok(bytes) => Lookup::Hit(bytes, Tier::Disk),
                Err(reason) => self.read_elsewhere(key, location.chunk, reason)?,
            };
            found.push((*at, lookup));
        }
        Ok(())
    }

    /// A damaged entry that was published again lies in a later chunk, but its
    /// old chunk still lists it. The index has the last word.
    fn read_elsewhere(
        &mut self,
        key: &CacheKey,
        tried: ChunkId,
        reason: MissReason,
    ) -> rusqlite::Result<Lookup> {
        let location = match plan::place(self.connection, key)? {
            Place::At(location) if location.chunk != tried => location,
            Place::At(_) => return Ok(Lookup::Miss(reason)),
            Place::Absent => return Ok(Lookup::Miss(MissReason::Absent)),
            Place::Dangling => return Ok(Lookup::Miss(MissReason::Corrupt)),
        };
        let bytes = self.bytes(&location, &location.range)?;
        Ok(match checked(key, bytes) {
            Ok(bytes) => Lookup::Hit(bytes, Tier::Disk),
            Err(reason) => Lookup::Miss(reason),
        })
    }

    /// Reads a part of a chunk's data. Not if the chunk has no data, or not as
    /// much as its directory says: nothing is allocated on its word alone. And
    /// not if there is no memory for as much.
    fn bytes(
        &mut self,
        location: &Location,
        part: &Range<u32>,
    ) -> rusqlite::Result<Result<Bytes, MissReason>> {
        let ChunkId(row) = location.chunk;
        let moved = match &mut self.handle {
            Some(handle) => handle.reopen(row),
            None => self
                .connection
                .blob_open(MAIN_DB, c"chunk_data", c"data", row, true)
                .map(|handle| self.handle = Some(handle)),
        };
        let handle = match (moved, &self.handle) {
            (Ok(()), Some(handle)) if handle.len() == location.chunk_len as usize => handle,
            (Err(error), _) if !is_missing_row(&error) => return Err(error),
            _ => {
                // A handle that failed to move is of no further use.
                self.handle = None;
                return Ok(Err(MissReason::Corrupt));
            }
        };
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(part.len()).is_err() {
            return Ok(Err(MissReason::TooLarge));
        }
        bytes.resize(part.len(), 0);
        handle.read_at_exact(&mut bytes, part.start as usize)?;
        Ok(Ok(bytes.into()))
    }
}

fn is_missing_row(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::Unknown)
}

fn slice(whole: &Bytes, span: &Range<u32>, range: &Range<u32>) -> Option<Bytes> {
    let start = range.start.checked_sub(span.start)? as usize;
    let end = range.end.checked_sub(span.start)? as usize;
    (start <= end && end <= whole.len()).then(|| whole.slice(start..end))
}

fn checked(key: &CacheKey, bytes: Result<Bytes, MissReason>) -> Result<Bytes, MissReason> {
    let bytes = bytes?;
    match entry::verify(key, &bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(MissReason::from(&error)),
    }
}
