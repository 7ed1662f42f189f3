//! No file, or a damaged one -> an empty one with the next number.
//!
//! Invariants:
//! - a file gets its name when it is whole, so nobody opens half a file;
//! - only the holder of the lock file makes and deletes files, and it deletes
//!   only those that came before the newest;
//! - a file is followed only while it is the newest, so of many processes that
//!   see the same damage one makes the new file and the others find it.

use crate::disk::error::DiskError;
use crate::disk::generation::{self, COMPANIONS, FileId, GenerationNumber};
use crate::disk::schema;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Names that nobody else gives to a file: the directory may be one that holds
/// other things as well.
const LOCK_NAME: &str = "entries.lock";
const UNFINISHED_NAME: &str = "entries.unfinished";
const FILE_MODE: u32 = 0o600;

/// Making an empty file takes milliseconds.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_WAIT_STEP: Duration = Duration::from_millis(2);

/// The newest generation in the directory; makes the first one if there is
/// none.
pub(crate) fn newest(dir: &Path) -> Result<GenerationNumber, DiskError> {
    if let Some(newest) = generation::list(dir)?.pop() {
        return Ok(newest);
    }
    let _lock = lock(dir)?;
    match generation::list(dir)?.pop() {
        Some(newest) => Ok(newest),
        None => make(dir, GenerationNumber::FIRST),
    }
}

/// Sees to it that a generation is followed by a newer one, and deletes what is
/// older than the newest.
pub(crate) fn replace(dir: &Path, old: GenerationNumber) -> Result<(), DiskError> {
    let _lock = lock(dir)?;
    let mut generations = generation::list(dir)?;
    if generations.last().is_none_or(|newest| *newest <= old) {
        generations.push(make(dir, old.next())?);
    }
    sweep(dir, &generations);
    Ok(())
}

/// Deletes all generations but the newest.
pub(crate) fn sweep_old(dir: &Path) -> Result<(), DiskError> {
    let _lock = lock(dir)?;
    sweep(dir, &generation::list(dir)?);
    Ok(())
}

fn sweep(dir: &Path, generations: &[GenerationNumber]) {
    let Some((_newest, old)) = generations.split_last() else {
        return;
    };
    for number in old {
        // What cannot be deleted now is tried again at the next sweep.
        remove(dir, &number.file_name());
    }
}

fn remove(dir: &Path, name: &str) {
    let path = dir.join(name);
    if fs::remove_file(&path).is_err() {
        // A directory goes only if nothing is lost with it.
        let _ = fs::remove_dir(&path);
    }
    for companion in COMPANIONS {
        let _ = fs::remove_file(dir.join(format!("{name}{companion}")));
    }
}

fn make(dir: &Path, number: GenerationNumber) -> Result<GenerationNumber, DiskError> {
    remove(dir, UNFINISHED_NAME);
    let unfinished = dir.join(UNFINISHED_NAME);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE_MODE);
    let made = options.open(&unfinished);
    let made = made.and_then(|file| file.metadata());
    let file = FileId::from(made.map_err(|source| DiskError::directory(dir, source))?);
    schema::create(&unfinished).map_err(|error| match file.is_at(&unfinished) {
        true => error,
        false => DiskError::gone(&unfinished),
    })?;
    // A companion of an earlier file of this name is not ours to roll back.
    let name = number.file_name();
    for companion in COMPANIONS {
        let _ = fs::remove_file(dir.join(format!("{name}{companion}")));
    }
    let renamed = fs::rename(&unfinished, dir.join(name));
    renamed.map_err(|source| DiskError::directory(dir, source))?;
    Ok(number)
}

/// The lock is given back when the file is closed, also by the kernel.
fn lock(dir: &Path) -> Result<File, DiskError> {
    let path = dir.join(LOCK_NAME);
    if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
        // Opening a pipe would wait for its other end.
        remove(dir, LOCK_NAME);
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    let failed = |source| DiskError::file(&path, source);
    let since = Instant::now();
    loop {
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            // A lock file that was deleted meanwhile keeps nobody out.
            Ok(()) if file.metadata().is_ok_and(|m| FileId::from(m).is_at(&path)) => {
                return Ok(file);
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_WAIT_MAX => {
                thread::sleep(LOCK_WAIT_STEP);
            }
            Err(TryLockError::WouldBlock) => {
                let waited = LOCK_WAIT_MAX;
                return Err(DiskError::Busy { path, waited });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}
