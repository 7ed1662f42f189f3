//! Programs -> a table of what relocatable stencils cost when they run.
//!
//! `cargo run --release -p benches --bin runtime -- A.wasm B.wasm -- ARGUMENTS`

use anyhow::{Context as _, Result};
use benches::input::{name, read};
use benches::runtime;
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use wasmtime::Engine;

/// Compiles programs with exact and with relocatable stencils, and runs both in turns
///
/// benches/programs/build.sh makes such programs. The ratio is that of the medians; smallest
/// and largest are of single rounds.
#[derive(Debug, Parser)]
struct Arguments {
    /// Programs for wasm32-wasip1 that read nothing and write the same each time
    #[arg(required = true, value_name = "A.wasm")]
    programs: Vec<PathBuf>,
    /// How many times each runs
    #[arg(long, value_name = "N", default_value_t = 15,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// What every program gets
    #[arg(last = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let engine = Engine::default();
    let mut measured = Vec::new();
    for path in &arguments.programs {
        let wasm = read(path)?;
        let Arguments { arguments, rounds, .. } = arguments;
        let program = runtime::measure(&engine, &name(path), &wasm, arguments, *rounds);
        measured.push(program.with_context(|| path.display().to_string())?);
    }
    print!("{}", runtime::render(&measured));
    Ok(())
}
