//! `stencil verify`: an input -> whether the cached code of its functions is
//! what the compiler makes of them now.
//!
//! [`Hidden`] stands before the cache and withholds the entries to be checked,
//! so that an ordinary compile makes them anew; what it then wants to publish is
//! compared with what was withheld. Entries hold nothing but what the key
//! decides, so they have to be equal to the byte. Nothing is written.

use crate::args::VerifyArgs;
use crate::cache::Cache;
use crate::config::Config;
use crate::count::count;
use crate::exit::{self, Exit, Failure};
use crate::input::Input;
use crate::progress::Progress;
use crate::settings;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use stencil::{
    CacheKey, CacheStore, EntryBytes, Lookup, MissReason, NewEntry, PublishSummary, entry,
};

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
    let compiler = settings::compiler(&choice)?;
    let hidden = Hidden::new(&disk, args.sample.0);
    let watched = progress.watch(&hidden);
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
    let checked = hidden.checked();
    for key in checked.different.iter().take(NAMED_MAX) {
        exit::say("different", key);
    }
    let absent = report.misses.saturating_sub(checked.compared);
    exit::print(&format!(
        "{}: {} cached entries were compiled again, {} of them differ; {} are not in the cache\n",
        input.name,
        count(checked.compared),
        count(checked.different.len() as u64),
        count(absent),
    ))?;
    if checked.different.is_empty() {
        return Ok(Exit::Success);
    }
    let dir = disk.dir().display();
    exit::say(
        "error",
        &format_args!(
            "the cache in {dir} holds code that this compiler does not make; empty it with \
             `stencil prune --all`, and report this"
        ),
    );
    Ok(Exit::Difference)
}

/// A cache whose sampled entries are not seen.
struct Hidden<'a> {
    behind: &'a dyn CacheStore,
    sample: u64,
    /// Which ones are sampled; another number each time.
    seed: u64,
    withheld: Mutex<HashMap<CacheKey, EntryBytes>>,
    checked: Mutex<Checked>,
}

#[derive(Clone, Default)]
struct Checked {
    compared: u64,
    different: Vec<CacheKey>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Hidden<'a> {
    fn new(behind: &'a dyn CacheStore, sample: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            behind,
            sample,
            seed: now.as_nanos() as u64,
            withheld: Mutex::default(),
            checked: Mutex::default(),
        }
    }

    fn checked(&self) -> Checked {
        lock(&self.checked).clone()
    }

    /// Keys are uniformly distributed, and so are their first eight bytes.
    fn is_sampled(&self, key: &CacheKey) -> bool {
        let first = key.as_bytes().first_chunk().copied().unwrap_or_default();
        let number = u64::from_le_bytes(first) ^ self.seed;
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
        mixed.is_multiple_of(self.sample)
    }
}

impl CacheStore for Hidden<'_> {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let mut answers = self.behind.lookup(keys);
        let mut withheld = lock(&self.withheld);
        for (key, answer) in keys.iter().zip(&mut answers) {
            let Lookup::Hit(bytes, _) = answer else { continue };
            // One that is damaged is a miss in a compile, not other code.
            if entry::open(key, bytes).is_ok() && self.is_sampled(key) {
                withheld.insert(*key, bytes.clone());
                *answer = Lookup::Miss(MissReason::Absent);
            }
        }
        answers
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        let withheld = lock(&self.withheld);
        let mut checked = lock(&self.checked);
        for NewEntry { key, bytes } in entries {
            let Some(cached) = withheld.get(key) else { continue };
            checked.compared += 1;
            if cached != bytes {
                checked.different.push(*key);
            }
        }
        PublishSummary::default()
    }
}
