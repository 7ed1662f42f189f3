//! A size limit -> the least recently used chunks are gone.
//!
//! Invariant: the file never has more pages than the limit allows. Room is made
//! before entries are written, and the pages of what was evicted are used
//! again.

use crate::disk::chunk::{CHUNK_BYTES, ChunkId, Directory};
use crate::disk::generation::WriteError;
use crate::disk::schema::{PAGE_BYTES, pages_in};
use crate::disk::write::now;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

const OLDEST: &str = "SELECT id, bytes, directory FROM chunk ORDER BY used, id LIMIT 1";

/// Chunks that say that they will be used: the clock was ahead when they were, or is behind now.
/// They would outlive everything that is used from now on, so they go first. What is looked up
/// meanwhile gets the right time (`touch`).
const FROM_THE_FUTURE: &str =
    "SELECT id, bytes, directory FROM chunk WHERE used > ?1 ORDER BY used, id LIMIT 1";

/// Clocks of machines that share a directory differ by this much, in seconds.
const CLOCK_SLACK_SECONDS: i64 = 60;

/// Chunks that one transaction of [`prune`] removes, and pages that one gives
/// back: others wait for as long as this takes.
const CHUNKS_PER_TRANSACTION: u64 = 64;
const PAGES_PER_TRANSACTION: u64 = 512;

/// Pages that a transaction may need besides those of its data: splits on every
/// level of every table, and SQLite's own map of pages.
const SPARE_PAGES: u64 = 16;
/// Pages that a transaction may evict beyond what it needs, while the file is
/// larger than a limit that was lowered: others wait for as long as this takes.
const EXCESS_PAGES_MAX: u64 = 2048;
/// Bytes that an entry takes in the index and in its directory, with room for
/// half-empty pages.
const ENTRY_OVERHEAD_BYTES: u64 = 64;

/// How many pages a file has, in use and in all.
struct Pages {
    all: u64,
    free: u64,
}

impl Pages {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |pragma: &str| {
            let count: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
            Ok::<_, rusqlite::Error>(u64::try_from(count).unwrap_or(0))
        };
        Ok(Self { all: count("page_count")?, free: count("freelist_count")? })
    }

    fn used(&self) -> u64 {
        self.all.saturating_sub(self.free)
    }
}

/// What was evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) chunks: u64,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// Evicts until `entries` more entries of `bytes` bytes in all fit in.
///
/// In a file that is far larger than the limit, each transaction evicts a part
/// of the excess. Those pages are used before the file grows.
pub(crate) fn make_room(
    transaction: &Transaction<'_>,
    entries: u64,
    bytes: u64,
    size_max: u64,
) -> Result<(), WriteError> {
    // Each chunk leaves up to one page partly empty.
    let chunks = 1 + bytes / CHUNK_BYTES as u64;
    let needed = bytes + entries * ENTRY_OVERHEAD_BYTES;
    let needed = needed.div_ceil(u64::from(PAGE_BYTES)) + chunks + SPARE_PAGES;
    let enough = Pages::of(transaction)?.used().saturating_sub(needed + EXCESS_PAGES_MAX);
    let target = pages_in(size_max).max(enough + needed);
    let mut evicted = Evicted::default();
    while Pages::of(transaction)?.used() + needed > target {
        if !evict_oldest(transaction, &mut evicted)? {
            return Err(WriteError::NoRoom);
        }
    }
    Ok(())
}

/// The last line of defence of the size limit, before a commit: nothing is
/// written to the file until then. A file that was larger may stay so, but does
/// not grow.
pub(crate) fn check_size(
    transaction: &Transaction<'_>,
    size_max: u64,
    pages_before: u64,
) -> Result<(), WriteError> {
    if page_count(transaction)? > pages_in(size_max).max(pages_before) {
        return Err(WriteError::NoRoom);
    }
    Ok(())
}

/// The size of the file in pages.
pub(crate) fn page_count(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(Pages::of(connection)?.all)
}

/// Evicts until all entries take at most `size_max` bytes, and gives the room
/// back to the file system. Other processes work on between its transactions.
pub(crate) fn prune(connection: &mut Connection, size_max: u64) -> Result<Evicted, WriteError> {
    let mut evicted = Evicted::default();
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut left = CHUNKS_PER_TRANSACTION;
        let mut oldest_is_left = true;
        while left > 0 && oldest_is_left && Pages::of(&transaction)?.used() > pages_in(size_max) {
            oldest_is_left = evict_oldest(&transaction, &mut evicted)?;
            left -= 1;
        }
        transaction.commit()?;
        if left > 0 {
            break;
        }
    }
    shrink(connection, 0, u64::MAX)?;
    Ok(evicted)
}

/// Gives free pages back until the file has at most `size_max` bytes, but not
/// more than `pages_max` of them.
pub(crate) fn shrink(
    connection: &Connection,
    size_max: u64,
    mut pages_max: u64,
) -> rusqlite::Result<()> {
    loop {
        let pages = Pages::of(connection)?;
        let excess = pages.all.saturating_sub(pages_in(size_max)).min(pages.free);
        let step = excess.min(pages_max).min(PAGES_PER_TRANSACTION);
        if step == 0 {
            return Ok(());
        }
        let mut give_back = connection.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
        let mut given_back = give_back.query([])?;
        // It gives one page back for each row that is asked for.
        while given_back.next()?.is_some() {}
        if Pages::of(connection)?.all == pages.all {
            return Ok(());
        }
        pages_max -= step;
    }
}

/// Removes the least recently used chunk, or one from the future; false if there is none.
fn evict_oldest(connection: &Connection, evicted: &mut Evicted) -> rusqlite::Result<bool> {
    let read = |row: &Row<'_>| {
        // A damaged directory is an empty one: the index then keeps entries
        // that lead nowhere, until they are published again.
        let directory: Directory = row.get(2).unwrap_or_default();
        let bytes: i64 = row.get(1).unwrap_or_default();
        Ok((row.get(0)?, bytes, directory))
    };
    let latest = now().saturating_add(CLOCK_SLACK_SECONDS);
    let mut ahead = connection.prepare_cached(FROM_THE_FUTURE)?;
    let mut first: Option<(ChunkId, i64, _)> = ahead.query_row([latest], read).optional()?;
    if first.is_none() {
        first = connection.prepare_cached(OLDEST)?.query_row([], read).optional()?;
    }
    let Some((chunk, bytes, directory)) = first else {
        return Ok(false);
    };
    let mut forget =
        connection.prepare_cached("DELETE FROM entry WHERE prefix = ?1 AND chunk = ?2")?;
    for (prefix, _) in directory.iter() {
        evicted.entries += forget.execute((prefix, chunk))? as u64;
    }
    for table in ["chunk_data", "chunk"] {
        let mut delete =
            connection.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?;
        delete.execute([chunk])?;
    }
    evicted.chunks += 1;
    evicted.bytes += u64::try_from(bytes).unwrap_or(0);
    Ok(true)
}
