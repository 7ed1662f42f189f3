//! The chosen settings -> a compiler, and a pool of threads for it to run on.

use crate::config::SettingsChoice;
use crate::exit::Failure;
use std::error::Error as _;
use std::fs;
use wasm_compiler::{CompileError, Compiler, Settings, SettingsError};
use wording::reason;

/// Makes the compiler.
pub fn compiler(choice: &SettingsChoice) -> Result<Compiler, Failure> {
    let settings = match choice {
        SettingsChoice::Options(options) => Settings::from_options(options).map_err(refused)?,
        SettingsChoice::Artifact { path, stencils } => {
            let artifact = fs::read(path).map_err(|error| Failure::unreadable(path, &error))?;
            let settings = Settings::from_artifact(&artifact).map_err(|error| {
                Failure::usage(format!("cannot take settings from {}: {error}", path.display()))
            })?;
            settings.with_stencils(*stencils)
        }
    };
    Compiler::new(settings).map_err(|error| match error {
        CompileError::Settings(error) => refused(error),
        error => Failure::usage(format!("these settings do not make a compiler: {error}")),
    })
}

fn refused(error: SettingsError) -> Failure {
    Failure::usage(format!(
        "{error}; see --target, --stencils and --cranelift in `stencil compile --help`"
    ))
}

/// Starts the threads that compile, one for each CPU unless told otherwise, and
/// tells how many.
pub fn start_threads(jobs: Option<usize>) -> Result<usize, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.unwrap_or(0));
    let started = pool.build_global().map(|()| rayon::current_num_threads());
    started.map_err(|error| {
        let source = error.source().and_then(|source| source.downcast_ref());
        let why = source.map_or_else(|| error.to_string(), reason);
        Failure::usage(format!(
            "cannot start threads: {why}; raise the limit on processes (ulimit -u), or try --jobs 1"
        ))
    })
}
