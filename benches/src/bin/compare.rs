//! Modules -> a table of what the cache costs and saves against stock Wasmtime.
//!
//! `cargo run --release -p benches --bin compare -- A.wasm [B.wasm] [--json]`

use benches::arguments::{Arguments, Parsed};
use benches::{roles, rounds, table};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Parsed::Role(role) => return finish(roles::play(&role)),
        Parsed::Compare(arguments) => arguments,
        Parsed::Help(text) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Parsed::Wrong(sentence) => {
            eprintln!("compare: {sentence}");
            return ExitCode::from(2);
        }
    };
    finish(compare(&arguments))
}

fn compare(arguments: &Arguments) -> anyhow::Result<()> {
    let results = rounds::run(arguments)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&results)?);
    } else {
        print!("{}", table::render(&results));
    }
    Ok(())
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
