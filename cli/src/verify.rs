//! `stencil verify`: an input -> whether the cached code of its functions is
//! what the compiler makes of them now.
//!
//! An ordinary compile that checks its hits does the work, as with `compile
//! --verify-sample`; but its artifact goes nowhere, and [`ReadOnly`] stands
//! before the cache: nothing is written.

use crate::args::VerifyArgs;
use crate::cache::Cache;
use crate::config::Config;
use crate::count::count;
use crate::exit::{self, Exit, Failure};
use crate::input::Input;
use crate::progress::Progress;
use crate::settings;
use std::borrow::Cow;
use std::io;
use std::time::SystemTime;
use stencil::{CacheKey, CacheStore, Lookup, MissReason, NewEntry, PublishSummary};
use wasm_compiler::VerifySample;

/// Reasons for which a whole cache misses.
const UNREADABLE: [MissReason; 4] =
    [MissReason::Io, MissReason::Busy, MissReason::Untrusted, MissReason::Corrupt];

/// A report names at most this many entries.
const NAMED_MAX: usize = 10;

pub fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let config = Config::load()?;
    let choice = config.settings(&args.settings)?;
    let disk = Cache::require(&config.cache(&args.cache)?)?;
    settings::start_threads(config.jobs(&args.jobs)?.map(|jobs| jobs.value))?;
    let progress = Progress::start();
    let input = Input::read(&args.input)?;
    let mut compiler = settings::compiler(&choice)?;
    compiler.set_verify(VerifySample::one_in(args.sample.0).map(|s| s.with_seed(seed())));
    let read_only = ReadOnly(&disk);
    let watched = progress.watch(&read_only);
    let compiled = compiler.compile_to(&input.wasm, &watched, &mut io::sink());
    progress.clear();
    for problem in disk.problems() {
        exit::say("warning", &problem);
    }
    let report = compiled.map_err(|error| input.refused(&error))?;
    if let Some(reason) = report.bypass_reason {
        let line = format!("the cache does not cover {reason}, so there is nothing to verify\n");
        exit::print(&line)?;
        return Ok(Exit::Success);
    }
    let failed = report.miss_reasons.keys().find(|reason| UNREADABLE.contains(reason));
    if let Some(reason) = failed {
        let dir = disk.dir().display();
        return Err(Failure::files(format!(
            "the cache in {dir} could not be read ({reason}), so nothing was verified; try again"
        )));
    }
    for wrong in report.differences.iter().take(NAMED_MAX) {
        exit::say("different", &format_args!("{} {}", wrong.key, wrong.symbol));
    }
    let different = report.differences.len() as u64;
    exit::print(&format!(
        "{}: {} cached entries were compiled again, {} of them differ; {} are not in the cache\n",
        input.name,
        count(report.verified),
        count(different),
        count(report.misses.saturating_sub(different)),
    ))?;
    if different == 0 {
        return Ok(Exit::Success);
    }
    let dir = disk.dir().display();
    exit::say(
        "error",
        &format_args!(
            "the cache in {dir} holds code that this compiler does not make; replace it with \
             `stencil compile --verify-sample 1/1`, or empty the cache with `stencil prune \
             --all`, and report this"
        ),
    );
    Ok(Exit::Difference)
}

/// Other entries each time.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64
}

/// A cache that keeps nothing new.
struct ReadOnly<'a>(&'a dyn CacheStore);

impl CacheStore for ReadOnly<'_> {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.get(key)
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        self.0.lookup(keys)
    }

    fn publish(&self, _: &[NewEntry]) -> PublishSummary {
        PublishSummary::default()
    }
}
