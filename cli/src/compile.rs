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
use crate::{json, quarantine, settings, summary};
use cache_client::DiskStore;
use std::time::Instant;
use wasm_compiler::{CompileError, Report, Stencils};

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
    let mut compiler = settings::compiler(&choice)?;
    compiler.set_verify(config.verify_sample(&args.sample)?);
    let no_cache = config.no_cache(args.no_cache, &args.cache, &args.remote)?.value;
    let is_exact = compiler.settings().stencils() == Stencils::Exact;
    if args.no_cache && args.sample.verify_sample.is_some() && is_exact {
        let why = "without a cache nothing is found that could be verified; leave out --no-cache or \
                   --verify-sample (with --stencils relocatable, new code is checked)";
        return Err(Failure::usage(why));
    }
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
    let remote = cache.finish();
    progress.clear();
    cache.warn();
    // A directory that something is wrong with is left alone.
    let sound = cache.disk().filter(|disk| disk.problems().is_empty());
    let report = compiled.map_err(|error| {
        if let CompileError::Different { differences, .. } = &error {
            quarantine::keep(differences, sound.map(DiskStore::dir));
        }
        refused(&error, &input, &output)
    })?;
    quarantine::keep(&report.differences, sound.map(DiskStore::dir));
    cache.demand()?;
    unfinished.finish()?;

    let rate = sound.map(|disk| Rate::of(disk.dir(), &report.fingerprint));
    let outcome = Outcome {
        input: &input,
        output: &output.name,
        report: &report,
        stencils: compiler.settings().stencils(),
        cached: cache.is_some(),
        remote: remote.as_ref(),
        saved: rate.as_ref().and_then(|rate| rate.estimate(spared_bytes(&report), threads)),
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

/// Why there is no artifact.
fn refused(error: &CompileError, input: &Input, output: &Output) -> Failure {
    match error {
        CompileError::Write(error) => output.unwritable(error),
        CompileError::Different { .. } => Failure::difference(format!(
            "{error}; nothing was written, because --verify-strict was said; what differs is \
             replaced in the cache directory; please report it"
        )),
        error => input.refused(error),
    }
}

/// Machine code that was found, and not compiled all the same.
fn spared_bytes(report: &Report) -> u64 {
    report.hit_code_bytes.saturating_sub(report.verified_code_bytes)
}

/// Keeps what this compile took, as the measure for later ones.
fn record(rate: &Rate, report: &Report, threads: usize) {
    let compiled = report.code_bytes.saturating_sub(spared_bytes(report));
    rate.record(compiled, report.stages.codegen, threads);
}
