//! Seeded damage to the files -> hits with the right bytes or misses with a
//! reason, a sentence for a person, and a cache that works again.

mod common;

#[path = "common/child.rs"]
mod child;

use cache_client::DiskStore;
use common::{disk, entries, look_up};
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use stencil::{CacheStore, MissReason, NewEntry};
use tempfile::TempDir;

const DAMAGES: u64 = 500;
/// Damages that once were not survived: a page number so large that SQLite
/// took the disk for full.
const FOUND: [u64; 1] = [1349];
const THREADS: u64 = 2;
const SIZE_MAX: u64 = 16 << 20;
const FIRST: &str = "entries-v1-000001.sqlite";

/// What the undamaged store has: small entries, a few that span pages, and
/// again small ones, which are published later and lie in a chunk of their own.
fn known() -> Vec<NewEntry> {
    let mut known = entries(0..40, 600);
    known.extend(entries(40..43, 40_000));
    known.extend(entries(43..80, 300));
    known
}

/// An undamaged cache directory, and a journal that belongs to an earlier state
/// of its file.
struct Pristine {
    dir: TempDir,
    stale_journal: Vec<u8>,
}

fn pristine() -> Pristine {
    let dir = TempDir::new().unwrap();
    let store = disk(dir.path(), SIZE_MAX);
    let known = known();
    let (before, after) = known.split_at(43);
    assert_eq!(store.publish(before).stored, 43);
    let mut connection = rusqlite::Connection::open(dir.path().join(FIRST)).unwrap();
    connection.execute_batch("PRAGMA cache_size = 2; PRAGMA synchronous = OFF").unwrap();
    connection.execute_batch("PRAGMA cache_spill = 2").unwrap();
    let transaction = connection.transaction().unwrap();
    transaction.execute("UPDATE chunk_data SET data = zeroblob(length(data))", []).unwrap();
    let stale_journal = fs::read(journal(dir.path())).unwrap();
    assert!(stale_journal.len() > 1000);
    transaction.rollback().unwrap();
    drop(connection);
    assert_eq!(store.publish(after).stored, 37);
    assert_eq!(look_up(&store, &known).hits, known.len());
    assert_eq!(store.problems(), [""; 0]);
    drop(store);
    Pristine { dir, stale_journal }
}

fn journal(dir: &Path) -> PathBuf {
    dir.join(format!("{FIRST}-journal"))
}

fn garbage(len: usize, random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = vec![0; len];
    random.fill_bytes(&mut bytes);
    bytes
}

/// Does damage number `seed`, and says what it was.
fn damage(dir: &Path, seed: u64, pristine: &Pristine) -> String {
    let path = dir.join(FIRST);
    let mut random = SmallRng::seed_from_u64(seed);
    let len = fs::metadata(&path).unwrap().len();
    let write_at = |at: u64, bytes: &[u8]| {
        File::options().write(true).open(&path).unwrap().write_all_at(bytes, at).unwrap();
    };
    let cut = |len: u64| File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
    match seed % 10 {
        0 => {
            // The first one to nothing at all, some at the end of a page.
            let to = if seed == 0 { 0 } else { random.random_range(0..len) };
            let to = if seed.is_multiple_of(20) { to / 16384 * 16384 } else { to };
            cut(to);
            format!("cut to {to} of {len} bytes")
        }
        1 => {
            let at = random.random_range(0..len);
            let count = random.random_range(1..40_000).min(len - at);
            write_at(at, &vec![0; usize::try_from(count).unwrap()]);
            format!("{count} zeros at {at}")
        }
        2 => {
            let places: Vec<u64> =
                (0..random.random_range(1..20)).map(|_| random.random_range(0..len - 64)).collect();
            for at in &places {
                let count = random.random_range(1..64);
                write_at(*at, &garbage(count, &mut random));
            }
            format!("garbage at {places:?}")
        }
        3 => {
            // One byte of the file's header or of the tables of tables.
            let at = random.random_range(0..120);
            let byte: u8 = random.random();
            write_at(at, &[byte]);
            format!("{byte:#04x} at {at}")
        }
        4 => {
            // Start of a page: the kind of page, its counts and its cells.
            let at = random.random_range(0..len / 16384) * 16384;
            write_at(at, &garbage(random.random_range(1..200), &mut random));
            format!("garbage at the start of page {}", at / 16384 + 1)
        }
        5 => {
            let count = random.random_range(0..200_000);
            fs::write(&path, garbage(count, &mut random)).unwrap();
            format!("{count} bytes of garbage instead")
        }
        6 if seed % 20 == 6 => {
            fs::remove_file(&path).unwrap();
            let stays = random.random::<bool>();
            if stays {
                fs::write(journal(dir), &pristine.stale_journal).unwrap();
            }
            format!("deleted; a journal stays: {stays}")
        }
        6 => {
            // Says of itself that it has a write-ahead log, or is not ours.
            let (at, bytes): (u64, &[u8]) = match random.random_range(0..4) {
                0 => (18, &[2, 2]),
                1 => (60, &[0, 0, 0, 9]),
                2 => (16, &[0x10, 0]),
                _ => (100, &[5]),
            };
            write_at(at, bytes);
            fs::write(dir.join(format!("{FIRST}-wal")), garbage(5000, &mut random)).unwrap();
            format!("{bytes:?} at {at}, with a write-ahead log")
        }
        7 => {
            let count = random.random_range(1..60_000);
            fs::write(journal(dir), garbage(count, &mut random)).unwrap();
            format!("a journal of {count} bytes of garbage")
        }
        8 => {
            // Undoes what is no longer so, whole or damaged.
            let mut bytes = pristine.stale_journal.clone();
            for _ in 0..random.random_range(0..6) {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= random.random_range(1..=255u8);
            }
            bytes.truncate(random.random_range(1..=bytes.len()));
            fs::write(journal(dir), &bytes).unwrap();
            format!("a stale journal of {} bytes", bytes.len())
        }
        _ => {
            // A torn copy: its second half is of another time.
            let at = random.random_range(0..len);
            cut(at);
            let rest = garbage(usize::try_from(len - at).unwrap(), &mut random);
            File::options().append(true).open(&path).unwrap().write_all(&rest).unwrap();
            format!("garbage from {at} on")
        }
    }
}

/// What a child found.
#[derive(Debug, Default)]
struct Found {
    hits: usize,
    misses: usize,
    problems: usize,
    replaced: bool,
}

fn run(seed: u64, pristine: &Pristine) -> Found {
    let dir = TempDir::new().unwrap();
    for file in fs::read_dir(pristine.dir.path()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let what = damage(dir.path(), seed, pristine);
    let output = child::command("uses_a_damaged_cache", dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        child::passed(&output),
        "damage {seed} ({what}): the child ended with {}: {said}",
        output.status
    );
    let mut found = Found::default();
    let figures = said.lines().last().unwrap_or_default().split_whitespace();
    for figure in figures.map(|figure| figure.split_once('=').expect("name=value")) {
        match figure {
            ("hits", hits) => found.hits = hits.parse().unwrap(),
            ("misses", misses) => found.misses = misses.parse().unwrap(),
            ("problems", problems) => found.problems = problems.parse().unwrap(),
            ("replaced", replaced) => found.replaced = replaced.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }
    found
}

#[test]
fn no_damage_is_worse_than_a_miss_with_a_reason() {
    let pristine = pristine();
    let run_share = |n: u64| -> Vec<Found> {
        (0..DAMAGES)
            .chain(FOUND)
            .filter(|seed| seed % THREADS == n)
            .map(|seed| run(seed, &pristine))
            .collect()
    };
    let found: Vec<Found> = thread::scope(|scope| {
        let shares: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || run_share(n))).collect();
        shares.into_iter().flat_map(|share| share.join().expect("no damage fails")).collect()
    });
    let count = |which: fn(&Found) -> bool| found.iter().filter(|found| which(found)).count();
    let replaced = count(|found| found.replaced);
    let in_part = count(|found| found.hits > 0 && found.misses > 0);
    let harmless = count(|found| found.misses == 0 && found.problems == 0);
    let told = count(|found| found.problems > 0);
    println!(
        "{} damages: {told} told of, {replaced} files replaced, \
         {in_part} with hits and misses, {harmless} not noticed",
        found.len()
    );
    assert_eq!(found.len() as u64, DAMAGES + FOUND.len() as u64);
    // All of these happen, or the damage is not what it should be.
    assert!(replaced > 150 && in_part > 20 && harmless > 20, "see the figures");
    assert!(told >= replaced);
}

/// Whether there is a file that followed the first one.
fn replaced(store: &DiskStore) -> bool {
    store.stats().file.is_some_and(|file| !file.ends_with(FIRST))
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn uses_a_damaged_cache() {
    let Some(dir) = child::dir() else { return };
    let known = known();
    let store = disk(&dir, SIZE_MAX);
    // Whatever is found has the right bytes: `look_up` sees to it.
    let found = look_up(&store, &known);
    let told = store.problems();
    let reasons: Vec<MissReason> = found.misses.keys().copied().collect();
    if reasons.iter().any(|reason| *reason != MissReason::Absent) {
        assert!(!told.is_empty(), "nothing was said of {reasons:?}");
    }
    assert!(told.iter().all(|sentence| sentence.contains(FIRST)), "{told:?}");

    // Damage that the lookup did not meet may come to light only now.
    let mut rounds = 0;
    loop {
        rounds += 1;
        let published = store.publish(&known);
        assert_eq!(published.conflicts, 0, "{published:?}");
        let after = look_up(&store, &known);
        if after.hits == known.len() {
            assert_eq!(published.refused, BTreeMap::new());
            break;
        }
        assert!(rounds < 3, "still not whole: {published:?} {after:?} {:?}", store.problems());
    }
    let next = disk(&dir, SIZE_MAX);
    assert_eq!(look_up(&next, &known).hits, known.len(), "{:?}", next.problems());
    assert_eq!(next.problems(), [""; 0]);
    let misses: usize = found.misses.values().sum();
    eprintln!(
        "hits={} misses={misses} problems={} replaced={}",
        found.hits,
        store.problems().len(),
        replaced(&store)
    );
}
