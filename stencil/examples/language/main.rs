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
use language::check::{CheckedProgram, check};
use language::lower::Lowering;
use language::parser::parse;
use language::source::SourceError;
use language::store::MemoryStore;
use language::{jit, object};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use stencil::module::CachedModule;

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

fn checked<'s>(file: &Path, source: &'s str) -> Result<CheckedProgram<'s>, Failure> {
    let checked = parse(source).and_then(|program| check(source, program));
    checked.map_err(|error| Failure::Source { file: file.into(), error })
}

/// Compiles and runs a program twice, the second time with a warm cache.
fn run(file: &Path) -> Result<(), Failure> {
    let source = read(file)?;
    let program = checked(file, &source)?;
    let store = Arc::new(MemoryStore::default());
    for state in ["cold", "warm"] {
        // A `JITModule` registers no unwind tables.
        let mut module = CachedModule::without_unwind_tables(jit::module(FLAGS)?, store.clone());
        let mut lowering = Lowering::new(&mut module, &program)?;
        let functions = lowering.functions(&mut module);
        module.define_all(functions)?;
        let report = module.report();
        let (hits, misses) = (report.cache.hit_count(), report.cache.miss_count());
        println!("{state} cache: {hits} hits, {misses} misses");

        let outcome = jit::run(module.into_inner(), lowering.main())?;
        for number in outcome.printed {
            println!("{number}");
        }
        println!("main returned {}", outcome.result);
    }
    Ok(())
}

/// Compiles a program into an object file.
fn compile(file: &Path, out: &Path) -> Result<(), Failure> {
    let source = read(file)?;
    let program = checked(file, &source)?;
    let module = ObjectModule::new(object::builder(FLAGS)?);
    // The builder was not told to write unwind tables.
    let store = Arc::new(MemoryStore::default());
    let mut module = CachedModule::without_unwind_tables(module, store);
    Lowering::new(&mut module, &program)?.define(&mut module)?;
    let bytes = object::finish(module.into_inner())?;
    std::fs::write(out, bytes).map_err(|error| Failure::File { file: out.into(), error })
}

const FLAGS: &[(&str, &str)] = &[("opt_level", "speed")];
