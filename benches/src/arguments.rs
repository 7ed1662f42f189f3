//! The command line -> what to compare, or which role to play.

use crate::roles::Role;
use clap::Parser;
use std::path::PathBuf;
use wasm_compiler::Stencils;

/// As the first argument: this process is one of those that are measured.
pub const ROLE_FLAG: &str = "--role";

/// Compares the function cache with stock Wasmtime, in whole processes, one run.
///
/// Give a release B of the module A to see what a cache filled by A does for B.
/// Runs are interleaved; every output is compared with stock's, byte for byte. With
/// relocatable stencils, which make other code, those of the function cache are compared
/// with what it makes without a cache.
/// Files are kept in a directory under TMPDIR, and removed at the end.
#[derive(Debug, Parser)]
#[command(name = "compare", disable_help_subcommand = true)]
pub struct Arguments {
    /// The module or component to compile, in the binary format.
    #[arg(value_name = "A.wasm")]
    a: Option<PathBuf>,
    /// Another release of it.
    #[arg(value_name = "B.wasm")]
    pub b: Option<PathBuf>,
    /// Print everything as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// How many times each run is repeated.
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// The `stencil` command to measure. Left out: the one beside this program,
    /// and if there is none, a minimal program over the same library.
    #[arg(long, value_name = "PATH")]
    pub stencil: Option<PathBuf>,
    /// Measure the minimal program even if there is a `stencil` command.
    #[arg(long, conflicts_with_all = ["stencil", "server"])]
    pub minimal: bool,
    /// Measure with a server, too: the `cache-server` beside this program, a
    /// process of its own on this machine, asked by machines with empty caches.
    #[arg(long)]
    pub server: bool,
    /// Which stencils the function cache has.
    #[arg(long, value_name = "exact|relocatable", default_value = "exact")]
    pub stencils: Stencils,
}

/// What the command line asks for.
pub enum Parsed {
    /// To be one of the measured processes.
    Role(Role),
    /// To run a comparison.
    Compare(Arguments),
    /// To print this text.
    Help(String),
    /// Nothing that can be done, and why: one sentence.
    Wrong(String),
}

impl Arguments {
    /// Reads this process's command line.
    pub fn parse() -> Parsed {
        let mut args = std::env::args_os();
        let program = args.next();
        if std::env::args_os().nth(1).is_some_and(|flag| flag == ROLE_FLAG) {
            // The flag stands in the place of the program's name.
            return match Role::try_parse_from(args) {
                Ok(role) => Parsed::Role(role),
                Err(error) => Parsed::Wrong(first_line(&error)),
            };
        }
        match Self::try_parse_from(program.into_iter().chain(args)) {
            Ok(arguments) if arguments.a.is_none() => Parsed::Wrong(
                "name the module to compile, as in `compare A.wasm [B.wasm]`".to_owned(),
            ),
            Ok(arguments) => Parsed::Compare(arguments),
            Err(error) if error.use_stderr() => Parsed::Wrong(first_line(&error)),
            Err(error) => Parsed::Help(error.to_string()),
        }
    }

    /// The module to compile.
    pub fn a(&self) -> PathBuf {
        self.a.clone().unwrap_or_default()
    }
}

/// What is wrong, without the usage that clap adds to it.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("the command line cannot be read");
    format!("{} (see --help)", line.strip_prefix("error: ").unwrap_or(line))
}
