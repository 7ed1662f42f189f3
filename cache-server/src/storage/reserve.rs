//! A full disk -> publishes that are refused before anything fails.
//!
//! sled's reads are poisoned by one write that failed: over half of what had
//! been acknowledged was not found until there was room again. So no write is
//! begun that has no room, and if one fails all the same, the file `reserve`
//! is deleted to give sled the room to open again.
//!
//! Invariant: the file has its blocks for real; a sparse one would be none.

use crate::storage::StorageError;
use crate::storage::pack::io_error;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What sled may write for one commit: segments of its log, and a snapshot.
const INDEX_MARGIN_BYTES: u64 = 4 << 20;

/// The reserve and its disk.
#[derive(Debug)]
pub(crate) struct Reserve {
    dir: PathBuf,
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// Takes the reserve if there is room, or finds it.
    pub(crate) fn open(dir: &Path, bytes: u64) -> Self {
        let path = dir.join("reserve");
        let held = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == bytes);
        let mut reserve = Self { dir: dir.to_owned(), path, bytes, held };
        reserve.take();
        if !reserve.held {
            reserve.warn();
        }
        reserve
    }

    /// What it takes on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        if self.held { self.bytes } else { 0 }
    }

    /// Takes it again if there is room for it and for a commit.
    pub(crate) fn take(&mut self) {
        if self.held || self.bytes == 0 {
            return;
        }
        if self.free().is_ok_and(|free| free >= self.bytes + INDEX_MARGIN_BYTES) {
            self.held = self.allocate().is_ok();
            if !self.held {
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    fn warn(&self) {
        tracing::warn!(path = %self.path.display(), bytes = self.bytes,
            "there is no reserve; nothing is published until its file system has room for it");
    }

    fn allocate(&self) -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => {}
            // Not every file system can.
            Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(&mut file, self.bytes)?,
            Err(error) => return Err(error.into()),
        }
        file.sync_all()
    }

    /// Deletes it if it is there, to give others its room; whether it was.
    pub(crate) fn release(&mut self) -> bool {
        let held = self.held;
        if !held {
            return false;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {}
            _ => {
                self.held = false;
                self.warn();
            }
        }
        held
    }

    /// Bytes that are free on the disk for us.
    fn free(&self) -> Result<u64, StorageError> {
        let disk = statvfs(&self.dir)
            .map_err(|error| io_error("ask for the room in", &self.dir, error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether `bytes` can be committed, and the reserve be there all the same.
    ///
    /// # Errors
    ///
    /// [`StorageError::Full`] if they cannot.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), StorageError> {
        let free = self.free()?;
        let missing = if self.held { 0 } else { self.bytes };
        let needed = bytes + INDEX_MARGIN_BYTES + missing;
        if free < needed {
            return Err(StorageError::Full { dir: self.dir.display().to_string(), free, needed });
        }
        Ok(())
    }
}

fn write_zeros(file: &mut File, bytes: u64) -> std::io::Result<()> {
    let zeros = [0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(zeros.len() as u64);
        file.write_all(zeros.get(..len as usize).unwrap_or(&zeros))?;
        left -= len;
    }
    Ok(())
}
