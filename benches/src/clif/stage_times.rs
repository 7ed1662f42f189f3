//! Functions -> how long each stage takes, beside a compile and beside Cranelift's own stages.
//!
//! Every round measures every function in every stage on this thread, but `serialize_compiled`
//! only once; a function's time is the median of its rounds. Stages of entries, and `restore`,
//! are measured over all functions at once. Keys are measured twice: between two compiles, where a front end
//! makes them and the processor's caches hold other code, and one after the other. What a
//! stage reads was just cloned, as if it were just made.

use super::FrontEndFunction;
use super::staged::{Staged, split_and_key};
use anyhow::Result;
use cranelift_codegen::Context;
use cranelift_codegen::incremental_cache::{compute_cache_key, serialize_compiled};
use cranelift_codegen::isa::TargetIsa;
use std::hint::black_box;
use std::time::Instant;
use stencil::clif::{Splitter, fingerprint, restore};
use stencil::{Fingerprint, entry};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// `Context::compile` of what the front end made.
    CompileOriginal,
    /// `Context::compile` of the restored function.
    CompileCanonical,
    /// Split and key, between compiles.
    KeyBetweenCompiles,
    /// `compute_cache_key`, between compiles.
    CraneliftKeyBetweenCompiles,
    /// Split.
    Split,
    /// Split and key.
    Key,
    /// `compute_cache_key`.
    CraneliftKey,
    /// Stencil to canonical function.
    Restore,
    /// Sealing an entry.
    Seal,
    /// `serialize_compiled`.
    Serialize,
    /// Opening an entry and finalizing it.
    Open,
    /// `try_finish_recompile`.
    Finish,
}

impl Stage {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::CompileOriginal,
        Self::CompileCanonical,
        Self::KeyBetweenCompiles,
        Self::CraneliftKeyBetweenCompiles,
        Self::Split,
        Self::Key,
        Self::CraneliftKey,
        Self::Restore,
        Self::Seal,
        Self::Serialize,
        Self::Open,
        Self::Finish,
    ];

    /// The name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CompileOriginal => "compile, original",
            Self::CompileCanonical => "compile, canonical",
            Self::KeyBetweenCompiles => "split + key, between compiles",
            Self::CraneliftKeyBetweenCompiles => "compute_cache_key, between compiles",
            Self::Split => "split",
            Self::Key => "split + key",
            Self::CraneliftKey => "compute_cache_key",
            Self::Restore => "restore",
            Self::Seal => "seal",
            Self::Serialize => "serialize_compiled",
            Self::Open => "open + finalize",
            Self::Finish => "try_finish_recompile",
        }
    }
}

/// Times of some functions in every stage.
pub struct StageTimes {
    /// Functions.
    pub functions: usize,
    /// Bytes of the sealed entries.
    pub entry_bytes: u64,
    /// Bytes of what Cranelift's incremental cache keeps in their place.
    pub blob_bytes: u64,
    /// Of each stage, in the order of [`Stage::ALL`].
    total_ns: [f64; Stage::ALL.len()],
}

impl StageTimes {
    /// Measures; `rounds` of 0 are one.
    ///
    /// # Errors
    ///
    /// If a function cannot be taken through every stage.
    pub fn of(isa: &dyn TargetIsa, functions: &[FrontEndFunction], rounds: u32) -> Result<Self> {
        let fingerprint = fingerprint(isa);
        let staged = functions
            .iter()
            .map(|of| Staged::of(isa, &fingerprint, &of.function))
            .collect::<Result<Vec<_>>>()?;
        let mut stopwatch = Stopwatch::new(staged.len());
        for round in 0..rounds.max(1) as usize {
            compiles(&mut stopwatch, isa, &fingerprint, &staged, round);
            stages(&mut stopwatch, isa, &fingerprint, &staged);
            if round == 0 {
                serialize(&mut stopwatch, isa, &staged)?;
            }
        }
        Ok(Self {
            functions: staged.len(),
            entry_bytes: staged.iter().map(|of| of.entry.len() as u64).sum(),
            blob_bytes: staged.iter().map(|of| of.blob.len() as u64).sum(),
            total_ns: stopwatch.totals(),
        })
    }

    /// Nanoseconds for all functions: the sum of their medians.
    pub fn total_ns(&self, stage: Stage) -> f64 {
        self.total_ns[stage as usize]
    }

    /// One stage's time as a multiple of another's.
    pub fn ratio(&self, stage: Stage, to: Stage) -> f64 {
        self.total_ns(stage) / self.total_ns(to)
    }
}

/// In a function's place: a pass over all functions is one time.
const ALL: usize = 0;

struct Stopwatch {
    /// By stage, then by function: one time a round.
    times_ns: Vec<Vec<Vec<f64>>>,
    /// What reading the clock twice takes; not part of what was measured.
    own_ns: f64,
}

impl Stopwatch {
    fn new(functions: usize) -> Self {
        let idle = || Instant::now().elapsed().as_nanos() as f64;
        let mut idle: Vec<f64> = (0..1001).map(|_| idle()).collect();
        let times_ns = vec![vec![Vec::new(); functions.max(1)]; Stage::ALL.len()];
        Self { times_ns, own_ns: median(&mut idle) }
    }

    fn time<T>(&mut self, stage: Stage, function: usize, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = black_box(work());
        let ns = start.elapsed().as_nanos() as f64 - self.own_ns;
        self.times_ns[stage as usize][function].push(ns.max(0.0));
        done
    }

    fn totals(mut self) -> [f64; Stage::ALL.len()] {
        let mut totals = [0.0; Stage::ALL.len()];
        for (total, functions) in totals.iter_mut().zip(&mut self.times_ns) {
            let measured = functions.iter_mut().filter(|rounds| !rounds.is_empty());
            *total = measured.map(|rounds| median(rounds)).sum();
        }
        totals
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let at = |nth: usize| values.get(nth).copied().unwrap_or(f64::NAN);
    (at(below) + at(above)) / 2.0
}

/// Compiles of the original and of the canonical function, each behind a key of the original.
fn compiles(
    stopwatch: &mut Stopwatch,
    isa: &dyn TargetIsa,
    fingerprint: &Fingerprint,
    staged: &[Staged<'_>],
    round: usize,
) {
    let (mut splitter, mut context) = (Splitter::new(), Context::new());
    for (at, of) in staged.iter().enumerate() {
        // The second compile finds what the first has left in the processor's caches, and
        // each finds what its key has left: so all four orders take turns.
        let turn = round + at;
        for (nth, canonical) in
            [!turn.is_multiple_of(2), turn.is_multiple_of(2)].into_iter().enumerate()
        {
            let made = of.original.clone();
            if (nth + turn / 2).is_multiple_of(2) {
                let key = || split_and_key(&mut splitter, fingerprint, &made);
                stopwatch.time(Stage::KeyBetweenCompiles, at, key);
            } else {
                let key = || compute_cache_key(isa, &made);
                stopwatch.time(Stage::CraneliftKeyBetweenCompiles, at, key);
            }
            context.clear();
            let (stage, function) = if canonical {
                (Stage::CompileCanonical, &of.canonical)
            } else {
                (Stage::CompileOriginal, of.original)
            };
            context.func = function.clone();
            stopwatch.time(stage, at, || context.compile(isa, &mut Default::default()).is_ok());
        }
    }
}

/// The stages that are over in microseconds, each over all functions.
fn stages(
    stopwatch: &mut Stopwatch,
    isa: &dyn TargetIsa,
    fingerprint: &Fingerprint,
    staged: &[Staged<'_>],
) {
    let mut splitter = Splitter::new();
    for (at, of) in staged.iter().enumerate() {
        let made = of.original.clone();
        stopwatch.time(Stage::Split, at, || splitter.split(&made).is_ok());
    }
    for (at, of) in staged.iter().enumerate() {
        let made = of.original.clone();
        stopwatch.time(Stage::Key, at, || split_and_key(&mut splitter, fingerprint, &made));
    }
    for (at, of) in staged.iter().enumerate() {
        let made = of.original.clone();
        stopwatch.time(Stage::CraneliftKey, at, || compute_cache_key(isa, &made));
    }
    // These take less than the clock is good for, function by function.
    stopwatch.time(Stage::Restore, ALL, || {
        staged.iter().for_each(|of| drop(black_box(restore(&of.stencil()))));
    });
    stopwatch.time(Stage::Seal, ALL, || {
        staged.iter().for_each(|of| drop(black_box(entry::seal(&of.key, &of.compiled))));
    });
    stopwatch.time(Stage::Open, ALL, || {
        staged.iter().for_each(|of| drop(black_box(of.open_and_finalize())));
    });
    stopwatch.time(Stage::Finish, ALL, || {
        staged.iter().for_each(|of| drop(black_box(of.finish_recompile())));
    });
}

/// What Cranelift serializes has to be compiled each time: its type has no name outside.
fn serialize(stopwatch: &mut Stopwatch, isa: &dyn TargetIsa, staged: &[Staged<'_>]) -> Result<()> {
    let mut context = Context::new();
    for (at, of) in staged.iter().enumerate() {
        context.clear();
        context.func = of.original.clone();
        let compiled = context.compile_stencil(isa, &mut Default::default())?;
        drop(stopwatch.time(Stage::Serialize, at, || serialize_compiled(compiled)));
    }
    Ok(())
}
