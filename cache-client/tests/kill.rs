//! `kill -9` at any point of a publish -> what was committed is there, the rest
//! is not, and the next process works on.

mod common;

#[path = "common/child.rs"]
mod child;

use cache_client::DiskEvent;
use common::{disk, entries, look_up};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::env;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use stencil::{CacheStore, MissReason, NewEntry};
use tempfile::TempDir;

const KILLS: u64 = 50;
const SIZE_MAX: u64 = 1 << 30;
/// One call of publish; a single transaction. Of a size that makes its commit
/// take long enough to be hit.
const BATCH: u64 = 300;
const LEN: usize = 3000;
/// More than a child gets to before it is killed.
const MANY: u64 = 1000;
const FIRST: &str = "CACHE_CLIENT_TEST_FIRST";
const COUNT: &str = "CACHE_CLIENT_TEST_COUNT";
const STOP_AT: &str = "CACHE_CLIENT_TEST_STOP_AT";

fn batch(n: u64) -> Vec<NewEntry> {
    entries(n * BATCH..(n + 1) * BATCH, LEN)
}

/// The bytes by which a child tells where it is.
const BEGUN: u8 = b'b';
const COMMITTING: u8 = b'c';
const COMMITTED: u8 = b'd';

/// Where the kills fell.
#[derive(Debug, Default)]
struct Kills {
    /// The transaction had begun; its entries were being written.
    inside: u64,
    /// All was written and the commit not reported: it is done or not.
    committing: u64,
    /// The commit was reported; the next transaction had not begun.
    after: u64,
    /// Left a journal that had to be rolled back.
    journals: u64,
    /// Of those in `committing`: the commit was done.
    done: u64,
}

#[test]
fn a_killed_publisher_loses_at_most_its_last_transaction() {
    let dir = TempDir::new().unwrap();
    let mut random = SmallRng::seed_from_u64(9);
    let mut kills = Kills::default();
    let mut committed: Vec<u64> = Vec::new();
    let mut next = 0;
    for round in 0..KILLS {
        // Half of the kills find the child stopped at one of its events, half
        // come while it runs, soon after it said that its commit comes next.
        let transaction = random.random_range(0..3) * 3;
        let stops = round % 2 == 0;
        let kill_after = transaction + if stops { 1 + round / 2 % 3 } else { 2 };
        let stop_at = if stops { kill_after } else { u64::MAX };
        let delay = if stops { 0 } else { random.random_range(0..1000) };
        let mut running = child::command("publishes", dir.path())
            .env(FIRST, next.to_string())
            .env(COUNT, MANY.to_string())
            .env(STOP_AT, stop_at.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = running.stderr.take().unwrap();
        let mut events = vec![0; usize::try_from(kill_after).unwrap()];
        pipe.read_exact(&mut events).expect("the child comes as far as that");
        thread::sleep(Duration::from_micros(delay));
        running.kill().unwrap();
        let status = running.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it was killed, and did not fail before");
        pipe.read_to_end(&mut events).unwrap();

        let journals = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
        let mut journals =
            journals.filter(|f| f.file_name().to_string_lossy().ends_with("journal"));
        kills.journals += u64::from(journals.any(|f| f.metadata().unwrap().len() > 0));
        check_after_kill(dir.path(), &events, &mut next, &mut committed, &mut kills);
    }
    let mut unhurt = child::command("publishes", dir.path());
    unhurt.env(FIRST, next.to_string()).env(COUNT, "2").env(STOP_AT, u64::MAX.to_string());
    let unhurt = unhurt.output().unwrap();
    assert!(child::passed(&unhurt), "{}", String::from_utf8_lossy(&unhurt.stderr));
    committed.extend([next, next + 1]);
    let store = disk(dir.path(), SIZE_MAX);
    for n in &committed {
        assert_eq!(look_up(&store, &batch(*n)).hits as u64, BATCH, "batch {n}");
    }
    println!("{KILLS} kills: {kills:?}; {} batches committed", committed.len());
    assert!(kills.inside > 0 && kills.committing > 0 && kills.after > 0, "{kills:?}");
    assert_eq!(kills.inside + kills.committing + kills.after, KILLS);
}

/// Compares what a new store finds with the events that the killed child told.
fn check_after_kill(
    dir: &Path,
    events: &[u8],
    next: &mut u64,
    committed: &mut Vec<u64>,
    kills: &mut Kills,
) {
    let story = String::from_utf8_lossy(events);
    let done = events.iter().filter(|event| **event == COMMITTED).count() as u64;
    let first = *next;
    committed.extend(first..first + done);
    let in_flight = batch(first + done);

    let store = disk(dir, SIZE_MAX);
    // The last ones each time, all of them at the end.
    for n in committed.iter().rev().take(5) {
        let found = look_up(&store, &batch(*n));
        assert_eq!(found.hits as u64, BATCH, "batch {n} after {story}: {:?}", found.misses);
    }
    let found = look_up(&store, &in_flight);
    let absent = found.misses.get(&MissReason::Absent).copied().unwrap_or(0);
    assert_eq!(found.hits + absent, in_flight.len(), "{:?} after {story}", found.misses);
    match events.last() {
        Some(&BEGUN) => {
            kills.inside += 1;
            assert_eq!(found.hits, 0, "not committed: {story}");
        }
        Some(&COMMITTING) => {
            kills.committing += 1;
            assert!(found.hits == 0 || absent == 0, "{} of a batch after {story}", found.hits);
            kills.done += u64::from(absent == 0);
        }
        Some(&COMMITTED) => {
            kills.after += 1;
            assert_eq!(found.hits, 0, "not begun: {story}");
        }
        _ => panic!("the child said {story}"),
    }
    assert_eq!(look_up(&store, &batch(first + done + 1)).hits, 0, "never begun");

    // The next publish works, and takes what the killed one had not stored.
    let published = store.publish(&in_flight);
    assert_eq!(published.stored, absent as u64, "{published:?}");
    assert_eq!(published.already_there, found.hits as u64, "{published:?}");
    assert_eq!(look_up(&store, &in_flight).hits as u64, BATCH);
    assert_eq!(store.stats().entries, (committed.len() as u64 + 1) * BATCH);
    assert_eq!(store.problems(), [""; 0], "after {story}");
    committed.push(first + done);
    *next = first + done + 1;
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn publishes() {
    let Some(dir) = child::dir() else { return };
    let first: u64 = env::var(FIRST).unwrap().parse().unwrap();
    let store = disk(&dir, SIZE_MAX).with_observer(tell);
    let count: u64 = env::var(COUNT).unwrap().parse().unwrap();
    for n in first..first + count {
        let published = store.publish(&batch(n));
        assert_eq!(published.stored, BATCH, "{published:?} {:?}", store.problems());
    }
}

/// In a child: one byte to the parent for each event. At the event where it is
/// to stop, it waits for the end.
fn tell(event: DiskEvent) {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    static STOP: OnceLock<usize> = OnceLock::new();
    let byte = match event {
        DiskEvent::Begun => BEGUN,
        DiskEvent::Committing => COMMITTING,
        DiskEvent::Committed => COMMITTED,
        other => panic!("unknown event {other:?}"),
    };
    std::io::stderr().write_all(&[byte]).unwrap();
    let told = TOLD.fetch_add(1, Ordering::Relaxed) + 1;
    if told == *STOP.get_or_init(|| env::var(STOP_AT).unwrap().parse().unwrap()) {
        loop {
            thread::park();
        }
    }
}
