//! What a lookup met -> the time of its last use, so that it is evicted later.
//!
//! Invariant: no lookup waits for this. It is done on a thread of its own, at
//! most once an hour a chunk, and given up at once if the file is locked.

use crate::disk::plan::LastUse;
use crate::disk::schema;
use crate::disk::write::now;
use rusqlite::TransactionBehavior;
use std::path::Path;
use std::time::Duration;

/// The times of last use are exact to this many seconds.
const GRAIN_SECONDS: u64 = 3600;

/// The uses that are worth noting.
pub(crate) fn outdated(mut uses: Vec<LastUse>) -> Vec<LastUse> {
    let now = now();
    // Also a time in the future is wrong: the clock was set back.
    uses.retain(|last| last.used.abs_diff(now) >= GRAIN_SECONDS);
    uses
}

/// Notes that chunks were used now.
pub(crate) fn touch(path: &Path, size_max: u64, uses: &[LastUse]) {
    let now = now();
    let note = || {
        let mut connection = schema::writer(path, size_max, Duration::ZERO).ok()?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = connection.transaction_with_behavior(behavior).ok()?;
        let mut statement =
            transaction.prepare_cached("UPDATE chunk SET used = ?1 WHERE id = ?2").ok()?;
        for last in uses {
            statement.execute((now, last.chunk)).ok()?;
        }
        drop(statement);
        transaction.commit().ok()
    };
    // Best effort: the next lookup meets the same chunks with the same old time.
    let _: Option<()> = note();
}
