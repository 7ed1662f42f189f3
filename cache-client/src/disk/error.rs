//! What went wrong on disk -> a [`MissReason`] to count and a sentence to read.

use rusqlite::ErrorCode;
use rusqlite::ffi;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stencil::MissReason;

/// Why the disk tier could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DiskError {
    #[error(
        "cache directory {path} cannot be used: {}; choose another one, or make it writable", words(source), path = path.display()
    )]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "{path} belongs to user {owner}, not to user {user}, so its entries are not trusted; choose another cache directory, or change its owner", path = path.display()
    )]
    OtherOwner { path: PathBuf, owner: u32, user: u32 },
    #[error(
        "{path} may be written by others (mode {mode:o}), so its entries are not trusted; remove it, or take these rights away with `chmod go-w`", path = path.display()
    )]
    OthersMayWrite { path: PathBuf, mode: u32 },
    #[error("cache file {path} cannot be used: {}; make it accessible, or remove it", words(source), path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cache file {path} is damaged: {found}", path = path.display())]
    Damaged { path: PathBuf, found: String },
    #[error(
        "cache file {path} has damaged entries ({reason}); they are not used, and replaced when they are published again", path = path.display()
    )]
    Entries { path: PathBuf, reason: MissReason },
    #[error("cache file {path} has format {got} where this program's has {expected}", path = path.display())]
    Version { path: PathBuf, got: i64, expected: i64 },
    #[error(
        "cache file {path} was locked by other processes for {waited:?}; retry, or see which process holds it", path = path.display()
    )]
    Busy { path: PathBuf, waited: Duration },
    #[error(
        "there is no room to write to cache file {path}: {source}; free some disk space, or raise the limit on file sizes", path = path.display()
    )]
    Full { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the cache's size limit of {size_max} bytes leaves no room in {path}; raise the limit", path = path.display()
    )]
    Bound { path: PathBuf, size_max: u64 },
    #[error("cache file {path} is read-only; make it writable, or choose another cache directory", path = path.display())]
    ReadOnly { path: PathBuf },
    #[error("cache file {path} was moved or removed while it was in use", path = path.display())]
    Moved { path: PathBuf },
    #[error("cache file {path} cannot be used: {source}; check the disk, or remove the file", path = path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

/// An error of the system without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

impl DiskError {
    pub(crate) fn directory(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Directory { path, source }
    }

    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::File { path, source }
    }

    pub(crate) fn gone(path: &Path) -> Self {
        Self::file(path, io::ErrorKind::NotFound.into())
    }

    pub(crate) fn damaged(path: &Path, found: String) -> Self {
        let path = path.to_owned();
        Self::Damaged { path, found }
    }

    /// Classifies an error of SQLite; `waited` is the connection's busy limit.
    pub(crate) fn sqlite(path: &Path, waited: Duration, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let (code, extended) = match &source {
            rusqlite::Error::SqliteFailure(error, _) => (error.code, error.extended_code),
            rusqlite::Error::SqlInputError { error, .. } => (error.code, error.extended_code),
            // The statements are ours and fit the schema that was checked at
            // opening: a row of another shape is damage.
            _ => (ErrorCode::DatabaseCorrupt, 0),
        };
        let found = source.to_string();
        match code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path, waited },
            // A damaged page number lies beyond the largest that is allowed,
            // which SQLite also reports as a full disk.
            ErrorCode::DiskFull if disk_has_room(&path) => Self::Damaged { path, found },
            ErrorCode::DiskFull => Self::Full { path, source },
            ErrorCode::SystemIoFailure if extended == ffi::SQLITE_IOERR_SHORT_READ => {
                Self::Damaged { path, found }
            }
            ErrorCode::SystemIoFailure if is_write(extended) && file_size_is_limited() => {
                Self::Full { path, source }
            }
            ErrorCode::ReadOnly if extended == ffi::SQLITE_READONLY_DBMOVED => Self::Moved { path },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly { path },
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::SchemaChanged
            | ErrorCode::Unknown => Self::Damaged { path, found },
            _ => Self::Sqlite { path, source },
        }
    }

    /// What to count.
    pub(crate) fn reason(&self) -> MissReason {
        match self {
            Self::OtherOwner { .. } | Self::OthersMayWrite { .. } => MissReason::Untrusted,
            Self::Damaged { .. } => MissReason::Corrupt,
            Self::Entries { reason, .. } => *reason,
            Self::Version { .. } => MissReason::Version,
            Self::Busy { .. } => MissReason::Busy,
            Self::Full { .. } | Self::Bound { .. } => MissReason::Full,
            Self::Directory { .. }
            | Self::File { .. }
            | Self::ReadOnly { .. }
            | Self::Moved { .. }
            | Self::Sqlite { .. } => MissReason::Io,
        }
    }

    /// Whether the file itself is to blame, so that a new one would help.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Version { .. })
    }

    /// Whether there was no such file.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Directory { source, .. } | Self::File { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
            }
            _ => false,
        }
    }
}

/// Far more than one transaction needs: with so much room left, it was not the
/// disk that was full.
const DISK_ROOM_BYTES: u64 = 256 << 20;

fn disk_has_room(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= DISK_ROOM_BYTES)
}

fn is_write(extended: i32) -> bool {
    matches!(extended, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE)
}

/// Under a limit on file sizes (with SIGXFSZ ignored) writes fail with EFBIG,
/// which SQLite reports like any other failed write.
fn file_size_is_limited() -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize);
    limit.current.is_some()
}
