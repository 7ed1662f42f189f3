//! The bytes of a damaged record -> a file in `quarantine/`, for whoever wants
//! to know what happened to the disk.
//!
//! Invariant: the directory has at most as many files and bytes as the limits
//! say; the oldest go.

use crate::storage::pack::Place;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files in the directory.
const FILES_MAX: usize = 256;

/// The directory of damaged records.
#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: PathBuf,
    files: VecDeque<(PathBuf, u64)>,
    bytes: u64,
    bytes_max: u64,
}

impl Quarantine {
    /// What is in the directory already; it need not be there.
    pub(crate) fn open(dir: &Path, bytes_max: u64) -> Self {
        let files = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut files: Vec<_> = files
            .filter_map(|file| {
                let metadata = file.metadata().ok()?;
                Some((metadata.modified().ok()?, file.path(), metadata.len()))
            })
            .collect();
        files.sort();
        let files: VecDeque<_> = files.into_iter().map(|(_, path, len)| (path, len)).collect();
        let bytes = files.iter().map(|(_, len)| len).sum();
        let mut quarantine = Self { dir: dir.to_owned(), files, bytes, bytes_max };
        quarantine.sweep();
        quarantine
    }

    /// What it takes on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.files.iter().map(|(_, len)| len.next_multiple_of(4096)).sum()
    }

    /// Keeps the bytes that were found at a place.
    pub(crate) fn put(&mut self, place: Place, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        if len > self.bytes_max {
            return Ok(());
        }
        let name = format!("{:08x}-{:08x}.record", place.pack.0, place.offset);
        let path = self.dir.join(name);
        fs::create_dir_all(&self.dir)?;
        fs::write(&path, bytes)?;
        self.bytes += len;
        self.files.push_back((path, len));
        self.sweep();
        Ok(())
    }

    fn sweep(&mut self) {
        while self.files.len() > FILES_MAX || self.bytes > self.bytes_max {
            let Some((path, len)) = self.files.pop_front() else { break };
            self.bytes -= len;
            // One that stays is counted again at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::pack::PackId;

    #[test]
    fn the_oldest_go_before_the_limits_are_passed() {
        let dir = tempfile::tempdir().unwrap();
        let mut quarantine = Quarantine::open(dir.path(), 5000);
        for offset in 0..8 {
            let place = Place { pack: PackId(1), offset, len: 1000 };
            quarantine.put(place, &[1; 1000]).unwrap();
        }
        let large = Place { pack: PackId(1), offset: 9, len: 5001 };
        quarantine.put(large, &[1; 5001]).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
        assert!(dir.path().join("00000001-00000007.record").exists());
        assert_eq!(Quarantine::open(dir.path(), 5000).bytes, 5000);
    }
}
