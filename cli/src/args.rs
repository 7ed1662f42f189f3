//! The command line -> typed arguments. Nothing is read or looked up here.

use crate::exit;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use wasm_compiler::Stencils;
use wording::ByteSize;

/// More threads than this are certainly a slip.
pub const JOBS_MAX: u16 = 1024;

/// Compile WebAssembly to Wasmtime's .cwasm through a cache of functions
#[derive(Debug, Parser)]
#[command(name = "stencil", version, after_help = exit::HELP, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a module or component; functions that were compiled before come from the cache
    #[command(after_help = exit::HELP)]
    Compile(CompileArgs),
    /// Show what the cache holds
    Stats(StatsArgs),
    /// Make the cache smaller, or empty it
    Prune(PruneArgs),
    /// Show what a cache entry or a .cwasm holds
    Inspect(InspectArgs),
    /// Compile again what an input finds in the cache, and compare byte for byte
    Verify(VerifyArgs),
    /// Show every setting and where it came from, and whether cache and server are well
    Doctor(DoctorArgs),
}

#[derive(Debug, clap::Args)]
pub struct CompileArgs {
    /// The .wasm or .wat file; - is the standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The artifact; - is the standard output [default: IN's name with .cwasm]
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub settings: SettingArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Compile everything, and keep nothing
    #[arg(long, conflicts_with_all = [
        "cache_dir", "cache_size", "server", "require_remote", "verify_strict",
    ])]
    pub no_cache: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
    #[command(flatten)]
    pub sample: SampleArgs,
    #[command(flatten)]
    pub jobs: JobsArgs,
    /// Print the figures of this compile as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What decides about the code; left out, all is as stock Wasmtime has it.
#[derive(Debug, clap::Args)]
pub struct SettingArgs {
    /// Compile for this target's baseline CPU [default: this machine and its CPU]
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<String>,
    /// How hard to optimise [default: speed]
    #[arg(short = 'O', long, value_name = "LEVEL")]
    pub opt_level: Option<Level>,
    /// A setting of Cranelift, such as has_avx2=true; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub cranelift: Vec<(String, String)>,
    /// Exact ones give Wasmtime's bytes, relocatable ones are found again when data has moved [default: exact]
    #[arg(long, value_name = "exact|relocatable")]
    pub stencils: Option<Stencils>,
    /// Take every setting but --stencils from an artifact that the target host has written itself
    #[arg(long, value_name = "ARTIFACT", conflicts_with_all = ["target", "opt_level", "cranelift"])]
    pub settings_from: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct CacheArgs {
    /// Where the cache is [default: $XDG_CACHE_HOME/stencil]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// How large the cache may grow, such as 500MB or 10GiB [default: 10GiB]
    #[arg(long, value_name = "SIZE")]
    pub cache_size: Option<ByteSize>,
}

/// The server that a build farm shares. A token is given in STENCIL_TOKEN or in
/// a file, never on the command line, where everyone could see it.
#[derive(Debug, Default, clap::Args)]
pub struct RemoteArgs {
    /// Ask this server, too: http://HOST:PORT or https://HOST:PORT; off is none
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The project whose entries are shared [default: default]
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// The file with the token that the server wants
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Who may have signed the server's certificate, PEM [default: the system's authorities]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Our certificate, if the server wants one, PEM
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// How long to wait for the server; the rest is compiled [default: 20 % of the expected time, 50 to 2000]
    #[arg(long, value_name = "MS")]
    pub remote_budget_ms: Option<u64>,
    /// Fail rather than go on without the server
    #[arg(long)]
    pub require_remote: bool,
}

/// Whether code from the cache is held against what the compiler makes.
#[derive(Debug, clap::Args)]
pub struct SampleArgs {
    /// Compile one in N of what is found again, the same ones each time; replace what differs. Of relocatable code, check one in N when it is made [default: off]
    #[arg(long, value_name = "1/N")]
    pub verify_sample: Option<Sampled>,
    /// Fail, and write nothing, if something differs
    #[arg(long)]
    pub verify_strict: bool,
}

#[derive(Debug, clap::Args)]
pub struct JobsArgs {
    /// How many threads compile [default: one for each CPU]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(JOBS_MAX)))]
    pub jobs: Option<u16>,
}

#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the figures as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct PruneArgs {
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Remove everything
    #[arg(long, conflicts_with = "cache_size")]
    pub all: bool,
}

#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A cache key (64 hexadecimal digits) or a .cwasm file
    #[arg(value_name = "KEY|FILE")]
    pub subject: PathBuf,
    #[command(flatten)]
    pub cache: CacheArgs,
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The .wasm or .wat file; - is the standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Check only one in N of the entries found, others each time
    #[arg(long, value_name = "1/N", default_value = "1/1")]
    pub sample: Sample,
    #[command(flatten)]
    pub settings: SettingArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub jobs: JobsArgs,
}

#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub settings: SettingArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
    #[command(flatten)]
    pub sample: SampleArgs,
    #[command(flatten)]
    pub jobs: JobsArgs,
    /// Another machine's settings, as `doctor --settings-only` prints it: what differs?
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Print what decides about sharing with other machines, for their --compare
    #[arg(long, conflicts_with = "compare")]
    pub settings_only: bool,
}

/// Cranelift's optimisation levels, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Level {
    None,
    Speed,
    SpeedAndSize,
}

impl Level {
    /// Cranelift's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Speed => "speed",
            Self::SpeedAndSize => "speed_and_size",
        }
    }
}

/// One in how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(pub u64);

impl std::str::FromStr for Sample {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one_in = text.strip_prefix("1/").and_then(|count| count.parse().ok());
        match one_in {
            None | Some(0) => Err("a sample is written 1/N, such as 1/100"),
            Some(count) => Ok(Self(count)),
        }
    }
}

/// One in how many, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled(Option<Sample>);

impl Sampled {
    /// One in how many; 0 is none.
    pub fn one_in(self) -> u64 {
        self.0.map_or(0, |Sample(count)| count)
    }
}

impl std::str::FromStr for Sampled {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        let wrong = |_| "a sample is written 1/N, such as 1/100, or off";
        text.parse().map(|sample| Self(Some(sample))).map_err(wrong)
    }
}

impl std::fmt::Display for Sampled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(Sample(count)) => write!(f, "1/{count}"),
        }
    }
}

fn name_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, such as has_avx2=true"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_sample_is_one_in_n() {
        assert_eq!("1/8".parse(), Ok(Sample(8)));
        for wrong in ["", "8", "1/", "1/0", "2/8", "1/-1"] {
            assert!(wrong.parse::<Sample>().is_err(), "{wrong:?}");
            assert!(wrong.parse::<Sampled>().is_err(), "{wrong:?}");
        }
        for right in ["1/1", "1/8", "off"] {
            assert_eq!(
                right.parse::<Sampled>().map(|sampled| sampled.to_string()),
                Ok(right.into())
            );
        }
    }
}
