//! A process that is killed while it publishes -> nothing acknowledged is lost.
//!
//! This file runs itself: the child publishes and writes to its output what
//! was acknowledged; the parent kills it at some line.

mod storage_support;

use cache_server::storage::Storage as _;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use storage_support::*;

const DIR: &str = "STORAGE_CRASH_DIR";
const FROM: &str = "STORAGE_CRASH_FROM";
const BATCH: u64 = 40;
const KILLS: u64 = 25;

/// The child's part. Does nothing where it is run as a test.
#[test]
fn child() {
    let (Ok(dir), Ok(from)) = (env::var(DIR), env::var(FROM)) else { return };
    let storage = open(Path::new(&dir));
    let mut next: u64 = from.parse().unwrap();
    loop {
        println!("BEGIN {next}");
        let published = publish(&storage, next..next + BATCH);
        assert!(published.conflicts.is_empty());
        next += BATCH;
        println!("ACKNOWLEDGED {next}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_often_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut inside, mut unacknowledged_found) = (0, 0, 0);
    for kill in 0..KILLS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIR, dir.path())
            .env(FROM, acknowledged.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledgements = 0;
        // Half of the kills come right after the begin of a commit.
        let stop_at_begin = kill % 2 == 0;
        while let Some(Ok(line)) = lines.next() {
            if let Some(next) = line.strip_prefix("ACKNOWLEDGED ") {
                acknowledged = next.parse().unwrap();
                acknowledgements += 1;
                if !stop_at_begin && acknowledgements > kill % 5 {
                    break;
                }
            } else if line.contains("BEGIN ") && stop_at_begin && acknowledgements > kill % 5 {
                // Up to two commits' time, in steps that differ.
                (0..kill * 20_000).for_each(|n| {
                    std::hint::black_box(n);
                });
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What was acknowledged before the kill took effect counts, too.
        let mut begun = false;
        for line in lines.map_while(Result::ok) {
            if let Some(next) = line.strip_prefix("ACKNOWLEDGED ") {
                acknowledged = next.parse().unwrap();
            }
            begun = line.contains("BEGIN");
        }
        inside += u64::from(begun || stop_at_begin);
        let storage = open(dir.path());
        check_all(&storage, 0..acknowledged);
        unacknowledged_found += found(&storage, acknowledged..acknowledged + BATCH);
        assert_eq!(storage.stats().quarantined, 0);
    }
    println!(
        "{KILLS} kills, {inside} inside a commit, {acknowledged} entries acknowledged, \
        {unacknowledged_found} found that were not"
    );
    assert!(acknowledged >= KILLS * BATCH);
}
