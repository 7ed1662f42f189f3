//! `stencil stats`: the cache directory -> figures for a person or a program.

use crate::args::StatsArgs;
use crate::cache::Cache;
use crate::config::Config;
use crate::count::count;
use crate::exit::{self, Exit, Failure};
use crate::server_stats::{self, ServerObject};
use cache_client::{DiskStats, DiskStore};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use wording::ByteSize;

/// What `--json` prints. Times are seconds since 1970.
#[derive(Serialize)]
struct Object {
    directory: String,
    file: Option<String>,
    entries: u64,
    entry_bytes: u64,
    chunks: u64,
    file_bytes: u64,
    size_max: u64,
    oldest_use: Option<u64>,
    newest_use: Option<u64>,
    failure: Option<&'static str>,
    problems: Vec<String>,
    server: Option<ServerObject>,
}

pub fn run(args: &StatsArgs) -> Result<Exit, Failure> {
    let config = Config::load()?;
    let remote = config.remote(&args.remote)?;
    let disk = Cache::require(&config.cache(&args.cache)?)?;
    let stats = disk.stats();
    let server = remote.map(|remote| (remote.server.url.clone(), server_stats::ask(&remote)));
    let mut ends = if stats.failure.is_some() { Exit::Files } else { Exit::Success };
    if let Some((_, Err(problem))) = &server {
        exit::say("warning", problem);
        ends = Exit::Remote;
    }
    let server = server.and_then(|(url, answer)| Some((url, answer.ok()?)));
    if args.json {
        let server = server.map(|(url, greeting)| server_stats::object(&url, greeting));
        exit::print(&object(&disk, &stats, server))?;
        return Ok(ends);
    }
    exit::print(&table(&disk, &stats))?;
    if let Some((url, greeting)) = &server {
        exit::print(&format!("\n{}", server_stats::table(url, greeting)))?;
    }
    for problem in disk.problems() {
        exit::say("warning", &problem);
    }
    Ok(ends)
}

fn object(disk: &DiskStore, stats: &DiskStats, server: Option<ServerObject>) -> String {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let object = Object {
        directory: disk.dir().display().to_string(),
        file: stats.file.as_ref().map(|file| file.display().to_string()),
        entries: stats.entries,
        entry_bytes: stats.entry_bytes,
        chunks: stats.chunks,
        file_bytes: stats.file_bytes,
        size_max: stats.size_max,
        oldest_use: stats.oldest_use.map(seconds),
        newest_use: stats.newest_use.map(seconds),
        failure: stats.failure.map(|reason| reason.name()),
        problems: disk.problems(),
        server,
    };
    let mut line = serde_json::to_string(&object).unwrap_or_default();
    line.push('\n');
    line
}

fn table(disk: &DiskStore, stats: &DiskStats) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16}{value}");
    };
    row("directory", disk.dir().display().to_string());
    if let Some(reason) = stats.failure {
        row("not readable", reason.to_string());
        return text;
    }
    row("entries", count(stats.entries));
    row("their bytes", ByteSize(stats.entry_bytes).to_string());
    let size = format!("{} of {}", ByteSize(stats.file_bytes), ByteSize(stats.size_max));
    row("on the disk", size);
    if let (Some(oldest), Some(newest)) = (stats.oldest_use, stats.newest_use) {
        row("last used", format!("{} to {}", ago(oldest), ago(newest)));
    }
    text
}

/// How long ago, in the largest unit that fits.
fn ago(time: SystemTime) -> String {
    let seconds = time.elapsed().map_or(0, |time| time.as_secs());
    match seconds {
        0..3600 => "less than an hour ago".to_owned(),
        3600..172_800 => format!("{} hours ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
