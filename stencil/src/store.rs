//! Where entries are kept: the [`CacheStore`] trait.
//!
//! `get` and `insert` are the whole of a plain key-value store, and have the
//! same shape as those of Wasmtime's own hook; the batch forms have defaults
//! built on the two. A compile makes one `lookup` and one `publish`.
//!
//! Invariant: a store never fails a build. What it cannot give is a miss with a
//! [`MissReason`], what it does not take is counted in the [`PublishSummary`].

use crate::entry::{EntryBytes, EntryError};
use crate::key::CacheKey;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The level of a cache from which an entry came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// This process.
    Memory,
    /// This machine.
    Disk,
    /// A server.
    Remote,
}

impl Tier {
    /// The name in reports and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Remote => "remote",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a lookup gave no entry, or a publish took none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MissReason {
    /// Nobody has published it.
    Absent,
    /// Of another format version.
    Version,
    /// Damaged: checksum, length or magic.
    Checksum,
    /// A sound entry of another key.
    WrongKey,
    /// Sealed, but not an entry that this program can use.
    BadEntry,
    /// A sound entry of this key that is not what the compiler makes of it.
    WrongCode,
    /// Over a size limit.
    TooLarge,
    /// The store's files could not be read or written.
    Io,
    /// The store's files are not a store.
    Corrupt,
    /// The store is not trusted: another user owns it or may write to it.
    Untrusted,
    /// Others kept the store locked for too long.
    Busy,
    /// No room.
    Full,
    /// No answer in time.
    Timeout,
    /// Not asked, because it failed before.
    BreakerOpen,
    /// Not allowed.
    Unauthorized,
    /// No connection, or a broken one.
    Unreachable,
    /// Answered, but not in the protocol that was expected.
    Protocol,
}

impl MissReason {
    /// The name in reports and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Version => "version",
            Self::Checksum => "checksum",
            Self::WrongKey => "wrong-key",
            Self::BadEntry => "bad-entry",
            Self::WrongCode => "wrong-code",
            Self::TooLarge => "too-large",
            Self::Io => "io",
            Self::Corrupt => "corrupt",
            Self::Untrusted => "untrusted",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Timeout => "timeout",
            Self::BreakerOpen => "breaker-open",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable => "unreachable",
            Self::Protocol => "protocol",
        }
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<&EntryError> for MissReason {
    fn from(error: &EntryError) -> Self {
        match error {
            EntryError::Version { .. } => Self::Version,
            EntryError::Magic { .. } | EntryError::Length { .. } | EntryError::Checksum { .. } => {
                Self::Checksum
            }
            EntryError::KeyMismatch { .. } => Self::WrongKey,
            EntryError::TooLarge { .. } => Self::TooLarge,
            EntryError::Malformed { .. } => Self::BadEntry,
        }
    }
}

/// The answer for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The entry's bytes, and where they were found. They are to be opened with
    /// [`crate::entry::open`], which checks them.
    Hit(EntryBytes, Tier),
    /// No entry, and why.
    Miss(MissReason),
}

/// An entry to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Its key.
    pub key: CacheKey,
    /// Its sealed bytes.
    pub bytes: EntryBytes,
}

/// What became of a batch of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishSummary {
    /// Stored, or stored in place of a damaged one.
    pub stored: u64,
    /// Bytes of those.
    pub stored_bytes: u64,
    /// There already, with the same bytes.
    pub already_there: u64,
    /// There already, sound and with other bytes: the sign of a wrong key. The
    /// stored entry stays.
    pub conflicts: u64,
    /// Not taken, by reason.
    pub refused: BTreeMap<MissReason, u64>,
}

impl PublishSummary {
    /// A summary of `count` entries none of which was taken.
    pub fn refused(reason: MissReason, count: u64) -> Self {
        let mut summary = Self::default();
        summary.refuse(reason, count);
        summary
    }

    /// Counts `count` more entries that were not taken.
    pub fn refuse(&mut self, reason: MissReason, count: u64) {
        if count > 0 {
            *self.refused.entry(reason).or_default() += count;
        }
    }

    /// Adds another batch's summary.
    pub fn add(&mut self, other: &Self) {
        let Self { stored, stored_bytes, already_there, conflicts, refused } = other;
        self.stored += stored;
        self.stored_bytes += stored_bytes;
        self.already_there += already_there;
        self.conflicts += conflicts;
        for (reason, count) in refused {
            self.refuse(*reason, *count);
        }
    }
}

/// A place that keeps entries. Implementations are shared by threads.
///
/// A plain store needs `get` and `insert` alone:
///
/// ```
/// use std::{borrow::Cow, collections::HashMap, sync::Mutex};
///
/// #[derive(Default)]
/// struct Plain(Mutex<HashMap<Vec<u8>, Vec<u8>>>);
///
/// impl stencil::CacheStore for Plain {
///     fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
///         self.0.lock().unwrap().get(key).cloned().map(Cow::Owned)
///     }
///     fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
///         self.0.lock().unwrap().insert(key.to_vec(), value);
///         true
///     }
/// }
/// ```
pub trait CacheStore: Send + Sync {
    /// The value under a key, if there is one.
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>>;

    /// Keeps a value under a key; false if it was not kept.
    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool;

    /// Looks up a module's keys at once. The answers are in the order of the
    /// keys, one for each.
    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let answer = |key: &CacheKey| match self.get(key.as_bytes()) {
            Some(bytes) => Lookup::Hit(bytes.into_owned().into(), Tier::Memory),
            None => Lookup::Miss(MissReason::Absent),
        };
        keys.iter().map(answer).collect()
    }

    /// Publishes a module's new entries at once. Returns when they are stored
    /// or queued.
    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        let mut summary = PublishSummary::default();
        for entry in entries {
            if self.insert(entry.key.as_bytes(), entry.bytes.to_vec()) {
                summary.stored += 1;
                summary.stored_bytes += entry.bytes.len() as u64;
            } else {
                summary.refuse(MissReason::Io, 1);
            }
        }
        summary
    }

    /// Publishes entries for keys under which sound entries with wrong code were
    /// found, so that those are not given out again. The default leaves it to
    /// [`publish`](Self::publish). A store that others share may keep what it has;
    /// it counts a conflict then.
    fn replace(&self, entries: &[NewEntry]) -> PublishSummary {
        self.publish(entries)
    }

    /// How many times a lookup or publish had to wait for an answer from
    /// another machine so far; 0 for a store that never does.
    fn round_trips(&self) -> u64 {
        0
    }
}
