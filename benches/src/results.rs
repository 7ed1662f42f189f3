//! What was measured -> the object that `--json` prints.
//!
//! Invariant: everything that the table shows is in here, and every single run
//! behind it.

use crate::edit::Edit;
use crate::figures::{Figures, Spread};
use crate::roles::floor::FloorReport;
use crate::roles::incremental::IncrementalReport;
use crate::roles::ours::OursReport;
use crate::roles::stock::StockReport;
use serde::{Deserialize, Serialize};

/// One comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// How many times each variant ran.
    pub rounds: u32,
    /// Where the files were while it ran; removed since.
    pub directory: String,
    /// What stands for the function cache.
    pub program: Program,
    /// The kind of stencils it had: `exact` or `relocatable`.
    pub stencils: String,
    /// The first module.
    pub a: Input,
    /// Its other release.
    pub b: Option<Input>,
    /// What was edited; nothing if no function of A has a constant to change.
    pub edit: Option<Edit>,
    /// All files of the cache after the cold run, in bytes.
    pub cache_bytes_after_cold: Spread,
    /// The peak of the process that starts the others, in bytes: no process can
    /// show less than this.
    pub smallest_peak_rss_bytes: u64,
    /// What ran, in the order of [`Variant::ALL`].
    pub variants: Vec<Measured>,
}

/// What stands for the function cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// The `stencil` command at this path.
    Command(String),
    /// The minimal program over the same library.
    Minimal,
}

/// One of the modules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    /// Its path.
    pub path: String,
    /// Its size.
    pub wasm_bytes: u64,
    /// The size of stock Wasmtime's artifact.
    pub output_bytes: u64,
    /// The size of the function cache's, which with exact stencils is the same.
    pub ours_output_bytes: u64,
}

/// A program, an input and the state of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Wasmtime as it is.
    Stock,
    /// Wasmtime's own cache, empty.
    IncrementalCold,
    /// Wasmtime's own cache, full.
    IncrementalWarm,
    /// The function cache's program without a cache.
    NoCache,
    /// Its disk tier empty, and filled by the run.
    Cold,
    /// Its disk tier full, in a new process.
    Warm,
    /// One function of A changed; A's disk tier.
    Edited,
    /// Wasmtime as it is, on B.
    StockB,
    /// Wasmtime's own cache with A in it, on B.
    IncrementalB,
    /// A's disk tier, on B.
    BAfterA,
    /// The same bytes read, hashed and written.
    Floor,
    /// Disk tier and server empty, and filled by the run, until the server has
    /// acknowledged everything.
    ServerCold,
    /// Disk tier empty, server full.
    ServerWarm,
    /// The same, with 10 ms each way to the server.
    ServerFar,
    /// The same as [`Variant::ServerWarm`], with a server that has just started.
    ServerRestarted,
}

/// All runs of a variant, and what follows from them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Which one.
    pub variant: Variant,
    /// Medians and ratios.
    pub figures: Figures,
    /// The runs, in the order of the rounds.
    pub runs: Vec<Run>,
}

/// One run: a process, or one of the compiles of the incremental one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// From exec to exit; of an incremental run, the compile alone.
    pub wall_ms: f64,
    /// User and system time of all threads, in the same span.
    pub cpu_ms: f64,
    /// The process's largest resident set; of an incremental run, so far.
    pub peak_rss_bytes: u64,
    /// What the process said of itself.
    pub report: Report,
}

/// What a process said of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// Of Wasmtime as it is.
    Stock(StockReport),
    /// Of one compile with Wasmtime's own cache.
    Incremental(IncrementalReport),
    /// Of the function cache.
    Ours(OursReport),
    /// Of reading, hashing and writing.
    Floor(FloorReport),
}

impl Results {
    /// What is known of a variant, if it ran.
    pub fn of(&self, variant: Variant) -> Option<&Measured> {
        self.variants.iter().find(|measured| measured.variant == variant)
    }
}

impl Variant {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 15] = [
        Self::Stock,
        Self::IncrementalCold,
        Self::IncrementalWarm,
        Self::NoCache,
        Self::Cold,
        Self::Warm,
        Self::Edited,
        Self::StockB,
        Self::IncrementalB,
        Self::BAfterA,
        Self::Floor,
        Self::ServerCold,
        Self::ServerWarm,
        Self::ServerFar,
        Self::ServerRestarted,
    ];

    /// For a person.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stock => "stock Wasmtime",
            Self::IncrementalCold => "incremental cache, cold *",
            Self::IncrementalWarm => "incremental cache, warm *",
            Self::NoCache => "function cache, off",
            Self::Cold => "function cache, cold",
            Self::Warm => "function cache, warm",
            Self::Edited => "function cache, one edited",
            Self::StockB => "stock Wasmtime, B",
            Self::IncrementalB => "incremental cache, B after A *",
            Self::BAfterA => "function cache, B after A",
            Self::Floor => "floor (read, hash, write)",
            Self::ServerCold => "server, cold",
            Self::ServerWarm => "server, warm",
            Self::ServerFar => "server, warm, 10 ms away",
            Self::ServerRestarted => "server, restarted",
        }
    }

    /// The run of stock Wasmtime on the same input, or on A for what is about
    /// A's size.
    pub const fn baseline(self) -> Self {
        match self {
            Self::StockB | Self::IncrementalB | Self::BAfterA => Self::StockB,
            _ => Self::Stock,
        }
    }
}
