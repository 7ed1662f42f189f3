//! The `stencil` command: arguments -> one subcommand -> an exit code.
//!
//! Compiling is `wasm_compiler`'s business and keeping entries is
//! `cache_client`'s; this crate reads and writes files and talks to people.
//!
//! **Architecture Invariant:** nothing here names the `wasmtime` crate, and
//! there is no way from `stencil compile` to Wasmtime's `precompile_*` for the
//! input.

mod args;
mod config;
mod exit;

mod cache;
mod input;
mod interrupt;
mod output;
mod settings;

mod count;
mod progress;
mod rate;

mod compile;
mod json;
mod quarantine;
mod summary;

mod doctor;
mod inspect;
mod prune;
mod server_stats;
mod stats;
mod verify;

use args::{Args, Command};
use clap::Parser as _;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let started = Instant::now();
    exit::explain_panics();
    let outcome = match Args::parse().command {
        Command::Compile(args) => compile::run(&args, started),
        Command::Stats(args) => stats::run(&args),
        Command::Prune(args) => prune::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            exit::say("error", &failure.sentence);
            failure.exit.into()
        }
    }
}
