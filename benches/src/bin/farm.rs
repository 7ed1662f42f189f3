//! Modules -> a table of how fast a server feeds a build farm, beside Redis.
//!
//! `cargo run --release -p benches --bin farm -- A.wasm [B.wasm ..] [--redis] [--json]`

use benches::farm::arguments::FarmArguments;
use benches::farm::{self, table};
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&FarmArguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &FarmArguments) -> anyhow::Result<()> {
    let results = farm::run(arguments)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&results)?);
    } else {
        print!("{}", table::render(&results));
    }
    Ok(())
}
