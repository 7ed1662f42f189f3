//! Damaged, missing and superfluous files -> the entries that are left, and a
//! storage that works.
//!
//! The files are damaged while no storage has them open, or behind its back.

mod storage_support;

use cache_server::storage::{OpenError, PackStorage, Storage as _, StorageConfig, StoredEntry};
use proto::Coded;
use proto::v1::Coding;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use storage_support::*;

/// Where the first entry's record starts in the first pack: behind the record
/// of the namespace's name, which has 65 bytes and the name "a".
const FIRST: u64 = 66;

#[test]
fn damage_anywhere_in_a_record_makes_its_entry_absent_until_it_is_published_again() {
    let regions = [
        ("mark", 0),
        ("checksum", 4),
        ("namespace", 21),
        ("key", 24),
        ("key's end", 55),
        ("length", 56),
        ("data length", 60),
        ("coding", 64),
        ("data", 65),
        ("data's end", 300),
    ];
    for (region, at) in regions {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(dir.path());
        publish(&storage, 1..10);
        let before = storage.stats();
        let pack = OpenOptions::new().read(true).write(true).open(&packs(dir.path())[0]).unwrap();
        let mut byte = [0];
        pack.read_exact_at(&mut byte, FIRST + at).unwrap();
        pack.write_all_at(&[byte[0] ^ 0x10], FIRST + at).unwrap();

        let keys: Vec<_> = (1..10).map(key).collect();
        let (found, counts) = lookup(&storage, "a", &keys);
        assert_eq!((found.len(), counts.quarantined), (8, 1), "{region}");
        assert!(!found.contains_key(&0), "{region}");
        let stats = storage.stats();
        assert_eq!((stats.quarantined, stats.entries), (1, 8), "{region}");
        let gone = u64::from(entry(1).coded.entry_bytes);
        assert_eq!(stats.entry_bytes, before.entry_bytes - gone, "{region}");
        assert_eq!(fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 1, "{region}");
        assert_eq!(storage.find_missing(&namespace("a"), &keys), [0], "{region}");

        // Another version of it: what was damaged is not compared.
        let again = storage.publish(&namespace("a"), vec![version(1, 1)], false).unwrap();
        assert_eq!((again.stored, again.conflicts.len()), (1, 0), "{region}");
        drop(storage);
        let storage = open(dir.path());
        let (found, counts) = lookup(&storage, "a", &keys);
        assert_eq!((found.len(), counts.quarantined), (9, 0), "{region}");
        assert_eq!(found[&0], version(1, 1).coded, "{region}");
    }
}

#[test]
fn damage_that_a_publish_finds_is_put_aside_and_the_entry_stored_anew() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    publish(&storage, 1..10);
    let pack = OpenOptions::new().write(true).open(&packs(dir.path())[0]).unwrap();
    pack.write_all_at(&[0xff; 16], FIRST + 100).unwrap();
    let published = publish(&storage, 1..10);
    assert_eq!((published.stored, published.already_there), (1, 8));
    assert_eq!(storage.stats().quarantined, 1);
    check_all(&storage, 1..10);
}

#[test]
fn a_pack_that_lost_its_end_loses_those_entries_only() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    publish(&storage, 0..100);
    publish(&storage, 100..200);
    let pack = OpenOptions::new().write(true).open(&packs(dir.path())[0]).unwrap();
    let len = pack.metadata().unwrap().len();
    pack.set_len(len - 10).unwrap();
    assert_eq!(found(&storage, 0..200), 199);
    pack.set_len(len / 2).unwrap();
    drop(storage);
    let storage = open(dir.path());
    let left = found(&storage, 0..200);
    assert!((60..140).contains(&left), "{left}");
    publish(&storage, 0..200);
    check_all(&storage, 0..200);
}

#[test]
fn a_restart_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut stats = None;
    for round in 0..5 {
        let storage = open(dir.path());
        check_all(&storage, 0..round * 1000);
        assert!(stats.is_none_or(|stats| stats == storage.stats().stored_bytes));
        publish(&storage, round * 1000..(round + 1) * 1000);
        storage.publish(&namespace("b"), entries(round..round + 1), false).unwrap();
        stats = Some(storage.stats().stored_bytes);
    }
    let storage = open(dir.path());
    assert_eq!(storage.stats().namespaces.len(), 2);
    check_all(&storage, 0..5000);
}

#[test]
fn garbage_behind_the_last_record_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    publish(&open(dir.path()), 0..100);
    let path = packs(dir.path()).remove(0);
    let sound = fs::read(&path).unwrap();
    let half = &sound[FIRST as usize..][..200];
    for garbage in [&b"STR2"[..], &[0; 5000], half] {
        let mut pack = OpenOptions::new().append(true).open(&path).unwrap();
        pack.write_all(garbage).unwrap();
        let storage = open(dir.path());
        assert_eq!(fs::metadata(&path).unwrap().len(), sound.len() as u64);
        assert_eq!(storage.stats().entries, 100);
    }
    let storage = open(dir.path());
    publish(&storage, 100..200);
    check_all(&storage, 0..200);
}

/// An entry whose bytes are these, as they are.
fn carrier(n: u64, data: Vec<u8>) -> StoredEntry {
    let coded = Coded { coding: Coding::Raw, entry_bytes: data.len() as u32, data: data.into() };
    StoredEntry { key: key(n), coded }
}

/// Publishes a carrier of records, damages it, and opens the directory anew.
#[track_caller]
fn check_carrier(what: &str, keep_index: bool, damage: impl Fn(&fs::File, u64, u64)) {
    let other = tempfile::tempdir().unwrap();
    publish(&open(other.path()), [500]);
    let foreign = fs::read(&packs(other.path())[0]).unwrap().split_off(FIRST as usize);

    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    publish(&storage, [0]);
    let path = packs(dir.path()).remove(0);
    let own = fs::read(&path).unwrap().split_off(FIRST as usize);
    storage.publish(&namespace("a"), vec![version(0, 1)], true).unwrap();
    publish(&storage, [1]);
    let from = fs::metadata(&path).unwrap().len();
    let data = [&[0; 100], &foreign[..], &[0; 100], &own[..], &[0; 5000]].concat();
    storage.publish(&namespace("a"), vec![carrier(600, data)], false).unwrap();
    let to = fs::metadata(&path).unwrap().len();
    publish(&storage, [2]);
    drop(storage);

    damage(&OpenOptions::new().write(true).open(&path).unwrap(), from, to);
    if !keep_index {
        fs::remove_dir_all(dir.path().join("index")).unwrap();
    }
    let storage = open(dir.path());
    let (found, _) = lookup(&storage, "a", &[key(0), key(1), key(500), key(600)]);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1], "{what}");
    assert_eq!(found[&0], version(0, 1).coded, "{what}");
    publish(&storage, 2..10);
    check_all(&storage, 1..10);
}

#[test]
fn records_inside_a_damaged_entry_are_never_taken_up() {
    for keep_index in [true, false] {
        check_carrier("cut", keep_index, |pack, _, to| pack.set_len(to - 100).unwrap());
    }
    let flip = |at: u64| {
        move |pack: &fs::File, from: u64, _: u64| pack.write_all_at(&[0xff], from + at).unwrap()
    };
    check_carrier("mark", false, flip(0));
    check_carrier("data length", false, flip(63));
    check_carrier("data", false, flip(70));
    check_carrier("mark, and cut", false, |pack, from, to| {
        pack.write_all_at(&[0xff], from).unwrap();
        pack.set_len(to - 100).unwrap();
    });
}

#[test]
fn a_damaged_entry_full_of_marks_is_passed_in_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let marks = carrier(600, b"STR2".repeat(2 << 20));
    storage.publish(&namespace("a"), vec![marks], false).unwrap();
    publish(&storage, 0..10);
    drop(storage);
    let pack = OpenOptions::new().write(true).open(&packs(dir.path())[0]).unwrap();
    pack.write_all_at(&[0xff], FIRST).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let begun = std::time::Instant::now();
    check_all(&open(dir.path()), 0..10);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn without_its_secret_a_directory_has_only_damage_and_works() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    publish(&open(dir.path()), 0..10);
    let secret = dir.path().join("secret");
    for content in [None, Some(b"half")] {
        let before = fs::read(&secret).unwrap();
        match content {
            None => fs::remove_file(&secret).unwrap(),
            Some(content) => fs::write(&secret, content).unwrap(),
        }
        let storage = open(dir.path());
        assert_eq!(found(&storage, 0..10), 0);
        publish(&storage, 0..10);
        check_all(&storage, 0..10);
        let after = fs::read(&secret).unwrap();
        assert!(after.len() == 8 && after != before);
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
        drop(storage);
        check_all(&open(dir.path()), 0..10);
    }
}

/// Where there are two namespaces, a replaced entry and three packs.
fn make(dir: &std::path::Path) {
    let storage = open(dir);
    publish(&storage, 0..2000);
    storage.publish(&namespace("b"), entries(0..10), false).unwrap();
    storage.publish(&namespace("a"), vec![version(3, 1)], true).unwrap();
    assert!(packs(dir).len() >= 2);
}

#[track_caller]
fn check_made(storage: &PackStorage) {
    let keys: Vec<_> = (0..2000).map(key).collect();
    let (found, _) = lookup(storage, "a", &keys);
    assert_eq!(found.len(), 2000);
    assert_eq!(found[&3], version(3, 1).coded);
    assert_eq!(found[&4], entry(4).coded);
    assert_eq!(lookup(storage, "b", &keys[..20]).0.len(), 10);
    let stats = storage.stats();
    assert_eq!(stats.entries, 2010);
    let mut expected = entries((0..2000).chain(0..10));
    expected[3] = version(3, 1);
    let bytes: u64 = expected.iter().map(|e| u64::from(e.coded.entry_bytes)).sum();
    assert_eq!(stats.entry_bytes, bytes);
}

#[test]
fn an_index_in_any_state_is_rebuilt_from_the_packs() {
    type Break = fn(&std::path::Path);
    let breaks: [(&str, Break); 7] = [
        ("removed", |index| fs::remove_dir_all(index).unwrap()),
        ("log removed", |index| fs::remove_file(index.join("db")).unwrap()),
        ("log emptied", |index| fs::write(index.join("db"), b"").unwrap()),
        ("log overwritten", |index| {
            let len = fs::metadata(index.join("db")).unwrap().len();
            fs::write(index.join("db"), vec![0x5a; len as usize]).unwrap();
        }),
        ("log cut", |index| {
            let db = OpenOptions::new().write(true).open(index.join("db")).unwrap();
            db.set_len(db.metadata().unwrap().len() / 2).unwrap();
        }),
        ("configuration overwritten", |index| fs::write(index.join("conf"), [7; 100]).unwrap()),
        ("all but the log removed", |index| {
            for file in fs::read_dir(index).unwrap().flatten() {
                if file.file_name() != "db" && file.metadata().unwrap().is_file() {
                    fs::remove_file(file.path()).unwrap();
                }
            }
        }),
    ];
    for (what, break_it) in breaks {
        println!("{what}");
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        break_it(&dir.path().join("index"));
        check_made(&open(dir.path()));
        // And what was rebuilt lasts.
        let storage = open(dir.path());
        check_made(&storage);
        publish(&storage, 2000..2100);
        drop(storage);
        check_all(&open(dir.path()), 2000..2100);
    }
}

#[test]
fn an_index_with_flipped_bytes_never_gives_a_wrong_entry() {
    let made = tempfile::tempdir().unwrap();
    make(made.path());
    let db = fs::read(made.path().join("index/db")).unwrap();
    let written: Vec<usize> = (0..db.len()).filter(|at| db[*at] != 0).collect();
    for round in 0..20 {
        let at = written[written.len() / 20 * round];
        let mut damaged = db.clone();
        damaged[at] ^= 0x20;
        fs::write(made.path().join("index/db"), damaged).unwrap();
        check_made(&open(made.path()));
        fs::remove_dir_all(made.path().join("index")).unwrap();
        drop(open(made.path()));
    }
}

#[test]
fn a_pack_that_is_gone_takes_its_entries_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    publish(&open(dir.path()), 0..3000);
    let all = packs(dir.path());
    fs::remove_file(&all[0]).unwrap();
    fs::write(dir.path().join("packs/README"), "not a pack").unwrap();
    let storage = open(dir.path());
    let left = found(&storage, 0..3000);
    assert_eq!(left, storage.stats().entries);
    assert!(left > 0 && left < 3000);
    publish(&storage, 0..3000);
    check_all(&storage, 0..3000);
}

#[test]
fn a_second_server_is_refused_and_the_directory_is_free_again_after_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let second = PackStorage::open(config(dir.path()));
    let Err(error @ OpenError::InUse { .. }) = second else { panic!("{second:?}") };
    assert!(error.to_string().contains("in use by another server"), "{error}");
    drop(first);
    open(dir.path());
}

#[test]
fn a_limit_that_is_too_small_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { size_max: 1 << 20, ..config(dir.path()) };
    assert!(matches!(PackStorage::open(config), Err(OpenError::TooSmall { .. })));
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(open(&data));
    for (mode, is_ours_alone) in [(0o755, true), (0o770, false), (0o702, false), (0o700, true)] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
        match PackStorage::open(StorageConfig::new(&data)) {
            Ok(_) => assert!(is_ours_alone, "{mode:o}"),
            Err(error) => {
                assert!(matches!(error, OpenError::Untrusted { .. }), "{error}");
                assert!(!is_ours_alone, "{mode:o}");
            }
        }
    }
}
