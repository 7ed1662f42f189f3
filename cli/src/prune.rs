//! `stencil prune`: a cache -> a smaller one.

use crate::args::PruneArgs;
use crate::cache::Cache;
use crate::config::Config;
use crate::count::count;
use crate::exit::{self, Exit, Failure};
use wording::ByteSize;

pub fn run(args: &PruneArgs) -> Result<Exit, Failure> {
    let config = Config::load()?;
    let choice = config.cache(&args.cache)?;
    let disk = Cache::require(&choice)?;
    let failed = |reason: stencil::MissReason| {
        let problems = disk.problems();
        let why = problems.first().cloned().unwrap_or_else(|| {
            format!("cannot prune the cache in {}: {reason}", disk.dir().display())
        });
        Failure::files(why)
    };
    if args.all {
        let before = disk.stats();
        disk.clear().map_err(failed)?;
        let entries = count(before.entries);
        let line = format!("removed all {entries} entries, {}\n", ByteSize(before.file_bytes));
        exit::print(&line)?;
        return Ok(Exit::Success);
    }
    let pruned = disk.prune(Some(choice.size_max));
    if let Some(reason) = pruned.failure {
        return Err(failed(reason));
    }
    exit::print(&format!(
        "removed {} entries, least recently used first; {} of at most {} are left\n",
        count(pruned.entries),
        ByteSize(pruned.file_bytes_after),
        ByteSize(choice.size_max),
    ))?;
    Ok(Exit::Success)
}
