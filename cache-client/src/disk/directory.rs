//! Environment -> a directory that nobody else may write to.
//!
//! Invariant: entries are machine code, so whoever may write to this directory
//! may run code as this user. A directory that another user owns or may write
//! to is refused, not repaired.

use crate::disk::error::DiskError;
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

const DIRECTORY_MODE: u32 = 0o700;
/// Permission bits that let others write.
const OTHERS_MAY_WRITE: u32 = 0o022;
const NAME: &str = "stencil";

/// The cache directory of this user: `stencil` under `$XDG_CACHE_HOME`, or
/// under `~/.cache`. `None` if the environment names neither.
///
/// As the XDG Base Directory Specification demands, a relative path in
/// `XDG_CACHE_HOME` is ignored.
pub fn default_directory() -> Option<PathBuf> {
    default_directory_in(|name| env::var_os(name))
}

fn default_directory_in(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join(NAME))
}

/// Makes the directory, with its parents, unless it is there, then checks it.
pub(crate) fn prepare(dir: &Path) -> Result<(), DiskError> {
    match check(dir) {
        Err(DiskError::Directory { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        checked => return checked,
    }
    let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir);
    made.map_err(|source| DiskError::directory(dir, source))?;
    check(dir)
}

/// Checks a directory that should be there.
pub(crate) fn check(dir: &Path) -> Result<(), DiskError> {
    let unreadable = |source| DiskError::directory(dir, source);
    let link = fs::symlink_metadata(dir).map_err(unreadable)?;
    // Whoever owns a link decides where it leads tomorrow.
    if link.is_symlink() && link.uid() != 0 {
        check_owner(dir, &link)?;
    }
    let target = fs::metadata(dir).map_err(unreadable)?;
    if !target.is_dir() {
        return Err(unreadable(ErrorKind::NotADirectory.into()));
    }
    check_owner(dir, &target)?;
    check_mode(dir, &target)
}

/// Checks one of our own files. It must be a regular file, not a link.
pub(crate) fn check_file(path: &Path) -> Result<Metadata, DiskError> {
    let unreadable = |source| DiskError::file(path, source);
    let metadata = fs::symlink_metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        let found = "it is not a regular file".to_owned();
        return Err(DiskError::damaged(path, found));
    }
    check_owner(path, &metadata)?;
    check_mode(path, &metadata)?;
    Ok(metadata)
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), DiskError> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return Ok(());
    }
    Err(DiskError::OtherOwner { path: path.to_owned(), owner, user })
}

fn check_mode(path: &Path, metadata: &Metadata) -> Result<(), DiskError> {
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS_MAY_WRITE == 0 {
        return Ok(());
    }
    Err(DiskError::OthersMayWrite { path: path.to_owned(), mode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: Option<&str>) {
        let variable = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(value))
        };
        assert_eq!(default_directory_in(variable), expected.map(PathBuf::from));
    }

    #[test]
    fn the_default_directory_follows_the_xdg_specification() {
        check(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")], Some("/c/stencil"));
        check(&[("HOME", "/h")], Some("/h/.cache/stencil"));
        check(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")], Some("/h/.cache/stencil"));
        check(&[("XDG_CACHE_HOME", ""), ("HOME", "/h")], Some("/h/.cache/stencil"));
        check(&[], None);
    }
}
