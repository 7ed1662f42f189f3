//! One database file of the cache directory, and this process's connections to
//! it.
//!
//! A damaged file is not replaced under its name but followed by one with the
//! next number (see [`crate::disk::heal`]): a process that still works on the
//! old file then writes its rollback journal beside the old name, where nobody
//! will take it for the new file's.

use crate::disk::directory;
use crate::disk::error::DiskError;
use crate::disk::schema;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SUFFIX: &str = ".sqlite";

/// What SQLite appends to a database's name for its companions.
pub(crate) const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The place of a database file in the succession of those that were replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GenerationNumber(u32);

impl GenerationNumber {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(crate) fn file_name(self) -> String {
        format!("{}{:06}{SUFFIX}", prefix(), self.0)
    }

    fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_prefix(&prefix())?.strip_suffix(SUFFIX)?;
        let number = Self(digits.parse().ok()?);
        (number.file_name() == name).then_some(number)
    }
}

fn prefix() -> String {
    format!("entries-v{}-", schema::SCHEMA_VERSION)
}

/// All generations in the directory, oldest first.
pub(crate) fn list(dir: &Path) -> Result<Vec<GenerationNumber>, DiskError> {
    let unreadable = |source| DiskError::directory(dir, source);
    let mut numbers = Vec::new();
    for file in fs::read_dir(dir).map_err(unreadable)? {
        let name = file.map_err(unreadable)?.file_name();
        numbers.extend(name.to_str().and_then(GenerationNumber::from_file_name));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A file's identity while it exists, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Whether it is this file that `path` names.
    pub(crate) fn is_at(self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| Self::from(found) == self)
    }
}

impl From<fs::Metadata> for FileId {
    fn from(metadata: fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// An open database file. Its connections are kept for the next operation.
pub(crate) struct Generation {
    pub(crate) number: GenerationNumber,
    pub(crate) path: PathBuf,
    file: FileId,
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Option<Connection>>,
}

impl Generation {
    /// Opens one of the directory's files and checks that it is ours.
    pub(crate) fn open(dir: &Path, number: GenerationNumber) -> Result<Self, DiskError> {
        let path = dir.join(number.file_name());
        let file = FileId::from(directory::check_file(&path)?);
        let reader = schema::reader(&path).map_err(|error| match file.is_at(&path) {
            true => error,
            false => DiskError::gone(&path),
        })?;
        Ok(Self { number, path, file, readers: Mutex::new(vec![reader]), writer: Mutex::new(None) })
    }

    /// Whether the file is still the one that was opened: the cache directory
    /// may be deleted, and the file replaced, at any time.
    pub(crate) fn is_in_place(&self) -> bool {
        self.file.is_at(&self.path)
    }

    /// Lends a connection that only reads. It is not taken back after a failure,
    /// which may have left it in any state.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DiskError> {
        let kept = lock(&self.readers).pop();
        let connection = kept.map_or_else(|| schema::reader(&self.path), Ok)?;
        match read(&connection) {
            Ok(value) => {
                lock(&self.readers).push(connection);
                Ok(value)
            }
            Err(error) => {
                let waited = schema::READ_WAIT_MAX;
                Err(DiskError::sqlite(&self.path, waited, error))
            }
        }
    }

    /// Lends the connection that writes, to one thread at a time.
    pub(crate) fn write<T>(
        &self,
        size_max: u64,
        write: impl FnOnce(&mut Connection) -> Result<T, WriteError>,
    ) -> Result<T, DiskError> {
        let mut kept = lock(&self.writer);
        let connection = kept.take();
        let waited = schema::PUBLISH_WAIT_MAX;
        let open = || schema::writer(&self.path, size_max, waited);
        let mut connection = connection.map_or_else(open, Ok)?;
        match write(&mut connection) {
            Ok(value) => {
                *kept = Some(connection);
                Ok(value)
            }
            Err(WriteError::NoRoom) => {
                *kept = Some(connection);
                let path = self.path.clone();
                Err(DiskError::Bound { path, size_max })
            }
            Err(WriteError::Sqlite(error)) => Err(DiskError::sqlite(&self.path, waited, error)),
        }
    }
}

/// Why a transaction was given up.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing left to evict.
    NoRoom,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Locks; what a panicking thread left behind is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_survives_its_file_name() {
        for number in [1, 999_999, 1_000_000, u32::MAX].map(GenerationNumber) {
            let name = number.file_name();
            assert_eq!(GenerationNumber::from_file_name(&name), Some(number));
        }
        for name in [
            "entries-v1-1.sqlite",
            "entries-v1-+00001.sqlite",
            "entries-v1-000001.sqlite-journal",
            "entries-v0-000001.sqlite",
        ] {
            assert_eq!(GenerationNumber::from_file_name(name), None);
        }
    }
}
