//! `stencil compile`: a file -> its artifact. [`run`] is the spine.

use crate::args::CompileArgs;
use crate::cache::Cache;
use crate::config::Config;
use crate::exit::{self, Exit, Failure};
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::output::{Output, is_standard};
use crate::progress::Progress;
use crate::rate::Rate;
use crate::summary::Outcome;
use crate::{json, settings, summary};
use std::time::Instant;
use wasm_compiler::{CompileError, Report};

pub fn run(args: &CompileArgs, started: Instant) -> Result<Exit, Failure> {
    let config = Config::load()?;
    let output = Output::choose(&args.input, args.output.as_deref())?;
    if args.json && is_standard(&output.name) {
        let why = "the artifact and --json cannot both go to the standard output; name a file \
                   with -o";
        return Err(Failure::usage(why));
    }
    let choice = config.settings(&args.settings)?;
    let threads = settings::start_threads(config.jobs(&args.jobs)?.map(|jobs| jobs.value))?;
    let compiler = settings::compiler(&choice)?;
    let no_cache = config.no_cache(args.no_cache, &args.cache, &args.remote)?.value;
    let cache = match no_cache {
        true => Cache::none(),
        false => {
            let remote = config.remote(&args.remote)?;
            Cache::open(&config.cache(&args.cache)?, remote, compiler.fingerprint())?
        }
    };

    let progress = Progress::start();
    let line = progress.clone();
    let interrupt = Interrupt::watch(move || line.clear());
    let input = Input::read(&args.input)?;
    cache.expect(input.wasm.len(), threads);
    let mut unfinished = output.begin(&interrupt);
    let compiled =
        compiler.compile_to(&input.wasm, &progress.watch(cache.store()), &mut unfinished);
    let report = compiled.map_err(|error| match error {
        CompileError::Write(error) => output.unwritable(&error),
        error => input.refused(&error),
    });
    let remote = cache.finish();
    progress.clear();
    cache.warn();
    let report = report?;
    cache.demand()?;
    unfinished.finish()?;

    // A directory that something is wrong with is left alone.
    let sound = cache.disk().filter(|disk| disk.problems().is_empty());
    let rate = sound.map(|disk| Rate::of(disk.dir(), &report.fingerprint));
    let outcome = Outcome {
        input: &input,
        output: &output.name,
        report: &report,
        cached: cache.is_some(),
        remote: remote.as_ref(),
        saved: rate.as_ref().and_then(|rate| rate.estimate(report.hit_code_bytes, threads)),
        wall: started.elapsed(),
    };
    if args.json {
        exit::print(&json::object(&outcome))?;
    } else {
        exit::say_line(&summary::closing_line(&outcome));
    }
    if let Some(rate) = rate {
        record(&rate, &report, threads);
    }
    Ok(Exit::Success)
}

/// Keeps what this compile took, as the measure for later ones.
fn record(rate: &Rate, report: &Report, threads: usize) {
    let compiled = report.code_bytes.saturating_sub(report.hit_code_bytes);
    rate.record(compiled, report.stages.codegen, threads);
}
