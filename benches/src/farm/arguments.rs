//! The command line of `farm` -> what to load a server with, and for how long.

use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Loads a cache server with the lookups of a build farm, over loopback.
///
/// Every module is compiled once, to learn its keys and its entries. All entries
/// are published to a server in a process of its own; then workers with nothing
/// in their caches ask for one module after the other. Peers are measured in
/// turn, round by round; the figures are medians of the rounds.
#[derive(Clone, Debug, Parser)]
#[command(name = "farm", max_term_width = 100)]
pub struct FarmArguments {
    /// The modules that the workers build. Two releases of one module share
    /// those entries that they share in life.
    #[arg(value_name = "WASM", required = true)]
    pub modules: Vec<PathBuf>,
    /// How many workers at once; several numbers are measured one by one.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 8, 64],
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub clients: Vec<u32>,
    /// How long one measurement takes.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub seconds: f64,
    /// How many lookups one worker makes at most in one measurement.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub lookups_max: u64,
    /// How many rounds.
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Measure a `redis-server` with the same bytes in the same rounds.
    #[arg(long)]
    pub redis: bool,
    /// The server's program. Left out: the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub server_binary: Option<PathBuf>,
    /// The size cap of the server through which three times as much is
    /// published; 0 leaves that out.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub size_max_mib: u64,
    /// Of so many entries that arrive one is decoded and its checksum verified;
    /// index and length are checked of all.
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub verify_every: u32,
    /// What decides the order in which workers build the modules.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where the modules' keys and entries are kept for the next run. Left out:
    /// in the directory `farm` of the build directory.
    #[arg(long, value_name = "DIR")]
    pub prepared: Option<PathBuf>,
    /// Print everything as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl FarmArguments {
    /// How long one measurement takes.
    pub fn window(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::from_secs(5))
    }

    /// The server's program.
    pub fn server_binary(&self) -> PathBuf {
        self.server_binary.clone().unwrap_or_else(|| {
            let beside = std::env::current_exe().unwrap_or_default();
            beside.with_file_name("cache-server")
        })
    }

    /// Where the modules' keys and entries are kept for the next run.
    pub fn prepared(&self) -> PathBuf {
        self.prepared.clone().unwrap_or_else(|| {
            let program = std::env::current_exe().unwrap_or_default();
            program.ancestors().nth(2).map_or_else(PathBuf::new, |target| target.join("farm"))
        })
    }
}
