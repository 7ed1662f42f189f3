//! A script and artifacts of its modules -> which of its directives pass.

use crate::artifacts::Artifacts;
use crate::script::{Script, Unit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use wasmparser::Parser;
use wasmtime::Engine;
use wasmtime_wast::{Async, SpectestConfig, WastContext};

/// A test that passes, or the reason why it does not.
pub type Verdict = Result<(), String>;

/// Runs a script's units in one context, all of them, on artifacts alone: Wasmtime reads
/// directives and artifacts from a directory that has no module.
///
/// # Panics
///
/// If the system has no room for the artifacts.
pub fn run(engine: &Engine, script: &Script, artifacts: &Artifacts) -> Vec<Verdict> {
    let directory = tempfile::tempdir().expect("there is room");
    artifacts.write(directory.path());
    // If all pass at once, all pass. To find those that do not takes a file for each.
    if at_once(engine, script, directory.path()).is_ok() {
        return vec![Ok(()); script.units.len()];
    }
    let mut context = match loading(engine, script, directory.path()) {
        Ok(context) => Some(context),
        Err(error) => return vec![Err(error); script.units.len()],
    };
    let verdict = |(index, unit): (usize, &Unit)| {
        let Some(running) = &mut context else {
            return Err("a directive before it panicked".to_owned());
        };
        // A name of its own: to write a file anew makes some file systems wait for the disk.
        let file = directory.path().join(format!("{index}.json"));
        std::fs::write(&file, script.json(std::slice::from_ref(unit))).expect("there is room");
        match catch_unwind(AssertUnwindSafe(|| running.run_file(&file))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(reason(unit, artifacts, &error)),
            Err(_) => {
                context = None;
                Err("it panics".to_owned())
            }
        }
    };
    script.units.iter().enumerate().map(verdict).collect()
}

fn at_once(engine: &Engine, script: &Script, directory: &Path) -> Verdict {
    let mut context = loading(engine, script, directory)?;
    let file = directory.join("all.json");
    std::fs::write(&file, script.json(&script.units)).expect("there is room");
    let run = catch_unwind(AssertUnwindSafe(|| context.run_file(&file)));
    run.unwrap_or_else(|_| Err(wasmtime::Error::msg("it panics"))).map_err(|e| e.to_string())
}

fn loading(engine: &Engine, script: &Script, directory: &Path) -> Result<WastContext, String> {
    let mut context = context(engine, script)?;
    context.precompile_load(directory);
    Ok(context)
}

/// Runs a file as stock Wasmtime does: it parses, compiles and runs, and stops at what fails.
///
/// # Errors
///
/// What fails first.
pub fn plain(engine: &Engine, script: &Script, name: &str, text: &str) -> Verdict {
    let mut context = context(engine, script)?;
    let run = || context.run_wast(name, text.as_bytes());
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(_) => Err("it panics".to_owned()),
    }
}

/// Messages are not compared with those in the file, which are another implementation's. A stack
/// for each call is what components need and most of the time of all others.
fn context(engine: &Engine, script: &Script) -> Result<WastContext, String> {
    let has_components = script.modules.values().any(|module| Parser::is_component(module));
    let stacks = if has_components { Async::Yes } else { Async::No };
    let mut context = WastContext::new(engine, stacks, |_| {});
    context.ignore_error_messages(true);
    let spectest = SpectestConfig { use_shared_memory: true, suppress_prints: true };
    context.register_spectest(&spectest).map_err(|error| format!("{error:#}"))?;
    context.register_wasmtime().map_err(|error| format!("{error:#}"))?;
    Ok(context)
}

/// A module that is not there is missing because a compiler refused it.
fn reason(unit: &Unit, artifacts: &Artifacts, error: &wasmtime::Error) -> String {
    let refusal = |name| artifacts.made.get(name)?.as_ref().err();
    unit.modules.iter().find_map(refusal).cloned().unwrap_or_else(|| error.root_cause().to_string())
}
