//! What a server says about itself -> rows for a person, members for a program.

use crate::config::RemoteChoice;
use crate::count::count;
use cache_client::remote::{Connection, Greeting};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;
use wording::ByteSize;

/// How long a person waits for a server.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What `--json` prints.
#[derive(Serialize)]
pub struct ServerObject {
    url: String,
    version: String,
    entry_format: u32,
    role: String,
    round_trip_ms: f64,
    uptime_seconds: u64,
    entries: u64,
    entry_bytes: u64,
    stored_bytes: u64,
    disk_bytes: u64,
    size_max: u64,
    hot_entries: u64,
    hot_bytes: u64,
    lookups: u64,
    hits: u64,
    hot_hits: u64,
    published: u64,
    conflicts: u64,
    refused: u64,
    denied: u64,
    quarantined: u64,
    evicted: u64,
}

/// Asks the server.
pub fn ask(choice: &RemoteChoice) -> Result<Greeting, String> {
    let connection = Connection::new(&choice.server).map_err(|error| error.to_string())?;
    connection.greet(ANSWER_MAX)
}

pub fn object(url: &str, greeting: Greeting) -> ServerObject {
    let Greeting { stats, round_trip } = greeting;
    ServerObject {
        url: url.to_owned(),
        version: stats.version,
        entry_format: stats.entry_format,
        role: stats.role,
        round_trip_ms: round_trip.as_micros() as f64 / 1e3,
        uptime_seconds: stats.uptime_seconds,
        entries: stats.entries,
        entry_bytes: stats.entry_bytes,
        stored_bytes: stats.stored_bytes,
        disk_bytes: stats.disk_bytes,
        size_max: stats.size_max,
        hot_entries: stats.hot_entries,
        hot_bytes: stats.hot_bytes,
        lookups: stats.lookups,
        hits: stats.hits,
        hot_hits: stats.hot_hits,
        published: stats.published,
        conflicts: stats.conflicts,
        refused: stats.refused,
        denied: stats.denied,
        quarantined: stats.quarantined,
        evicted: stats.evicted,
    }
}

pub fn table(url: &str, greeting: &Greeting) -> String {
    let Greeting { stats, round_trip } = greeting;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16}{value}");
    };
    row("server", format!("{url}, version {}", stats.version));
    row("round trip", format!("{:.1} ms", round_trip.as_secs_f64() * 1e3));
    row("we may", stats.role.clone());
    row("entries", count(stats.entries));
    row("their bytes", ByteSize(stats.entry_bytes).to_string());
    let size = format!("{} of {}", ByteSize(stats.disk_bytes), ByteSize(stats.size_max));
    row("on its disk", size);
    let hot = format!("{} in {} entries", ByteSize(stats.hot_bytes), count(stats.hot_entries));
    row("in its memory", hot);
    let (lookups, hits) = (count(stats.lookups), count(stats.hits));
    row("since its start", format!("{lookups} lookups, {hits} entries found"));
    let (published, conflicts) = (count(stats.published), count(stats.conflicts));
    row("", format!("{published} entries published, {conflicts} conflicts"));
    let (refused, denied) = (count(stats.refused), count(stats.denied));
    row("", format!("{refused} entries refused, {denied} calls denied"));
    let (evicted, quarantined) = (count(stats.evicted), count(stats.quarantined));
    row("", format!("{evicted} entries evicted, {quarantined} found damaged"));
    for space in &stats.namespaces {
        let Some(namespace) = &space.namespace else {
            continue;
        };
        let short: String =
            namespace.fingerprint.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let entries = format!("{} entries", count(space.entries));
        let stored = ByteSize(space.stored_bytes);
        row("project", format!("{} ({short}): {entries}, {stored}", namespace.project));
    }
    text
}
