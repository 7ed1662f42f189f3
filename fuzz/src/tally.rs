//! Executions of a target -> how many of them met what another input's code had published.
//!
//! A fuzz target that never hits proves nothing, so each prints its rate as it
//! runs, and a smoke asserts it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use wasm_compiler::Stencils;

/// How often a running target prints its rate, in executions.
const PRINT_EVERY: u64 = 5_000;

/// What became of one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The input is no case: it does not apply, or stock refuses it and so do we.
    NoCase,
    /// All was looked up, nothing of another's was found.
    Missed,
    /// A hit that another module or function had published.
    Hit,
}

/// Counts of one target in this process.
#[derive(Debug, Default)]
pub struct Tally {
    no_case: AtomicU64,
    missed: AtomicU64,
    hit: AtomicU64,
}

impl Tally {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self { no_case: AtomicU64::new(0), missed: AtomicU64::new(0), hit: AtomicU64::new(0) }
    }

    /// Counts, and prints from time to time.
    pub fn count(&self, outcome: Outcome) {
        self.add(outcome);
        print_at_times(self, self.executions());
    }

    fn add(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::NoCase => &self.no_case,
            Outcome::Missed => &self.missed,
            Outcome::Hit => &self.hit,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn executions(&self) -> u64 {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        load(&self.no_case) + load(&self.missed) + load(&self.hit)
    }

    /// Hits in percent of all executions.
    pub fn hit_rate(&self) -> f64 {
        100.0 * self.hit.load(Ordering::Relaxed) as f64 / self.executions().max(1) as f64
    }
}

/// Counts of one target in this process, by the kind of stencils.
#[derive(Debug, Default)]
pub struct StencilsTally {
    exact: Tally,
    relocatable: Tally,
}

impl StencilsTally {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self { exact: Tally::new(), relocatable: Tally::new() }
    }

    /// Counts, and prints from time to time.
    pub fn count(&self, stencils: Stencils, outcome: Outcome) {
        self.of(stencils).add(outcome);
        print_at_times(self, self.exact.executions() + self.relocatable.executions());
    }

    /// The counts of one kind.
    pub fn of(&self, stencils: Stencils) -> &Tally {
        match stencils {
            Stencils::Exact => &self.exact,
            Stencils::Relocatable => &self.relocatable,
        }
    }

    /// Whether, of the executions with each kind that this machine has, more than so many percent
    /// had a hit.
    pub fn hits_in_each(&self, percent: f64) -> bool {
        let has_both = cfg!(target_arch = "x86_64");
        self.exact.hit_rate() > percent && (!has_both || self.relocatable.hit_rate() > percent)
    }
}

impl fmt::Display for StencilsTally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "exact stencils: {}; relocatable: {}", self.exact, self.relocatable)
    }
}

fn print_at_times(tally: &impl fmt::Display, executions: u64) {
    if executions.is_multiple_of(PRINT_EVERY) {
        eprintln!("{tally}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let no_case = self.no_case.load(Ordering::Relaxed);
        let executions = self.executions();
        let rate = self.hit_rate();
        write!(out, "{executions} executions, {no_case} no case, {rate:.1} % with another's hit")
    }
}
