//! A clock that is wrong, and one that is moved while a compile runs -> rows; also in a cache that
//! is full of entries of another time, where the clock decides what is evicted.

use crate::module::{Module, Seen};
use crate::shim::{Place, library};
use crate::table::{Row, Trial};
use crate::tier::{Disk, compile_on_disk, compile_on_disk_of, database};
use cache_client::{DiskConfig, DiskStore};
use rusqlite::Connection;
use std::path::Path;
use stencil::{CacheKey, CacheStore as _, Fingerprint, NewEntry, StencilBuilder, entry};

const YEAR: i64 = 365 * 24 * 3600;
/// Seconds: also to before 1970, and to beyond what 32 bits hold.
const MOVES: [i64; 8] = [-7200, 7200, -YEAR, YEAR, -10 * YEAR, 100 * YEAR, -60 * YEAR, 1000 * YEAR];

pub fn rows(module: &Module) -> Vec<Row> {
    let disk = Disk::new(module);
    vec![wrong(module, &disk), moved(module, &disk), evicting(module)]
}

fn run(place: &Place, module: &Module, first: i64, then: i64, after: u64) -> Seen {
    let mut command = place.command();
    command.env("LD_PRELOAD", library()).env("CLOCK_FIRST", first.to_string());
    command.env("CLOCK_THEN", then.to_string()).env("CLOCK_AFTER", after.to_string());
    place.run(module, command)
}

fn wrong(module: &Module, disk: &Disk) -> Row {
    let mut row = Row::new("clock moved between compiles", "disk");
    for (warm, by) in [true, false].into_iter().flat_map(|warm| MOVES.map(|by| (warm, by))) {
        let place = Place::new(module);
        if warm {
            disk.copy_to(&place.cache);
        }
        let under = run(&place, module, by, by, 0);
        let happened = last_use(&place.cache).abs_diff(real_now()) > 3600;
        let what = format!("{by} s, warm: {warm}");
        let trial = Trial::new(&what, under, || compile_on_disk(module, &place.cache));
        row.add(Trial { happened, ..trial.warm(warm) });
    }
    row
}

/// What the directory says: that the command did see the other clock.
fn last_use(dir: &Path) -> i64 {
    let connection = Connection::open(database(dir)).unwrap();
    connection.query_row("SELECT max(used) FROM chunk", [], |row| row.get(0)).unwrap()
}

fn real_now() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    now.as_secs() as i64
}

fn moved(module: &Module, disk: &Disk) -> Row {
    let mut row = Row::new("clock moved during a compile", "disk");
    for warm in [true, false] {
        for (after, by) in (0..4).flat_map(|after| MOVES.map(|by| (after, by))) {
            let place = Place::new(module);
            if warm {
                disk.copy_to(&place.cache);
            }
            let under = run(&place, module, 0, by, after);
            let what = format!("{by} s after {after} reads");
            let trial = Trial::new(&what, under, || compile_on_disk(module, &place.cache));
            row.add(trial.warm(warm));
        }
    }
    row
}

const SIZE_MAX: u64 = 2 << 20;

/// A cache that is full of entries of another time, at its limit. What is compiled now stays while
/// there is something else to evict.
fn evicting(module: &Module) -> Row {
    let mut row = Row::new("clock moved in a cache at its size limit", "disk");
    for by in MOVES {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(DiskConfig { dir: dir.path().to_owned(), size_max: SIZE_MAX });
        for number in 0..40 {
            assert_eq!(store.publish(&[filler(number)]).stored, 1);
        }
        assert!(store.stats().entries < 40, "it is at its limit");
        drop(store);
        // As if the clock had been off by so much then, and were right now.
        let connection = Connection::open(database(dir.path())).unwrap();
        let moved = connection.execute("UPDATE chunk SET used = used + ?1", [by]).unwrap();
        drop(connection);
        let compile = || compile_on_disk_of(module, dir.path(), SIZE_MAX);
        let publish = |number| {
            let dir = dir.path().to_owned();
            let store = DiskStore::open(DiskConfig { dir, size_max: SIZE_MAX });
            assert_eq!(store.publish(&[filler(number)]).stored, 1, "{:?}", store.problems());
        };
        let under = compile();
        publish(100);
        let next = compile();
        publish(101);
        let (last, what) = (compile(), format!("{by} s"));
        let (happened, misses_before) = (moved > 5, under.misses);
        if next.misses > 0 {
            row.fail(format!("{what}: what was compiled last was evicted first"));
        }
        let under = Some(under);
        row.add(Trial { what: &what, faults: 1, happened, misses_before, under, next, last });
    }
    row
}

/// An entry that fills a chunk.
fn filler(number: u64) -> NewEntry {
    let hash = Fingerprint::of([("filler", &number.to_le_bytes()[..])]);
    let key = CacheKey::from_bytes(*hash.as_bytes());
    let bytes = entry::seal(&key, &StencilBuilder::new(vec![0x90; 100_000], 1, 0, 0)).unwrap();
    NewEntry { key, bytes }
}
