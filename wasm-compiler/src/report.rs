//! What a compile did, in numbers; and why, in words.

use crate::error::CompileError;
use crate::lookup::{Found, Slotted};
use crate::verify::Difference;
use std::collections::BTreeMap;
use std::time::Duration;
use stencil::{CompiledStencil, MissReason, PublishSummary, Tier};

/// The figures of one compile.
///
/// `lookups == hits.total() + misses` counts every cacheable piece, trampolines
/// too. `codegen` counts the compiled pieces among those that were looked up.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The target triple.
    pub target: String,
    /// The fingerprint of the settings, 64 hexadecimal digits.
    pub fingerprint: String,
    /// Functions with a body in the input.
    pub functions: u64,
    /// Pieces that were looked up.
    pub lookups: u64,
    /// Pieces that were found, and where.
    pub hits: Hits,
    /// Pieces that were not found.
    pub misses: u64,
    /// Of those, how many were compiled; two misses with the same key are
    /// compiled once, and the second one counts as a hit in memory.
    pub codegen: u64,
    /// Entries that were found or compiled whose code does not show where it has its layout and
    /// constants from. They are for these alone; all others serve any. Pieces that share one count
    /// once. On targets whose code is not looked at it is 0: no entry serves another layout.
    pub with_numbers: u64,
    /// Pieces that are never cached, such as a module's startup function and
    /// what belongs to a component.
    pub uncached: u64,
    /// Pieces that were compiled without the cache because the key does not
    /// cover the configuration.
    pub bypassed: u64,
    /// Why they were.
    pub bypass_reason: Option<&'static str>,
    /// Entries that were found under another compile's key with other bytes.
    pub conflicts: u64,
    /// Entries that were found and not used, because they were not sound.
    pub rejected: u64,
    /// Misses by reason; rejected entries are among them.
    pub miss_reasons: BTreeMap<MissReason, u64>,
    /// Sound entries that were found and, as a sample, compiled again.
    pub verified: u64,
    /// Of those, the ones that hold other code. They are counted as rejected and
    /// as misses, the others as hits.
    pub differences: Vec<Difference>,
    /// Functions that were compiled with placeholders, and whose final code was checked, as a sample.
    /// Those that are equal count once.
    pub checked: u64,
    /// What became of the new entries.
    pub published: PublishSummary,
    /// Answers that were waited for from another machine.
    pub round_trips: u64,
    /// Sizes in bytes.
    pub bytes: Bytes,
    /// Machine code, in bytes, of all looked-up pieces and of those that hit.
    pub code_bytes: u64,
    /// See [`code_bytes`](Self::code_bytes).
    pub hit_code_bytes: u64,
    /// Of the hits' machine code, what was compiled all the same, to verify it.
    pub verified_code_bytes: u64,
    /// Where the time went.
    pub stages: Stages,
}

/// Hits by the tier that had them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// In this process: also a second function of this input with the same key.
    pub memory: u64,
    /// On this machine.
    pub disk: u64,
    /// On a server.
    pub remote: u64,
}

impl Hits {
    /// All hits.
    pub fn total(&self) -> u64 {
        self.memory + self.disk + self.remote
    }

    pub(crate) fn count(&mut self, tier: Tier) {
        match tier {
            Tier::Disk => self.disk += 1,
            Tier::Remote => self.remote += 1,
            _ => self.memory += 1,
        }
    }
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// The input.
    pub wasm: u64,
    /// The artifact.
    pub output: u64,
    /// Entries found.
    pub fetched: u64,
    /// Entries stored.
    pub published: u64,
}

/// Wall-clock time of each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// Parsing the module's sections.
    pub input: Duration,
    /// Validating every body, splitting it and making its key.
    pub split: Duration,
    /// Asking the cache.
    pub lookup: Duration,
    /// Compiling the misses.
    pub codegen: Duration,
    /// Opening entries and applying parameters.
    pub finalize: Duration,
    /// Laying out text and tables.
    pub link: Duration,
    /// Writing the artifact's bytes to where they go.
    pub write: Duration,
    /// Waiting, after that, for the store to take the new entries.
    pub publish: Duration,
}

impl Stages {
    /// Every stage by its name, in their order.
    pub fn named(&self) -> [(&'static str, Duration); 8] {
        let Self { input, split, lookup, codegen, finalize, link, write, publish } = *self;
        [
            ("input", input),
            ("split", split),
            ("lookup", lookup),
            ("codegen", codegen),
            ("finalize", finalize),
            ("link", link),
            ("write", write),
            ("publish", publish),
        ]
    }
}

impl Report {
    /// Hits among lookups, 0 to 1; 1 if nothing was looked up.
    pub fn hit_rate(&self) -> f64 {
        if self.lookups == 0 {
            return 1.0;
        }
        self.hits.total() as f64 / self.lookups as f64
    }

    /// Counts every piece that the artifact holds.
    pub(crate) fn count<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a Slotted<'a>>,
        found: &[Found<'_>],
        stencils: &[Option<CompiledStencil<'_>>],
    ) {
        let mut counted = vec![false; found.len()];
        for piece in pieces {
            let slot = piece.slot.index();
            let again = std::mem::replace(&mut counted[slot], true);
            let code_bytes = stencils[slot].map_or(0, |stencil| stencil.code().len() as u64);
            if let Found::Uncached = found[slot] {
                self.uncached += 1;
                continue;
            }
            self.lookups += 1;
            self.code_bytes += code_bytes;
            match &found[slot] {
                Found::Uncached => {}
                Found::Miss { reason, rejected } if !again => {
                    self.misses += 1;
                    self.codegen += 1;
                    self.rejected += u64::from(*rejected);
                    *self.miss_reasons.entry(*reason).or_default() += 1;
                }
                Found::Hit(_, tier, entry_bytes) if !again => {
                    self.hits.count(*tier);
                    self.hit_code_bytes += code_bytes;
                    self.bytes.fetched += entry_bytes;
                }
                // A second piece of the same key is served by the first one; and
                // what is doubted has been compared by now.
                Found::Miss { .. } | Found::Shared | Found::Hit(..) | Found::Doubted(..) => {
                    self.hits.count(Tier::Memory);
                    self.hit_code_bytes += code_bytes;
                }
            }
        }
    }

    /// What a strict compile ends with.
    pub(crate) fn into_error(self) -> CompileError {
        let Self { verified, differences, .. } = self;
        CompileError::Different { verified, differences }
    }

    pub(crate) fn published_entries(&mut self, published: PublishSummary) {
        self.conflicts += published.conflicts;
        self.bytes.published = published.stored_bytes;
        self.published = published;
    }
}
