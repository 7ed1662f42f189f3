//! A program of a small language -> its output, or an object file; the machine
//! code of functions that were compiled before comes from a cache.
//!
//! ```text
//! cargo run -p stencil --example language --features module -- FILE [--object OUT.o]
//! ```

#[path = "language.rs"]
mod language;

use cranelift_module::ModuleError;
use cranelift_object::ObjectModule;
use language::check::check;
use language::lower::Lowering;
use language::parser::parse;
use language::source::SourceError;
use language::{jit, object};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: language FILE [--object OUT.o]")]
    Usage,
    #[error("{}: {error}", .file.display())]
    File { file: PathBuf, error: std::io::Error },
    #[error("{}:{error}", .file.display())]
    Source { file: PathBuf, error: SourceError },
    #[error(transparent)]
    Module(Box<ModuleError>),
}

impl From<ModuleError> for Failure {
    fn from(error: ModuleError) -> Self {
        Self::Module(Box::new(error))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [file] => run(Path::new(file)),
        [file, "--object", out] => compile(Path::new(file), Path::new(out)),
        _ => Err(Failure::Usage),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::File { file: file.into(), error })
}

fn run(file: &Path) -> Result<(), Failure> {
    let source = read(file)?;
    let wrong = |error| Failure::Source { file: file.into(), error };
    let program = check(&source, parse(&source).map_err(wrong)?).map_err(wrong)?;

    let mut module = jit::module(FLAGS)?;
    let mut lowering = Lowering::new(&mut module, &program)?;
    lowering.define(&mut module)?;
    let outcome = jit::run(module, lowering.main())?;
    for number in outcome.printed {
        println!("{number}");
    }
    println!("main returned {}", outcome.result);
    Ok(())
}

fn compile(file: &Path, out: &Path) -> Result<(), Failure> {
    let source = read(file)?;
    let wrong = |error| Failure::Source { file: file.into(), error };
    let program = check(&source, parse(&source).map_err(wrong)?).map_err(wrong)?;

    let mut module = ObjectModule::new(object::builder(FLAGS)?);
    Lowering::new(&mut module, &program)?.define(&mut module)?;
    let bytes = object::finish(module)?;
    std::fs::write(out, bytes).map_err(|error| Failure::File { file: out.into(), error })
}

const FLAGS: &[(&str, &str)] = &[("opt_level", "speed")];
