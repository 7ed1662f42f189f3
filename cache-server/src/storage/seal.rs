//! The file `secret` -> what the checksums of records are seeded with.
//!
//! Publishers choose the bytes of entries, and those can look like records.
//! Whoever reads a pack from the middle of a damaged record must not take them
//! for some.
//!
//! Invariants:
//! - a checksum holds at one place of one data directory: bytes that were
//!   copied from anywhere else are damage;
//! - the secret is on the disk before the first record is.

use crate::storage::StorageError;
use crate::storage::pack::{Place, io_error, sync_dir};
use rand::TryRng as _;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// The file in the data directory, and what it is called until it is whole.
const FILE: &str = "secret";
const FILE_NEW: &str = "secret.new";

/// A data directory's secret.
#[derive(Clone, Copy)]
pub(crate) struct Secret([u8; 8]);

/// A place's share of the secret.
#[derive(Clone, Copy)]
pub(crate) struct Seal(u64);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// The directory's own. Where there is none, or half of one, a new one is
    /// made, and all records that are there are damage.
    pub(crate) fn open(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join(FILE);
        match fs::read(&path).map(<[u8; 8]>::try_from) {
            Ok(Ok(secret)) => return Ok(Self(secret)),
            Ok(Err(bytes)) => tracing::warn!(path = %path.display(), bytes = bytes.len(),
                "the secret is damaged, and so all that is stored; a new one is made"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("read", &path, error)),
        }
        let mut secret = [0; 8];
        rand::rngs::SysRng
            .try_fill_bytes(&mut secret)
            .map_err(|error| io_error("find random numbers for", &path, io::Error::other(error)))?;
        write(dir, &secret).map_err(|error| io_error("write", &path, error))?;
        sync_dir(dir)?;
        Ok(Self(secret))
    }

    /// For the record that starts at a place.
    pub(crate) fn seal(self, place: Place) -> Seal {
        let number = place.number().to_le_bytes();
        Seal(xxh3_64_with_seed(&number, u64::from_le_bytes(self.0)))
    }
}

fn write(dir: &Path, secret: &[u8]) -> io::Result<()> {
    let new = dir.join(FILE_NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(FILE))
}

impl Seal {
    /// The checksum of these bytes at the place.
    pub(crate) fn checksum(self, bytes: &[u8]) -> u128 {
        xxh3_128_with_seed(bytes, self.0)
    }

    #[cfg(test)]
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}
