//! New entries -> chunks, in transactions of bounded size.
//!
//! Invariants:
//! - an entry is visible when its transaction is committed, and then whole;
//! - a sound entry is never overwritten, a damaged one always is; one that was
//!   found to hold wrong code is damaged first, on purpose;
//! - only entries whose seal is whole are stored.

use crate::disk::chunk::ChunkBuilder;
use crate::disk::error::DiskError;
use crate::disk::evict;
use crate::disk::generation::{Generation, WriteError};
use crate::disk::plan::{self, Location, Place};
use crate::disk::read;
use rusqlite::{Connection, MAIN_DB, Transaction, TransactionBehavior};
use std::time::{SystemTime, UNIX_EPOCH};
use stencil::{CacheKey, Lookup, MissReason, NewEntry, PublishSummary, entry};

/// A transaction is closed when its entries have this many bytes: other
/// publishers wait for a whole one, readers for its commit.
const TRANSACTION_BYTES: usize = 4 << 20;
const TRANSACTION_ENTRIES: usize = 4096;

/// An entry larger than this part of the size limit would drive out most of
/// the others.
const ENTRY_SHARE_MAX: u64 = 8;

/// Pages given back by one publish if the size limit was lowered.
const SHRINK_PAGES_MAX: u64 = 2048;

/// Where a publish is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskEvent {
    /// A transaction has begun.
    Begun,
    /// All of it is written; its commit comes next.
    Committing,
    /// It is committed.
    Committed,
}

/// What becomes of sound entries with other bytes under the same keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    /// They stay, and are counted as conflicts.
    Stays,
    /// They are known to be wrong.
    IsErased,
}

/// What a publish needs to know besides its entries.
#[derive(Clone, Copy)]
pub(crate) struct Publisher {
    pub(crate) size_max: u64,
    pub(crate) observer: fn(DiskEvent),
    pub(crate) present: Present,
}

impl Publisher {
    /// The entries that may be stored; counts the others.
    pub(crate) fn admit<'a>(
        &self,
        entries: &'a [NewEntry],
        summary: &mut PublishSummary,
    ) -> Vec<&'a NewEntry> {
        let bytes_max = self.size_max / ENTRY_SHARE_MAX;
        let admitted = |new: &&NewEntry| {
            let reason = match entry::verify(&new.key, &new.bytes) {
                Err(error) => MissReason::from(&error),
                Ok(()) if new.bytes.len() as u64 > bytes_max => MissReason::TooLarge,
                Ok(()) => return true,
            };
            summary.refuse(reason, 1);
            false
        };
        entries.iter().filter(admitted).collect()
    }

    /// Stores admitted entries. What is left in `entries` after a failure was
    /// not stored; `summary` counts the rest.
    pub(crate) fn publish(
        &self,
        generation: &Generation,
        entries: &mut &[&NewEntry],
        summary: &mut PublishSummary,
    ) -> Result<(), DiskError> {
        let transaction_bytes = usize::try_from(self.size_max / ENTRY_SHARE_MAX)
            .unwrap_or(TRANSACTION_BYTES)
            .min(TRANSACTION_BYTES);
        while !entries.is_empty() {
            let (batch, rest) = entries.split_at(batch_len(entries, transaction_bytes));
            let stored = generation
                .write(self.size_max, |connection| self.transaction(connection, batch))?;
            summary.add(&stored);
            *entries = rest;
        }
        generation.write(self.size_max, |connection| {
            evict::shrink(connection, self.size_max, SHRINK_PAGES_MAX)?;
            Ok(())
        })
    }

    fn transaction(
        &self,
        connection: &mut Connection,
        batch: &[&NewEntry],
    ) -> Result<PublishSummary, WriteError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        (self.observer)(DiskEvent::Begun);
        let mut summary = PublishSummary::default();
        if self.present == Present::IsErased {
            erase_others(&transaction, batch)?;
        }
        let new = without_stored(&transaction, batch, &mut summary)?;
        if !new.is_empty() {
            let pages = evict::page_count(&transaction)?;
            let bytes = new.iter().map(|entry| entry.bytes.len() as u64).sum();
            evict::make_room(&transaction, new.len() as u64, bytes, self.size_max)?;
            summary.stored += new.len() as u64;
            summary.stored_bytes += bytes;
            insert(&transaction, &new)?;
            evict::check_size(&transaction, self.size_max, pages)?;
        }
        (self.observer)(DiskEvent::Committing);
        transaction.commit()?;
        (self.observer)(DiskEvent::Committed);
        Ok(summary)
    }
}

/// How many of the entries the next transaction takes, at least one.
fn batch_len(entries: &[&NewEntry], transaction_bytes: usize) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&&NewEntry| {
        bytes += entry.bytes.len();
        bytes <= transaction_bytes
    };
    let fitting = entries.iter().take(TRANSACTION_ENTRIES).take_while(fits);
    fitting.count().max(1)
}

/// The entries to store; counts those that are there already.
fn without_stored<'a>(
    transaction: &Transaction<'_>,
    batch: &[&'a NewEntry],
    summary: &mut PublishSummary,
) -> rusqlite::Result<Vec<&'a NewEntry>> {
    let (mut new, mut listed) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut in_batch = std::collections::HashMap::with_capacity(batch.len());
    for entry in batch {
        if let Some(twin) = in_batch.insert(entry.key, &entry.bytes) {
            count_stored(twin, entry, summary);
            in_batch.insert(entry.key, twin);
        } else if plan::is_listed(transaction, &entry.key)? {
            listed.push(*entry);
        } else {
            new.push(*entry);
        }
    }
    let keys: Vec<CacheKey> = listed.iter().map(|entry| entry.key).collect();
    let stored = read::lookup_within(transaction, &keys)?;
    for (entry, stored) in listed.into_iter().zip(stored) {
        match stored {
            Lookup::Hit(bytes, _) => count_stored(&bytes, entry, summary),
            Lookup::Miss(_) => new.push(entry),
        }
    }
    Ok(new)
}

/// Damages what is stored under the entries' keys with other bytes. The chunk
/// where it lies goes on listing it, but its seal is broken, so that the index
/// has the last word (see `read_elsewhere`).
fn erase_others(transaction: &Transaction<'_>, batch: &[&NewEntry]) -> rusqlite::Result<()> {
    for entry in batch {
        let stored = read::lookup_within(transaction, &[entry.key])?;
        let Some(Lookup::Hit(stored, _)) = stored.first() else { continue };
        if *stored != entry.bytes
            && let Place::At(Location { chunk, range, .. }) = plan::place(transaction, &entry.key)?
        {
            let mut data =
                transaction.blob_open(MAIN_DB, c"chunk_data", c"data", chunk.0, false)?;
            data.write_at(&vec![0; range.len()], range.start as usize)?;
        }
    }
    Ok(())
}

fn count_stored(stored: &[u8], entry: &NewEntry, summary: &mut PublishSummary) {
    if *stored == entry.bytes {
        summary.already_there += 1;
    } else {
        summary.conflicts += 1;
    }
}

fn insert(transaction: &Transaction<'_>, entries: &[&NewEntry]) -> rusqlite::Result<()> {
    let mut chunk = ChunkBuilder::default();
    for entry in entries {
        chunk.add(entry);
        if chunk.is_full() {
            insert_chunk(transaction, &chunk)?;
            chunk.clear();
        }
    }
    if !chunk.is_empty() {
        insert_chunk(transaction, &chunk)?;
    }
    Ok(())
}

fn insert_chunk(transaction: &Transaction<'_>, chunk: &ChunkBuilder) -> rusqlite::Result<()> {
    let mut statement = transaction
        .prepare_cached("INSERT INTO chunk (used, bytes, directory) VALUES (?1, ?2, ?3)")?;
    let bytes = i64::try_from(chunk.data.len()).unwrap_or(i64::MAX);
    let id = statement.insert((now(), bytes, &chunk.directory))?;
    // REPLACE: in a damaged file there may be rows that nothing leads to.
    let mut statement =
        transaction.prepare_cached("REPLACE INTO chunk_data (id, data) VALUES (?1, ?2)")?;
    statement.execute((id, &chunk.data))?;
    let mut statement =
        transaction.prepare_cached("REPLACE INTO entry (prefix, chunk) VALUES (?1, ?2)")?;
    for prefix in &chunk.prefixes {
        statement.execute((prefix, id))?;
    }
    Ok(())
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
