//! The farm's results -> tables for a person.
//!
//! Medians of the rounds; every single run is in the JSON object.

use crate::farm::results::{FarmResults, ModuleFigures, PeerFigures, RedisFigures, Row};
use crate::farm::turnover::{Kept, Turnover};
use crate::figures::{mebibytes, ms, percent, ratio};
use crate::table::columns;
use std::fmt::Write as _;

/// All tables.
pub fn render(results: &FarmResults) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} rounds of {} s, all peers in turn in each; medians. Peers and workers share this \
         machine; all workers share {} threads. Every entry's index and length was checked, one \
         of {} was decoded and verified. MB is 10^6 bytes.",
        results.rounds, results.seconds, results.client_threads, results.verify_every
    );
    let _ = writeln!(text, "\n{}", columns(&modules(results)));
    let _ = writeln!(text, "{}", published(results));
    if let Some(redis) = &results.redis {
        let _ = writeln!(text, "{}", trials(results, redis));
    }
    let _ = writeln!(text, "\n{}", columns(&rows(results)));
    results.peers.iter().for_each(|peer| {
        let _ = writeln!(text, "{}", peer_note(peer));
    });
    if let Some(turnover) = &results.turnover {
        let _ = writeln!(text, "\n{}\n{}", turnover_note(turnover), columns(&kept(turnover)));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn modules(results: &FarmResults) -> Vec<Vec<String>> {
    let mut rows = vec![cells(["module", "keys", "absent", "shared", "stored MB", "decoded MB"])];
    rows.extend(results.modules.iter().map(|module| {
        let ModuleFigures {
            name, keys, absent_keys, shared_keys, coded_bytes, entry_bytes, ..
        } = module;
        // Left-hand text starts with a letter; the path may not.
        let tail: Vec<_> = name.rsplit('/').take(3).collect();
        let name = tail.into_iter().rev().collect::<Vec<_>>().join("/");
        vec![
            name,
            keys.to_string(),
            absent_keys.to_string(),
            percent(ratio(*shared_keys as f64, *keys as f64)),
            megabytes(*coded_bytes),
            megabytes(*entry_bytes),
        ]
    }));
    rows
}

fn published(results: &FarmResults) -> String {
    let published = &results.published;
    let per_second = |value: u64| ratio(value as f64, published.seconds).unwrap_or_default();
    format!(
        "Published: {} entries ({} new, {} there already, {} conflicts) in {:.2} s: {:.0} entries/s, \
         {:.1} MB/s stored, {:.1} MB/s decoded.",
        published.offered,
        published.stored,
        published.already_there,
        published.conflicts,
        published.seconds,
        per_second(published.offered),
        per_second(published.wire_bytes) / 1e6,
        per_second(published.entry_bytes) / 1e6,
    )
}

fn trials(results: &FarmResults, redis: &RedisFigures) -> String {
    let clients = results.peers.first().into_iter().flat_map(|peer| &peer.rows);
    let best = clients.filter_map(|row| {
        let best = redis.best(row.clients)?;
        let (batch, depth, mb) = (best.batch, best.depth, best.coded_mb_per_s);
        Some(format!("{} clients: {batch} keys, {depth} at once ({mb:.0} MB/s)", row.clients))
    });
    format!(
        "Redis {} is asked by pipelined MGET, by the best of the ways that were tried. {}.",
        redis.version,
        best.collect::<Vec<_>>().join("; "),
    )
}

fn rows(results: &FarmResults) -> Vec<Vec<String>> {
    let head = [
        "peer",
        "clients",
        "MB/s",
        "min..max",
        "of redis",
        "decoded MB/s",
        "entries/s",
        "p50 ms",
        "p99 ms",
        "CPU ms/MB",
        "client's",
    ];
    let mut rows = vec![cells(head)];
    let clients = results.peers.first().into_iter().flat_map(|peer| &peer.rows);
    for clients in clients.map(|row| row.clients) {
        let of = |peer: &PeerFigures| peer.rows.iter().find(|row| row.clients == clients).cloned();
        let redis = results.redis.as_ref().and_then(|_| results.peers.last()).and_then(of);
        for peer in &results.peers {
            if let Some(found) = of(peer) {
                rows.push(row(&peer.name, &found, redis.as_ref()));
            }
        }
    }
    rows
}

fn row(peer: &str, row: &Row, redis: Option<&Row>) -> Vec<String> {
    let mb = row.coded_mb_per_s;
    let to_redis = redis.and_then(|redis| ratio(mb.median, redis.coded_mb_per_s.median));
    vec![
        peer.to_owned(),
        row.clients.to_string(),
        format!("{:.0}", mb.median),
        format!("{:.0}..{:.0}", mb.min, mb.max),
        percent(to_redis),
        format!("{:.0}", row.entry_mb_per_s.median),
        format!("{:.0}", row.entries_per_s.median),
        ms(row.lookup_ms_p50.median),
        ms(row.lookup_ms_p99.median),
        format!("{:.2}", row.peer_cpu_ms_per_mb.median),
        format!("{:.2}", row.client_cpu_ms_per_mb.median),
    ]
}

fn peer_note(peer: &PeerFigures) -> String {
    let mut note = format!("{}: peak RSS {}", peer.name, mebibytes(peer.peak_rss_bytes as f64));
    if let Some(bound) = peer.memory_bound_bytes {
        let _ = write!(note, ", where its documents allow {}", mebibytes(bound as f64));
    }
    if let Some((hits, hot_hits)) = peer.hits {
        let hot = percent(ratio(hot_hits as f64, hits as f64));
        let _ = write!(note, "; {hits} entries served, {hot} from memory");
    }
    note + "."
}

fn turnover_note(turnover: &Turnover) -> String {
    let published = &turnover.published;
    format!(
        "Through a server with a cap of {}: {} stored MB in {} entries, {} of them removed again, \
         in {:.1} s with their making.",
        mebibytes(turnover.size_max as f64),
        megabytes(published.wire_bytes),
        published.stored,
        turnover.evicted,
        published.seconds,
    )
}

fn kept(turnover: &Turnover) -> Vec<Vec<String>> {
    let head = [
        "",
        "entries",
        "stored MB",
        "files MB",
        "blocks MB",
        "blocks/stored",
        "peak RSS",
        "allowed",
    ];
    let row = |label: &str, kept: &Kept| {
        vec![
            label.to_owned(),
            kept.entries.to_string(),
            megabytes(kept.stored_bytes),
            megabytes(kept.disk_bytes),
            megabytes(kept.blocks_bytes),
            kept.blocks_per_stored.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
            mebibytes(kept.peak_rss_bytes as f64),
            mebibytes(kept.memory_bound_bytes as f64),
        ]
    };
    vec![
        cells(head),
        row("before a restart", &turnover.before_restart),
        row("after a restart", &turnover.after_restart),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::publish::Published;
    use crate::farm::results::{RedisTrial, Run};
    use crate::table::tests::line;

    fn peer(name: &str, coded_bytes: u64) -> PeerFigures {
        let run = Run { seconds: 1.0, coded_bytes, ..Run::default() };
        PeerFigures {
            name: name.to_owned(),
            rows: vec![Row::of(8, vec![run])],
            peak_rss_bytes: 3 << 20,
            memory_bound_bytes: None,
            hits: Some((10, 5)),
        }
    }

    fn results() -> FarmResults {
        let trial = RedisTrial { clients: 8, batch: 256, depth: 2, coded_mb_per_s: 20.0 };
        let kept = Kept { blocks_per_stored: Some(1.25), ..Kept::default() };
        FarmResults {
            rounds: 3,
            seconds: 5.0,
            client_threads: 2,
            verify_every: 64,
            seed: 1,
            modules: Vec::new(),
            entries: 10,
            entry_bytes: 1000,
            published: Published { seconds: 1.0, ..Published::default() },
            peers: vec![peer("server", 30_000_000), peer("redis, MGET", 20_000_000)],
            redis: Some(RedisFigures { version: "7".to_owned(), trials: vec![trial] }),
            turnover: Some(Turnover {
                size_max: 1 << 20,
                published: Published::default(),
                evicted: 7,
                newest: 0,
                before_restart: kept.clone(),
                after_restart: kept,
            }),
        }
    }

    #[test]
    fn a_peer_stands_beside_redis_and_the_disk_below() {
        let text = render(&results());
        assert_eq!(line(&text, "server ")[1..5], ["8", "30", "30..30", "150.0 %"]);
        assert_eq!(line(&text, "redis, MGET ")[1..5], ["8", "20", "20..20", "100 %"]);
        assert!(text.contains("server: peak RSS 3.0 MiB; 10 entries served, 50.0 % from memory."));
        assert_eq!(line(&text, "before a restart")[5], "1.250");
    }

    #[test]
    fn without_redis_nothing_is_compared_with_it() {
        let mut results = results();
        results.redis = None;
        results.peers.truncate(1);
        assert_eq!(line(&render(&results), "server ")[4], "-");
    }
}
