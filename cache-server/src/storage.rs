//! Where the server keeps entries: the [`Storage`] trait.
//!
//! Entries come in checked and compressed and stay as they are: the storage
//! knows their keys and their bytes, and compares them.
//!
//! Invariants:
//! - the first entry under a key stays, unless it is replaced on purpose or
//!   turns out to be damaged; other bytes under the same key are a conflict;
//! - no entry under another key, or of another namespace, takes its place;
//! - what [`Storage::publish`] has counted as stored survives the death of the
//!   process at any point;
//! - an entry is given out only if its bytes are those that were stored, and
//!   its key is the one asked for.

mod config;

mod pack;
mod record;
mod seal;

mod index;
mod run;
mod table;

mod hot;
mod read;

mod append;
mod compare;
mod stage;
mod writer;

mod quarantine;
mod recover;
mod reserve;

mod memory;
mod packed;

pub use config::{ENTRIES_MAX_DEFAULT, OpenError, SIZE_MIN, StorageConfig};
pub use memory::MemoryStorage;
pub use packed::PackStorage;

use proto::{Coded, Namespace};
use std::sync::{Mutex, MutexGuard, PoisonError};
use stencil::CacheKey;

/// An entry and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its key.
    pub key: CacheKey,
    /// Its bytes, as they travel.
    pub coded: Coded,
}

/// What to do with an entry that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    More,
    /// Nobody is listening any more.
    Stop,
}

/// What a lookup has found, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupCounts {
    /// Keys asked for.
    pub keys: u64,
    /// Entries found.
    pub hits: u64,
    /// Of those, from the memory tier.
    pub hot_hits: u64,
    /// Entries found damaged and put aside.
    pub quarantined: u64,
}

impl LookupCounts {
    /// Adds another lookup's.
    pub fn add(&mut self, other: &Self) {
        let Self { keys, hits, hot_hits, quarantined } = other;
        self.keys += keys;
        self.hits += hits;
        self.hot_hits += hot_hits;
        self.quarantined += quarantined;
    }
}

/// A key under which other bytes were offered than are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: CacheKey,
    /// SHA-256 of the decoded entry that is stored.
    pub stored: [u8; 32],
    /// SHA-256 of the decoded entry that was offered.
    pub offered: [u8; 32],
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Entries stored.
    pub stored: u64,
    /// Their bytes, decoded.
    pub stored_bytes: u64,
    /// There already, with the same bytes.
    pub already_there: u64,
    /// There already, with other bytes.
    pub conflicts: Vec<Conflict>,
    /// Not stored, because another entry has their place: keys that a
    /// publisher has chosen so, for honest ones do not meet.
    pub refused: u64,
}

/// Why a batch was not taken. What was stored before is not touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// No room for the batch, beside what the server keeps for itself.
    #[error("no room: {free} bytes are free in {dir}, and {needed} are needed")]
    Full {
        /// The data directory.
        dir: String,
        /// Bytes free there.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// A file failed.
    #[error("{what}: {error}")]
    Io {
        /// What was done to which file.
        what: String,
        /// The system's answer.
        error: std::io::Error,
    },
    /// The index failed.
    #[error("the index failed: {0}")]
    Index(String),
    /// It is being closed.
    #[error("the storage is closed")]
    Closed,
}

/// What is stored. Counters are since the storage was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageStats {
    /// Entries.
    pub entries: u64,
    /// Their bytes, decoded.
    pub entry_bytes: u64,
    /// Their bytes as they are kept, compressed.
    pub stored_bytes: u64,
    /// What all of it takes on the disk.
    pub disk_bytes: u64,
    /// The limit on `disk_bytes`.
    pub size_max: u64,
    /// Entries in the memory tier.
    pub hot_entries: u64,
    /// What they take.
    pub hot_bytes: u64,
    /// The limit on `hot_bytes`.
    pub hot_bytes_max: u64,
    /// Bytes that the table of all keys takes in memory.
    pub table_bytes: u64,
    /// Entries removed to stay below the limit.
    pub evicted: u64,
    /// Entries found damaged and put aside.
    pub quarantined: u64,
    /// How often the index had to be opened again after a failure.
    pub reopened: u64,
    /// Runs of entries that the index had and the packs had lost.
    pub runs_lost: u64,
    /// The namespaces, with their entries and stored bytes.
    pub namespaces: Vec<(Namespace, u64, u64)>,
}

/// A place that keeps entries for many clients. All methods block.
pub trait Storage: Send + Sync + 'static {
    /// Gives every entry that is there to `found`, with the index of its key,
    /// in the order that is cheapest.
    fn lookup(
        &self,
        namespace: &Namespace,
        keys: &[CacheKey],
        found: &mut dyn FnMut(u32, Coded) -> Next,
    ) -> LookupCounts;

    /// The indexes of the keys that are not there, in ascending order.
    fn find_missing(&self, namespace: &Namespace, keys: &[CacheKey]) -> Vec<u32>;

    /// Stores entries that are known to be sound. When it returns, what it
    /// counts as stored is committed, as the protocol document defines it.
    ///
    /// # Errors
    ///
    /// Any [`StorageError`]; then nothing of the batch is stored.
    fn publish(
        &self,
        namespace: &Namespace,
        entries: Vec<StoredEntry>,
        replace: bool,
    ) -> Result<Published, StorageError>;

    /// What is stored.
    fn stats(&self) -> StorageStats;

    /// Writes down what is not yet written. The storage takes nothing after it.
    ///
    /// # Errors
    ///
    /// A [`StorageError`].
    fn close(&self) -> Result<(), StorageError>;
}

/// Takes a lock that may have been held by a thread that panicked: what it
/// protects is put right by whoever takes it next.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
