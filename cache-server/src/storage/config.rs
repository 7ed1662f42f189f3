//! Limits -> the sizes that follow from them; why a data directory is refused.

use crate::storage::StorageError;
use std::path::PathBuf;

const MIB: u64 = 1 << 20;

/// The smallest limit on the disk: below it, sled's files are all there is.
pub const SIZE_MIN: u64 = 16 * MIB;

/// Entries that the table of all keys has room for, unless it is told
/// otherwise: 14/16 of 2^24, which take 352 MiB of memory.
pub const ENTRIES_MAX_DEFAULT: u64 = 14 << 20;

/// Where entries are kept, and how much they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The data directory; it is made if it is not there.
    pub dir: PathBuf,
    /// Limit on what the directory takes on the disk, in bytes.
    pub size_max: u64,
    /// Limit on the memory tier, in bytes. 0 turns it off.
    pub hot_bytes_max: u64,
    /// Limit on the number of entries; each takes up to 48 bytes of memory.
    pub entries_max: u64,
}

impl StorageConfig {
    /// Up to 10 GiB on the disk and 256 MiB in memory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            size_max: 10 << 30,
            hot_bytes_max: 256 * MIB,
            entries_max: ENTRIES_MAX_DEFAULT,
        }
    }

    /// How large a pack becomes, in bytes: a 32nd of the limit, so that eviction
    /// takes small steps; 64 MiB, unless that were more than 256 open files.
    pub(crate) fn pack_bytes(&self) -> u64 {
        let small = (self.size_max / 32).clamp(MIB, 64 * MIB);
        (self.size_max / 256).clamp(small, 2048 * MIB)
    }

    /// Where eviction stops.
    pub(crate) fn low_watermark(&self) -> u64 {
        self.size_max / 10 * 9
    }

    /// The size of the reserve.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        (self.size_max / 64).min(32 * MIB).next_multiple_of(4096)
    }

    /// Limit on the quarantine.
    pub(crate) fn quarantine_bytes_max(&self) -> u64 {
        (self.size_max / 128).min(16 * MIB)
    }
}

/// Why the storage does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another server; stop that one, or give this one a directory of its own", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The limit is too small.
    #[error("a size limit of {got} bytes is too small; give at least {SIZE_MIN}")]
    TooSmall {
        /// The limit.
        got: u64,
    },
    /// Others may write to it.
    #[error("{} belongs to another user or may be written to by others; make it this server's own (chown, chmod go-w), or name another directory", dir.display())]
    Untrusted {
        /// The data directory.
        dir: PathBuf,
    },
    /// The index cannot be opened, though it may be sound.
    #[error("cannot open the index in {}: {what}; free the disk or mend the rights, then start again", dir.display())]
    Index {
        /// The index's directory.
        dir: PathBuf,
        /// What failed.
        what: String,
    },
    /// A file failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
