//! Chores that are no test of one crate: `cargo run -p xtask -- corpus DIR`.

mod corpus;
mod corrupt;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Chores of this repository
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Compile real modules in every state of the cache, and compare every byte with Wasmtime's
    Corpus {
        /// A directory of NAME@VERSION/package, as npm packs them
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Only packages whose name has this in it
        #[arg(long, default_value = "")]
        only: String,
        /// Also compile everything on one thread
        #[arg(long)]
        one_thread: bool,
    },
}

fn main() -> ExitCode {
    let done = match Args::parse().chore {
        Chore::Corpus { directory, only, one_thread } => corpus::run(&directory, &only, one_thread),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
