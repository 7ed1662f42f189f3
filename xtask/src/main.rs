//! Chores that are no test of one crate: `cargo run -p xtask -- corpus DIR`.

mod corpus;
mod corrupt;
mod mutations;

use clap::{Parser, Subcommand};
use mutations::Options;
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
    /// Put deliberate faults into a copy of the code, and see which test finds each
    Mutations {
        /// Only the patch whose name starts like this, such as 03
        #[arg(long, value_name = "NN", default_value = "")]
        only: String,
        /// Run these test targets, such as "stencil/entry wasm-compiler/edits", in this order
        #[arg(long, value_name = "PACKAGE/TARGET ...", default_value = "")]
        tests: String,
        /// Keep the copy and what is built of it here [default: target/mutations]
        #[arg(long, value_name = "DIR")]
        target_dir: Option<PathBuf>,
        /// Do not run the suite on the code as it is first
        #[arg(long)]
        skip_control: bool,
    },
}

fn main() -> ExitCode {
    let done = match Args::parse().chore {
        Chore::Corpus { directory, only, one_thread } => corpus::run(&directory, &only, one_thread),
        Chore::Mutations { only, tests, target_dir, skip_control } => {
            let target_dir = target_dir.as_deref();
            mutations::run(&Options { only: &only, tests: &tests, target_dir, skip_control })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
