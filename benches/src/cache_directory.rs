//! A cache directory -> its size, and a copy of it.

use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The unit of `st_blocks`, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;

/// All files of a directory, at any depth, in no order.
///
/// # Errors
///
/// If a directory cannot be listed.
pub fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list {}", directory.display());
    let mut files = Vec::new();
    for file in fs::read_dir(directory).with_context(cannot)? {
        let file = file.with_context(cannot)?;
        if file.file_type()?.is_dir() {
            files.extend(self::files(&file.path())?);
        } else {
            files.push(file.path());
        }
    }
    Ok(files)
}

/// The sizes of all files of a directory, in bytes.
///
/// # Errors
///
/// If it cannot be read.
pub fn size_bytes(directory: &Path) -> Result<u64> {
    let size = |file: PathBuf| Ok(fs::metadata(&file)?.len());
    files(directory)?.into_iter().map(size).sum()
}

/// What all files of a directory take on the disk, in bytes: their blocks, as
/// `du` counts them. A file that goes away meanwhile counts nothing.
///
/// # Errors
///
/// If it cannot be read.
pub fn blocks_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in files(directory)? {
        match fs::metadata(&file) {
            Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// Copies a directory that nobody is using.
///
/// # Errors
///
/// If it cannot be read, or the copy cannot be written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)
                .with_context(|| format!("cannot copy the cache to {}", to.display()))?;
        }
    }
    Ok(())
}
