//! A disk that is really full -> publishes that are refused, and lookups that
//! answer all of what was acknowledged.
//!
//! The disk is a tmpfs of its own. Where it cannot be mounted, the tests say so
//! and end.

mod storage_support;

use cache_server::storage::{PackStorage, Storage as _, StorageConfig, StorageError, StoredEntry};
use proto::Coded;
use proto::v1::Coding;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use storage_support::*;

/// A file system of its own that has 48 MiB, 8 of which are another's.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m,mode=700", "tmpfs"]).arg(dir.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            fs::write(dir.path().join("ballast"), vec![1; 8 << 20]).unwrap();
            return Some(Self(dir));
        }
        eprintln!("SKIPPED: a tmpfs cannot be mounted here, so no disk can be filled");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes what is left, as another program would, to the last byte.
    fn fill(&self) -> File {
        let mut file = File::create(self.path().join("filler")).unwrap();
        for len in [1 << 20, 4096, 1] {
            while file.write_all(&vec![1; len]).is_ok() {}
        }
        file
    }

    fn free_again(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn open(disk: &Disk) -> PackStorage {
    let config = StorageConfig { size_max: 1 << 30, ..config(&disk.path().join("data")) };
    PackStorage::open(config).unwrap()
}

#[track_caller]
fn refused(storage: &PackStorage, from: u64) {
    let refused = storage.publish(&namespace("a"), entries(from..from + 100), false);
    assert!(matches!(refused, Err(StorageError::Full { .. })), "{refused:?}");
}

#[test]
fn a_full_disk_refuses_publishes_and_answers_every_lookup() {
    let Some(disk) = Disk::mount() else { return };
    let storage = open(&disk);
    let (acknowledged, error) = publish_until_full(&storage, 0, 100_000);
    assert!(matches!(error, Some(StorageError::Full { .. })), "{error:?}");
    assert!(acknowledged > 5000, "{acknowledged}");
    check_all(&storage, 0..acknowledged);
    // What is there already needs no room.
    assert_eq!(publish(&storage, 0..100).already_there, 100);
    assert_eq!(storage.stats().reopened, 0);

    // Others take what was left for the index.
    disk.fill();
    refused(&storage, acknowledged);
    check_all(&storage, 0..acknowledged);
    assert_eq!(storage.stats().reopened, 0);
    let _ = storage.close();
    drop(storage);

    let storage = open(&disk);
    check_all(&storage, 0..acknowledged);
    refused(&storage, acknowledged);
    check_all(&storage, 0..acknowledged);

    disk.free_again();
    let (more, _) = publish_until_full(&storage, acknowledged, acknowledged + 100);
    assert_eq!(more, acknowledged + 100);
    check_all(&storage, 0..more);
    drop(storage);
    check_all(&open(&disk), 0..more);
}

const DIR: &str = "STORAGE_FULL_DIR";

/// Entries so small that most of the bytes are the index's.
fn tiny(numbers: std::ops::Range<u64>) -> Vec<StoredEntry> {
    let tiny = |n: u64| {
        let data = n.to_le_bytes().to_vec().into();
        StoredEntry { key: key(n), coded: Coded { coding: Coding::Raw, entry_bytes: 8, data } }
    };
    numbers.map(tiny).collect()
}

#[track_caller]
fn check_tiny(storage: &PackStorage, count: u64) {
    let keys: Vec<_> = (0..count + 50).map(key).collect();
    let (found, _) = lookup(storage, "a", &keys);
    assert_eq!(found.len() as u64, count);
    assert!(found.iter().all(|(n, coded)| *coded.data == u64::from(*n).to_le_bytes()));
}

/// The child's part: from some time on no file may grow over the length that
/// the index has. Does nothing where it is run as a test.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let storage = PackStorage::open(small(Path::new(&dir))).unwrap();
    let mut next = 0;
    let index = Path::new(&dir).join("index/db");
    let len = || fs::metadata(&index).unwrap().len();
    while len() < 3 << 19 {
        storage.publish(&namespace("a"), tiny(next..next + 400), false).unwrap();
        next += 400;
    }
    let limit = Rlimit { current: Some(len()), maximum: None };
    setrlimit(Resource::Fsize, limit).unwrap();
    let error = loop {
        match storage.publish(&namespace("a"), tiny(next..next + 50), false) {
            Ok(_) => next += 50,
            Err(error) => break error,
        }
        assert!(next < 200_000, "the limit was never met");
    };
    assert!(matches!(error, StorageError::Index(_)), "{error}");
    check_tiny(&storage, next);
    assert!(storage.publish(&namespace("a"), tiny(next..next + 50), false).is_err());
    check_tiny(&storage, next);
    setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    storage.publish(&namespace("a"), tiny(next..next + 50), false).unwrap();
    next += 50;
    check_tiny(&storage, next);
    println!("REFUSED {next} {} {error}", storage.stats().reopened);
    // No chance to write anything down.
    std::process::exit(0);
}

fn small(dir: &Path) -> StorageConfig {
    StorageConfig { size_max: 32 << 20, ..config(dir) }
}

#[test]
fn an_index_whose_write_fails_is_opened_again_and_everything_is_found() {
    let dir = tempfile::tempdir().unwrap();
    // A signal that is ignored stays so in the program that is executed.
    let script = "trap '' XFSZ; exec \"$0\" --exact child --nocapture";
    let mut child = Command::new("sh");
    child.args(["-c", script]).arg(std::env::current_exe().unwrap());
    let output = child.env(DIR, dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let refused = text.lines().find_map(|line| Some(line.split_once("REFUSED ")?.1)).unwrap();
    println!("{refused}");
    let numbers: Vec<u64> = refused.split(' ').take(2).map(|n| n.parse().unwrap()).collect();
    assert!(numbers[1] >= 1);
    let storage = PackStorage::open(small(dir.path())).unwrap();
    check_tiny(&storage, numbers[0]);
    storage.publish(&namespace("a"), tiny(numbers[0]..numbers[0] + 50), false).unwrap();
    check_tiny(&storage, numbers[0] + 50);
}

#[test]
fn a_commit_that_fails_midway_is_taken_back_and_the_index_opened_again() {
    let Some(disk) = Disk::mount() else { return };
    let storage = open(&disk);
    publish(&storage, 0..1000);
    let broken = disk.path().join("data/packs");
    let aside = disk.path().join("data/packs-aside");
    // New packs cannot be made where their directory is gone.
    drop(storage);
    let config = StorageConfig { size_max: 16 << 20, ..config(&disk.path().join("data")) };
    let storage = PackStorage::open(config).unwrap();
    fs::rename(&broken, &aside).unwrap();
    let failed = storage.publish(&namespace("a"), entries(1000..3000), false);
    assert!(matches!(failed, Err(StorageError::Io { .. })), "{failed:?}");
    assert_eq!(storage.stats().reopened, 1);
    check_all(&storage, 0..1000);
    assert_eq!(found(&storage, 1000..3000), 0);
    fs::rename(&aside, &broken).unwrap();
    publish(&storage, 1000..3000);
    check_all(&storage, 0..3000);
    drop(storage);
    check_all(&open(&disk), 0..3000);
}
