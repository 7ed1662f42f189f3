//! More entries than fit -> the file keeps to its limit, and what was used
//! least recently is gone.

mod common;

use cache_client::DiskStore;
use common::{disk, entries, look_up};
use rusqlite::Connection;
use std::path::Path;
use stencil::{CacheStore, MissReason, NewEntry};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// The size of the one database file in `dir`, without its journal.
fn file_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut databases = files.filter(|f| f.file_name().to_string_lossy().ends_with(".sqlite"));
    let bytes = databases.next().expect("a database").metadata().unwrap().len();
    assert!(databases.next().is_none(), "one database");
    bytes
}

fn connection(store: &DiskStore) -> Connection {
    Connection::open(store.stats().file.expect("a database")).unwrap()
}

/// Publishes all of `new` in calls of `batch` entries; none may be refused.
#[track_caller]
fn publish_all(store: &DiskStore, new: &[NewEntry], batch: usize, mut after: impl FnMut()) {
    for batch in new.chunks(batch) {
        let published = store.publish(batch);
        assert_eq!(published.stored, batch.len() as u64, "{published:?} {:?}", store.problems());
        after();
    }
}

#[test]
fn the_file_never_exceeds_its_limit() {
    for (size_max, count, len, batch) in [
        // Five times the limit, in transactions of an eighth of it.
        (2 * MIB, 10_000, 900, 500),
        // Small entries: the index and the directories weigh most.
        (2 * MIB, 40_000, 0, 5_000),
        // Whole transactions of 4 MiB; each chunk leaves half a page empty.
        (32 * MIB, 5_000, 15_130, 1_000),
        // One chunk an entry.
        (32 * MIB, 800, 100_000, 200),
    ] {
        let dir = TempDir::new().unwrap();
        let new = entries(0..count, len);
        let store = disk(dir.path(), size_max);
        publish_all(&store, &new, batch, || {
            assert!(file_bytes(dir.path()) <= size_max, "{}", file_bytes(dir.path()));
        });
        assert!(file_bytes(dir.path()) > size_max / 2, "most of the room is used");
        // The last entries are all there, the first ones are not.
        let kept = usize::try_from(store.stats().entries).unwrap();
        assert!(kept > batch && kept < new.len(), "{kept} of {} are kept", new.len());
        assert_eq!(look_up(&store, &new[new.len() - kept..]).hits, kept);
        let gone = look_up(&store, &new[..new.len() - kept]);
        assert_eq!(
            gone.misses.into_iter().collect::<Vec<_>>(),
            [(MissReason::Absent, new.len() - kept)]
        );
        assert_eq!(store.problems(), [""; 0]);
    }
}

/// In a full cache that was filled while the clock was ahead, whatever was published after the clock
/// had been put right was the least recently used, and the next publish evicted it: two modules
/// built in turn never hit, until the clock had caught up.
#[test]
fn entries_from_the_future_are_evicted_before_those_of_now() {
    for ahead in [0, 7200, 10 << 30] {
        let dir = TempDir::new().unwrap();
        let new = entries(0..6000, 900);
        let (before, now) = new.split_at(5800);
        let store = disk(dir.path(), 4 * MIB);
        publish_all(&store, before, 100, || {});
        let kept = store.stats().entries;
        assert!(kept < 5800, "it is at its limit");
        let connection = connection(&store);
        connection.execute("UPDATE chunk SET used = used + ?1", [ahead]).unwrap();
        drop(connection);
        let (one, other) = now.split_at(100);
        publish_all(&store, one, 100, || {});
        publish_all(&store, other, 100, || {});
        assert!(store.stats().entries < kept + 200, "some were evicted");
        assert_eq!(look_up(&store, now).hits, 200, "{ahead} s ahead");
    }
}

#[test]
fn entries_that_are_looked_up_survive_those_that_are_not() {
    let dir = TempDir::new().unwrap();
    let size_max = 4 * MIB;
    let new = entries(0..6000, 900);
    let (old, newer) = new.split_at(2000);
    let store = disk(dir.path(), size_max);
    publish_all(&store, old, 500, || {});
    // Times of use are exact to an hour, so the test makes all of them older.
    let hours = connection(&store).execute("UPDATE chunk SET used = used - 36000", []).unwrap();
    assert!(hours > 10, "{hours} chunks");

    // The oldest quarter is used; the store notes it before it is dropped.
    let user = disk(dir.path(), size_max);
    assert_eq!(look_up(&user, &old[..500]).hits, 500);
    drop(user);
    let noted: i64 = connection(&store)
        .query_row("SELECT count(*) FROM chunk WHERE used > unixepoch() - 3600", [], |r| r.get(0))
        .unwrap();
    assert!(noted >= 4, "{noted} uses were noted");

    publish_all(&store, &newer[..2000], 500, || {});
    assert_eq!(look_up(&store, &old[..500]).hits, 500, "used, although published first");
    assert_eq!(look_up(&store, &newer[..2000]).hits, 2000, "just published");
    let unused = look_up(&store, &old[500..]).hits;
    assert!(unused < 1500, "room was made by what was not used, but {unused} are left");
}

#[test]
fn a_use_is_noted_once_an_hour() {
    let dir = TempDir::new().unwrap();
    let new = entries(0..100, 100);
    let store = disk(dir.path(), 4 * MIB);
    publish_all(&store, &new, 100, || {});
    let set = |ago: i64| {
        let set = "UPDATE chunk SET used = unixepoch() - ?1";
        connection(&store).execute(set, [ago]).unwrap();
    };
    let ago_after_lookup = || -> i64 {
        let user = disk(dir.path(), 4 * MIB);
        assert_eq!(look_up(&user, &new).hits, 100);
        drop(user);
        let get = "SELECT unixepoch() - min(used) FROM chunk";
        connection(&store).query_row(get, [], |row| row.get(0)).unwrap()
    };
    set(1800);
    assert!(ago_after_lookup() >= 1800, "not worth a write");
    set(7200);
    assert!(ago_after_lookup() < 1800);
    // A clock that was wrong must not keep an entry forever.
    set(-1_000_000);
    assert!(ago_after_lookup() >= 0);
}

#[test]
fn prune_gives_room_back() {
    let dir = TempDir::new().unwrap();
    let new = entries(0..8000, 900);
    let store = disk(dir.path(), 64 * MIB);
    publish_all(&store, &new, 4000, || {});
    let before = file_bytes(dir.path());
    assert!(before > 7 * MIB);

    // With a limit that it keeps to already, nothing goes.
    let pruned = store.prune(None);
    assert_eq!((pruned.entries, pruned.chunks, pruned.failure), (0, 0, None));
    assert_eq!(look_up(&store, &new).hits, 8000);

    let pruned = store.prune(Some(3 * MIB));
    assert_eq!(pruned.failure, None);
    assert!(pruned.file_bytes_before >= before);
    assert_eq!(pruned.file_bytes_after, store.stats().file_bytes);
    assert!(file_bytes(dir.path()) <= 3 * MIB, "{}", file_bytes(dir.path()));
    assert!(file_bytes(dir.path()) > 2 * MIB, "no more than necessary goes");
    let left = store.stats().entries;
    assert_eq!(left + pruned.entries, 8000);
    assert_eq!(look_up(&store, &new).hits as u64, left);
    assert_eq!(look_up(&store, &new[4000..]).hits as u64, left, "the last ones stay");

    let pruned = store.prune(Some(0));
    assert_eq!((pruned.entries, store.stats().entries), (left, 0));
    assert!(file_bytes(dir.path()) < MIB / 4, "{}", file_bytes(dir.path()));
    publish_all(&store, &new, 4000, || {});
    assert_eq!(look_up(&store, &new).hits, 8000);
}

#[test]
fn clear_starts_anew_and_others_follow() {
    let dir = TempDir::new().unwrap();
    let new = entries(0..500, 900);
    let (store, other) = (disk(dir.path(), 4 * MIB), disk(dir.path(), 4 * MIB));
    publish_all(&store, &new, 500, || {});
    assert_eq!(look_up(&other, &new).hits, 500);
    assert_eq!(store.clear(), Ok(()));
    assert!(file_bytes(dir.path()) < MIB / 4);
    assert_eq!(look_up(&other, &new).hits, 0);
    assert_eq!(look_up(&store, &new).hits, 0);
    publish_all(&other, &new, 500, || {});
    assert_eq!(look_up(&store, &new).hits, 500);
    assert_eq!(store.problems().len() + other.problems().len(), 0);
}

#[test]
fn a_lowered_limit_shrinks_the_file() {
    let dir = TempDir::new().unwrap();
    let new = entries(0..12_000, 900);
    let (before, after) = new.split_at(11_000);
    publish_all(&disk(dir.path(), 64 * MIB), before, 11_000, || {});
    assert!(file_bytes(dir.path()) > 8 * MIB);
    let store = disk(dir.path(), 2 * MIB);
    publish_all(&store, after, 100, || {});
    assert!(file_bytes(dir.path()) <= 2 * MIB, "{}", file_bytes(dir.path()));
    assert_eq!(look_up(&store, after).hits, 1000);
    assert_eq!(store.problems(), [""; 0]);
}

/// One publish does not pay for all of a limit that was lowered by much, but
/// the file does not grow meanwhile and is within its limit in the end.
#[test]
fn a_limit_lowered_by_much_is_reached_in_steps() {
    let dir = TempDir::new().unwrap();
    let large = entries(0..1000, 100_000);
    publish_all(&disk(dir.path(), 256 * MIB), &large, 1000, || {});
    let mut last = file_bytes(dir.path());
    assert!(last > 90 * MIB);
    let store = disk(dir.path(), 8 * MIB);
    let new = entries(1000..1400, 900);
    publish_all(&store, &new[..100], 100, || {});
    assert!(file_bytes(dir.path()) > 8 * MIB, "all at once");
    publish_all(&store, &new[100..], 100, || {
        let bytes = file_bytes(dir.path());
        assert!(bytes < last || bytes <= 8 * MIB, "{bytes} after {last}");
        last = bytes;
    });
    assert!(last <= 8 * MIB, "{last}");
    assert_eq!(look_up(&store, &new).hits, 400);
}

#[test]
fn a_limit_without_room_for_anything_refuses_entries() {
    let dir = TempDir::new().unwrap();
    for size_max in [0, 1, 16_384, 200_000] {
        let store = disk(dir.path(), size_max);
        let published = store.publish(&entries(0..3, 100));
        assert_eq!(published.stored, 0);
        assert_eq!(published.refused.values().sum::<u64>(), 3, "{published:?}");
        assert_eq!(look_up(&store, &entries(0..3, 100)).hits, 0);
    }
}
