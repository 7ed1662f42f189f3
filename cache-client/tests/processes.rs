//! Many processes on one directory that is not there yet -> each publishes and
//! finds its entries, and the next process finds all of them.

mod common;

#[path = "common/child.rs"]
mod child;

use cache_client::DiskStore;
use common::{disk, entries, look_up};
use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::Stdio;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use stencil::{CacheStore, MissReason};
use tempfile::TempDir;

const PROCESSES: u64 = 8;
const SIZE_MAX: u64 = 256 << 20;
/// What each process publishes: some of its own, and some that all publish.
const OWN: u64 = 1500;
const SHARED: u64 = 500;
const BATCH: usize = 250;
const NUMBER: &str = "CACHE_CLIENT_TEST_NUMBER";

#[test]
fn eight_processes_publish_and_look_up_in_an_empty_directory() {
    let dir = TempDir::new().unwrap();
    let cache = dir.path().join("not/there/yet");
    let children: Vec<_> = (0..PROCESSES)
        .map(|n| {
            let mut command = child::command("one_of_many", &cache);
            command.env(NUMBER, n.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for (n, running) in children.into_iter().enumerate() {
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(child::passed(&output), "process {n} ended with {}: {said}", output.status);
    }
    let ninth = disk(&cache, SIZE_MAX);
    let all = entries(0..SHARED + PROCESSES * OWN, 700);
    let found = look_up(&ninth, &all);
    assert_eq!((found.hits, found.misses), (all.len(), BTreeMap::new()));
    assert_eq!(ninth.stats().entries, all.len() as u64, "each is stored once");
    assert_eq!(ninth.problems(), [""; 0]);
    let files = std::fs::read_dir(&cache).unwrap().map(|f| f.unwrap().file_name());
    let databases = files.filter(|f| f.to_string_lossy().ends_with(".sqlite"));
    assert_eq!(databases.count(), 1, "all made the same file");
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn one_of_many() {
    let Some(dir) = child::dir() else { return };
    let n: u64 = env::var(NUMBER).unwrap().parse().unwrap();
    let store = disk(&dir, SIZE_MAX);
    let mut new = entries(0..SHARED, 700);
    new.extend(entries(SHARED + n * OWN..SHARED + (n + 1) * OWN, 700));
    for (at, batch) in new.chunks(BATCH).enumerate() {
        let published = store.publish(batch);
        assert_eq!(published.stored + published.already_there, BATCH as u64, "{published:?}");
        // A reader that waits for too long is told so. Nothing else may be
        // missing of what this process has published, and nothing damaged.
        let found = look_up(&store, &new[..(at + 1) * BATCH]);
        let busy = found.misses.get(&MissReason::Busy).copied().unwrap_or(0);
        assert_eq!(found.hits + busy, (at + 1) * BATCH, "{:?}", found.misses);
    }
    let sentences = store.problems();
    assert!(sentences.iter().all(|s| s.contains("was locked by other processes")), "{sentences:?}");
}

/// Every clear and every deleted directory takes the file away from under those
/// at work. They follow, and have nothing to report.
#[test]
fn stores_at_work_follow_when_the_files_go_away() {
    const ROUNDS: u32 = 60;
    let dir = TempDir::new().unwrap();
    let cache = dir.path().join("cache");
    let known = entries(0..600, 200);
    let done = AtomicBool::new(false);
    let work = |store: &DiskStore| {
        let (mut hits, mut stored) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            stored += store.publish(&known).stored;
            let found = look_up(store, &known);
            let absent = found.misses.get(&MissReason::Absent).copied().unwrap_or(0);
            let busy = found.misses.get(&MissReason::Busy).copied().unwrap_or(0);
            assert_eq!(found.hits + absent + busy, known.len(), "{:?}", store.problems());
            hits += found.hits;
        }
        (hits, stored, store.problems())
    };
    let told = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..3).map(|_| scope.spawn(|| work(&disk(&cache, SIZE_MAX)))).collect();
        let store = disk(&cache, SIZE_MAX);
        let mut failed = Vec::new();
        for round in 0..ROUNDS {
            thread::sleep(Duration::from_millis(10));
            if round % 3 == 0 {
                // Fails if a file is made meanwhile; some are gone all the same.
                let _ = std::fs::remove_dir_all(&cache);
            } else {
                failed.extend(store.clear().err());
            }
        }
        // Not earlier: the workers stop for this alone.
        done.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "{failed:?}: {:?}", store.problems());
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    for (hits, stored, problems) in told {
        println!("{hits} hits, {stored} stored, {problems:?}");
        assert!(hits > 0 && stored > 0);
        let busy = |sentence: &String| sentence.contains("was locked by other processes");
        assert!(problems.iter().all(busy), "{problems:?}");
    }
    let store = disk(&cache, SIZE_MAX);
    assert_eq!(store.publish(&known).refused, BTreeMap::new());
    assert_eq!(look_up(&store, &known).hits, known.len());
}

/// A killed publisher leaves a journal that one reader must undo while the
/// others are about to do the same. Stores of one process lock one another out
/// as those of several do, and can be started at the same moment.
#[test]
fn readers_that_all_find_an_interrupted_commit_do_not_wait_for_one_another() {
    const ROUNDS: usize = 40;
    const READERS: usize = 8;
    let before = entries(0..100, 700);
    let mut busy = 0;
    for _ in 0..ROUNDS {
        let dir = TempDir::new().unwrap();
        let store = disk(dir.path(), SIZE_MAX);
        assert_eq!(store.publish(&before).stored, 100);
        let file = store.stats().file.unwrap();
        drop(store);
        interrupt_a_commit(&file);
        let start = Barrier::new(READERS);
        thread::scope(|scope| {
            let read = || {
                let store = disk(dir.path(), SIZE_MAX);
                start.wait();
                look_up(&store, &before)
            };
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
            for reader in readers {
                let found = reader.join().unwrap();
                let waited = found.misses.get(&MissReason::Busy).copied().unwrap_or(0);
                assert_eq!(found.hits + waited, 100, "{:?}", found.misses);
                busy += usize::from(waited > 0);
            }
        });
        assert_eq!(look_up(&disk(dir.path(), SIZE_MAX), &before).hits, 100);
        let journal = std::fs::metadata(file.with_extension("sqlite-journal"));
        assert_eq!(journal.map_or(0, |journal| journal.len()), 0, "undone");
    }
    // On a loaded machine one may be unlucky. With a lock that is kept while
    // waiting it is a third of them.
    println!("{busy} of {} readers waited in vain", ROUNDS * READERS);
    assert!(busy < ROUNDS * READERS / 10, "{busy} readers waited in vain");
}

/// Leaves the file half overwritten and beside it the journal that undoes it,
/// as a process that is killed while it commits.
fn interrupt_a_commit(file: &Path) {
    let journal = file.with_extension("sqlite-journal");
    let aside = file.with_extension("aside");
    let mut connection = rusqlite::Connection::open(file).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
    // Without room in the cache, pages are written before the commit.
    connection.execute_batch("PRAGMA cache_size = 2").unwrap();
    connection.execute_batch("PRAGMA cache_spill = 2").unwrap();
    let transaction = connection.transaction().unwrap();
    transaction.execute("UPDATE chunk_data SET data = zeroblob(length(data))", []).unwrap();
    let written = std::fs::read(file).unwrap();
    let undo = std::fs::read(&journal).unwrap();
    assert!(undo.len() > 1000, "a journal of {} bytes", undo.len());
    transaction.rollback().unwrap();
    drop(connection);
    std::fs::write(&aside, written).unwrap();
    std::fs::write(&journal, undo).unwrap();
    std::fs::rename(&aside, file).unwrap();
}
