//! A disk that is really full -> publishes that are refused, and lookups that
//! answer all of what was acknowledged.
//!
//! The disk is a tmpfs of its own. Where it cannot be mounted, the tests say so
//! and end.

mod storage_support;

use cache_server::storage::{PackStorage, Storage as _, StorageConfig, StorageError};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use storage_support::*;

/// A file system of its own that has 48 MiB.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(dir.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
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

#[test]
fn a_commit_that_fails_midway_is_taken_back_and_the_index_opened_again() {
    let Some(disk) = Disk::mount() else { return };
    // The limit on a file's size makes writes fail that free space lets pass.
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
