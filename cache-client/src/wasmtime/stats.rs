//! What happened to each of Wasmtime's gets and inserts -> figures for a user.
//!
//! Wasmtime shows none of its own: it ignores what `insert` returns, and its
//! hits exist only as a line of its trace log.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use stencil::{MissReason, PublishSummary};

/// Why Wasmtime was given nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PluginMiss {
    /// The tiers have no entry that can be used, for this reason.
    Store(MissReason),
    /// A sound entry, but the blob in it is of another version of Cranelift.
    OtherVersion,
    /// Not among the entries that were prefetched, and asking for it would
    /// have cost more than it promised.
    NotAsked,
}

impl PluginMiss {
    /// The name in reports and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store(reason) => reason.name(),
            Self::OtherVersion => "other-version",
            Self::NotAsked => "not-asked",
        }
    }
}

impl fmt::Display for PluginMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Counts since a [`WasmtimeStore`](super::WasmtimeStore) was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WasmtimeStats {
    /// Keys that Wasmtime asked for.
    pub gets: u64,
    /// Of those, answered by an entry that was prefetched.
    pub hits_prefetched: u64,
    /// Answered by an entry that this store inserted, or asked for, before.
    pub hits_held: u64,
    /// Answered by the tiers, asked for this key alone.
    pub hits_asked: u64,
    /// Not answered, by reason.
    pub misses: BTreeMap<PluginMiss, u64>,
    /// Compiled functions that Wasmtime inserted.
    pub inserts: u64,
    /// Of those, not even queued for publishing, by reason: no room in the
    /// queue, or too large.
    pub inserts_refused: BTreeMap<MissReason, u64>,
    /// What became of the compiled functions published so far.
    pub published: PublishSummary,
    /// Calls of the tiers that published them.
    pub publishes: u64,
    /// What became of the manifests' records.
    pub manifests: PublishSummary,
    /// Calls of `prefetch`.
    pub prefetches: u64,
    /// Keys that they looked up, without those of the manifests.
    pub prefetched_keys: u64,
    /// Entries that they brought.
    pub prefetched_entries: u64,
    /// Time spent in them.
    pub prefetching: Duration,
    /// Keys that the tiers were asked for one at a time.
    pub asked: u64,
    /// Time spent on that, of all threads together.
    pub asking: Duration,
    /// Time between a miss and the insert of the same key, of all threads
    /// together.
    pub compiling: Duration,
    /// How many times that was measured.
    pub compiled: u64,
}

impl WasmtimeStats {
    /// All gets that were answered.
    pub fn hits(&self) -> u64 {
        self.hits_prefetched + self.hits_held + self.hits_asked
    }

    /// All gets that were not.
    pub fn misses(&self) -> u64 {
        self.misses.values().sum()
    }

    /// Entries under whose key the tiers have other bytes: the sign of a wrong
    /// key. Records of manifests are not among them: two machines may write
    /// different ones at the same moment. A server's conflicts are in the report
    /// of its tier.
    pub fn conflicts(&self) -> u64 {
        self.published.conflicts
    }

    pub(super) fn miss(&mut self, reason: PluginMiss) {
        *self.misses.entry(reason).or_default() += 1;
    }
}
