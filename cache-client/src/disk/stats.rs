//! A database file -> figures for a person.

use crate::disk::error::DiskError;
use crate::disk::generation::{COMPANIONS, Generation};
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stencil::MissReason;

/// The state of the disk tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskStats {
    /// The database file, if there is one.
    pub file: Option<PathBuf>,
    /// How many entries can be looked up.
    pub entries: u64,
    /// The bytes of all entries that are kept.
    pub entry_bytes: u64,
    /// Entries lie in chunks, which are evicted as a whole.
    pub chunks: u64,
    /// The size of the database file and its companions, in bytes.
    pub file_bytes: u64,
    /// The limit on it, in bytes.
    pub size_max: u64,
    /// When the least recently used chunk was last used.
    pub oldest_use: Option<SystemTime>,
    /// When the most recently used chunk was last used. Exact to an hour.
    pub newest_use: Option<SystemTime>,
    /// Why the figures are missing.
    pub failure: Option<MissReason>,
}

pub(crate) fn stats(generation: &Generation, size_max: u64) -> Result<DiskStats, DiskError> {
    let mut stats = generation.read(rows)?;
    stats.file = Some(generation.path.clone());
    stats.size_max = size_max;
    stats.file_bytes = file_bytes(generation);
    Ok(stats)
}

pub(crate) fn file_bytes(generation: &Generation) -> u64 {
    let name = generation.path.as_os_str();
    let names = [""].into_iter().chain(COMPANIONS).map(|companion| {
        let mut name = name.to_owned();
        name.push(companion);
        name
    });
    let sizes = names.filter_map(|name| fs::metadata(name).ok());
    sizes.map(|metadata| metadata.len()).sum()
}

fn rows(connection: &Connection) -> rusqlite::Result<DiskStats> {
    let snapshot = connection.unchecked_transaction()?;
    let entries: i64 = snapshot.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))?;
    let sums = "SELECT count(*), total(bytes), min(used), max(used) FROM chunk";
    snapshot.query_row(sums, [], |row| {
        let bytes: f64 = row.get(1)?;
        let used = |column| -> rusqlite::Result<Option<SystemTime>> {
            let seconds: Option<i64> = row.get(column)?;
            let seconds = seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
            Ok(seconds.and_then(|seconds| UNIX_EPOCH.checked_add(seconds)))
        };
        Ok(DiskStats {
            entries: u64::try_from(entries).unwrap_or(0),
            chunks: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            entry_bytes: bytes as u64,
            oldest_use: used(2)?,
            newest_use: used(3)?,
            ..DiskStats::default()
        })
    })
}
