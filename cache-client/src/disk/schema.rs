//! A file -> a connection to our tables, or the reason why it is not ours.
//!
//! ```text
//! entry       prefix (first 8 bytes of the cache key) -> chunk
//! chunk       id -> when it was last used, its size, and its directory
//! chunk_data  id -> some 100 KiB of sealed entries, one after the other
//! ```
//!
//! Entries that were published together lie together, so a module's lookup
//! reads few and large pieces. The tables of sizes and of data are apart so that
//! noting a use does not rewrite the data.
//!
//! Invariants:
//! - nothing is mapped: no `mmap_size`, and a rollback journal instead of a
//!   write-ahead log, because the log's `-shm` file is mapped;
//! - no row is believed: whatever is read is checked against the entry's seal.

use crate::disk::error::DiskError;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The version of the tables. It is also part of the file's name, so programs
/// of two versions keep two files and do not undo one another's work.
pub(crate) const SCHEMA_VERSION: i64 = 1;

/// Measured (`examples/measure.rs`): 4 KiB pages make large rows slow to read,
/// 64 KiB pages waste room in the small tables.
pub(crate) const PAGE_BYTES: u32 = 16384;

/// A reader waits at most this long for a writer that is committing, which
/// takes milliseconds. Its lookup then misses with the reason "busy".
pub(crate) const READ_WAIT_MAX: Duration = Duration::from_millis(250);

/// A publisher waits at most this long for another one's transaction, which
/// takes some ten milliseconds; eight at once have to get their turn. Then its
/// entries are not kept, with the reason "busy".
pub(crate) const PUBLISH_WAIT_MAX: Duration = Duration::from_secs(2);

/// No row is larger: one entry of the largest size in a chunk of its own.
const ROW_BYTES_MAX: i32 = (stencil::entry::ENTRY_BYTES_MAX + (1 << 20)) as i32;

/// Page cache of a connection that writes: more than one transaction changes,
/// so that pages reach the file only at the commit and readers are kept out
/// only for that moment.
const WRITE_CACHE_KIB: i32 = 16 << 10;
const READ_CACHE_KIB: i32 = 2 << 10;

/// More than any transaction writes.
const PAGES_BEYOND_LIMIT: u64 = 64 << 10;

const OBJECTS: [&str; 4] = [
    "CREATE TABLE entry (prefix INTEGER PRIMARY KEY, chunk INTEGER NOT NULL)",
    "CREATE TABLE chunk (id INTEGER PRIMARY KEY, used INTEGER NOT NULL, bytes INTEGER NOT NULL, directory BLOB NOT NULL)",
    "CREATE TABLE chunk_data (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE INDEX chunk_by_use ON chunk (used)",
];

/// Makes our tables in an empty file that nobody else knows of yet.
pub(crate) fn create(path: &Path) -> Result<(), DiskError> {
    let make = || {
        let connection = Connection::open_with_flags(path, flags())?;
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        let tables = OBJECTS.join(";");
        connection.execute_batch(&format!(
            "BEGIN; {tables}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
        ))
    };
    make().map_err(|error| DiskError::sqlite(path, PUBLISH_WAIT_MAX, error))
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, DiskError> {
    connect(path, READ_WAIT_MAX, |connection| {
        connection.pragma_update(None, "cache_size", -READ_CACHE_KIB)
    })
}

/// A connection that writes, and lets the file grow to `size_max` bytes.
pub(crate) fn writer(
    path: &Path,
    size_max: u64,
    wait_max: Duration,
) -> Result<Connection, DiskError> {
    connect(path, wait_max, |connection| {
        connection.pragma_update(None, "cache_size", -WRITE_CACHE_KIB)?;
        connection.pragma_update(None, "cache_spill", false)?;
        connection.execute_batch("PRAGMA journal_mode = TRUNCATE")?;
        // Nothing waits for the disk: the kernel keeps what a killed process
        // wrote, and after a loss of power the worst is a lost cache. Every
        // entry is checked at every read, and a damaged file is replaced.
        connection.pragma_update(None, "synchronous", "OFF")?;
        // Keeps a damaged page number from making the file grow to it. The size
        // limit itself is kept by `evict`, well below this.
        let pages = pages_in(size_max).saturating_add(PAGES_BEYOND_LIMIT);
        let pages = i64::try_from(pages).unwrap_or(i64::MAX).min(i64::from(u32::MAX - 1));
        connection.pragma(None, "max_page_count", pages, |_| Ok(()))
    })
}

/// How many whole pages fit into `bytes`.
pub(crate) fn pages_in(bytes: u64) -> u64 {
    bytes / u64::from(PAGE_BYTES)
}

fn flags() -> OpenFlags {
    // Not CREATE: a file is made by `heal` alone. Each connection is used by one
    // thread at a time.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn connect(
    path: &Path,
    wait_max: Duration,
    set_up: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<Connection, DiskError> {
    let failed = |error| DiskError::sqlite(path, wait_max, error);
    let mut waiting = Waiting::default();
    // Not a busy handler: in exclusive mode SQLite keeps its shared lock while
    // it waits, so two that find an interrupted commit would each wait for the
    // other to go away. Here each one closes the file before it waits.
    let mut connection = loop {
        match open_checked(path, wait_max) {
            Err(DiskError::Busy { .. }) if waiting.wait(wait_max) => {}
            opened => break opened?,
        }
    };
    wait_at_most(&mut connection, wait_max).map_err(failed)?;
    set_up(&connection).map_err(failed)?;
    Ok(connection)
}

fn open_checked(path: &Path, wait_max: Duration) -> Result<Connection, DiskError> {
    let failed = |error| DiskError::sqlite(path, wait_max, error);
    let connection = Connection::open_with_flags(path, flags()).map_err(failed)?;
    connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    let limit = connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX);
    limit.map_err(failed)?;
    check(&connection, path, wait_max)?;
    Ok(connection)
}

/// Checks that a file holds our tables, reading it through SQLite alone: to
/// open and close it here would drop the locks that this process's other
/// connections hold on it.
fn check(connection: &Connection, path: &Path, wait_max: Duration) -> Result<(), DiskError> {
    let failed = |error| DiskError::sqlite(path, wait_max, error);
    let read = || {
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        // A damaged header may ask for a write-ahead log. In exclusive mode
        // SQLite keeps the log's index in memory instead of a mapped file.
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
        let journal: String = connection.pragma_query_value(None, "journal_mode", |r| r.get(0))?;
        Ok((version, journal))
    };
    let (version, journal) = read().map_err(failed)?;
    if journal == "wal" {
        let found = "its header asks for a write-ahead log".to_owned();
        return Err(DiskError::damaged(path, found));
    }
    let read = || {
        let mut objects = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY rowid")?;
        let objects = objects.query_map([], |row| row.get(0))?;
        let objects: Vec<String> = objects.collect::<Result<_, _>>()?;
        let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |r| r.get(0))?;
        connection.execute_batch("PRAGMA locking_mode = NORMAL")?;
        // The lock is given back at the next access.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok((objects, page_bytes))
    };
    let (objects, page_bytes) = read().map_err(failed)?;
    if objects.is_empty() && version == 0 {
        return Err(DiskError::damaged(path, "it is empty".to_owned()));
    }
    if version != SCHEMA_VERSION {
        return Err(DiskError::Version {
            path: path.to_owned(),
            got: version,
            expected: SCHEMA_VERSION,
        });
    }
    if objects != OBJECTS || page_bytes != PAGE_BYTES {
        let found = "it holds other tables than ours".to_owned();
        return Err(DiskError::damaged(path, found));
    }
    Ok(())
}

/// Waits in small steps: SQLite's own handler soon sleeps longer than a whole
/// commit takes.
#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    steps: u32,
}

impl Waiting {
    /// Sleeps for a step; false if `wait_max` was over before.
    fn wait(&mut self, wait_max: Duration) -> bool {
        const STEP_MIN: Duration = Duration::from_micros(200);
        const STEPS_PER_DOUBLING: u32 = 8;
        const DOUBLINGS_MAX: u32 = 5;
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = wait_max.saturating_sub(since.elapsed());
        let doublings = (self.steps / STEPS_PER_DOUBLING).min(DOUBLINGS_MAX);
        self.steps += 1;
        thread::sleep((STEP_MIN * (1 << doublings)).min(left));
        !left.is_zero()
    }
}

fn wait_at_most(connection: &mut Connection, wait_max: Duration) -> rusqlite::Result<()> {
    let mut waiting = Waiting::default();
    connection.busy_handler(Some(move |count: i32| {
        if count == 0 {
            waiting = Waiting::default();
        }
        waiting.wait(wait_max)
    }))
}
