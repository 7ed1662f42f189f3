//! `kill -9` at any point of a publish loses nothing that was acknowledged.
//! Method: the built server on one data directory, several publishers with
//! commits of very different length, a kill at a random point, a restart without
//! help; then everything acknowledged so far is looked up and verified, and
//! nothing else than sound entries is served. `STENCIL_KILLS` sets how often
//! (12), `STENCIL_KILL_SEED` which points.
//!
//! A kill counts as before a commit if no entry of the publishes that were open
//! is there after the restart, as after if all are (only the acknowledgement was
//! missing), else as inside: one stream is committed in batches.

mod support;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stencil::CacheKey;
use support::binary::Process;
use support::*;

const PUBLISHERS: u64 = 4;

/// What became of the numbers that were published.
#[derive(Default)]
struct Ledger {
    /// Numbers whose publish was acknowledged, with the length of their code.
    acknowledged: Mutex<BTreeMap<u64, usize>>,
    /// Publishes that were open at the kill.
    open: Mutex<Vec<Vec<u64>>>,
    next: AtomicU64,
}

/// Publishes batches until the server is gone.
async fn publish_on(addr: std::net::SocketAddr, ledger: Arc<Ledger>, mut random: StdRng) {
    let mut client = connect(addr).await;
    loop {
        // From one entry to several commits of the server's.
        let count = [1, 10, 200, 1500][random.random_range(0..4)];
        let len = random.random_range(100..16_000);
        let first = ledger.next.fetch_add(count, Ordering::Relaxed);
        let numbers: Vec<_> = (first..first + count).collect();
        let chunks = numbers
            .chunks(64)
            .map(|part| chunk(part.iter().map(|number| entry_of(*number, len)).collect()))
            .collect();
        match publish(&mut client, chunks).await {
            Ok(summary) => {
                assert_eq!((summary.stored, summary.conflicts), (count, 0));
                let mut acknowledged = ledger.acknowledged.lock().unwrap();
                acknowledged.extend(numbers.iter().map(|number| (*number, len)));
            }
            Err(_) => {
                ledger.open.lock().unwrap().push(numbers);
                return;
            }
        }
    }
}

/// Everything of these numbers that is there, verified; which numbers.
async fn there(client: &mut Client, numbers: &[u64]) -> Vec<u64> {
    let mut there = Vec::new();
    for numbers in numbers.chunks(20_000) {
        let keys: Vec<CacheKey> = numbers.iter().map(|number| key(*number)).collect();
        let found = lookup(client, &keys).await.unwrap();
        there.extend(found.keys().map(|index| numbers[*index as usize]));
    }
    there.sort_unstable();
    there
}

async fn one_kill(dir: &Path, ledger: &Arc<Ledger>, seed: u64) {
    let process = Process::start(dir, &[]);
    let mut random = StdRng::seed_from_u64(seed);
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let random = StdRng::seed_from_u64(seed ^ (number << 40));
            tokio::spawn(publish_on(process.addr, Arc::clone(ledger), random))
        })
        .collect();
    // The point of the kill is chance; it is not waited for anything.
    tokio::time::sleep(Duration::from_millis(random.random_range(20..600))).await;
    process.signal(Signal::KILL);
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_bad_is_served() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |value| value.parse::<u64>().unwrap())
    };
    let (kills, seed) = (number("STENCIL_KILLS", 12), number("STENCIL_KILL_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    let (mut before, mut inside, mut after) = (0, 0, 0);
    for kill in 0..kills {
        one_kill(dir.path(), &ledger, seed.wrapping_mul(1000) + kill).await;

        let process = Process::start(dir.path(), &[]);
        let mut client = connect(process.addr).await;
        let acknowledged = ledger.acknowledged.lock().unwrap().clone();
        let numbers: Vec<_> = acknowledged.keys().copied().collect();
        let found = there(&mut client, &numbers).await;
        assert_eq!(found, numbers, "acknowledged entries are lost after kill {kill}");
        let open = std::mem::take(&mut *ledger.open.lock().unwrap());
        for numbers in open {
            match there(&mut client, &numbers).await.len() {
                0 => before += 1,
                len if len == numbers.len() => after += 1,
                _ => inside += 1,
            }
        }
        // A byte of each acknowledged length: what is served is what was sent.
        if let Some((number, len)) = acknowledged.iter().next_back() {
            let found = lookup(&mut client, &[key(*number)]).await.unwrap();
            assert_eq!(found[&0], sealed(&key(*number), code(*number, *len)));
        }
        assert_eq!(metric(process.metrics_addr, "stencil_server_quarantined").await, 0);
        process.signal(Signal::TERM);
        let (status, lines) = process.wait();
        assert_eq!(status.code(), Some(0), "{lines:#?}");
    }
    let acknowledged = ledger.acknowledged.lock().unwrap().len();
    println!(
        "{kills} kills with {PUBLISHERS} publishers: {before} publishes were killed before a \
         commit, {inside} inside, {after} after; {acknowledged} acknowledged entries are all there"
    );
    assert!(acknowledged > 0 && before + inside + after > 0, "the kills came too early");
}
