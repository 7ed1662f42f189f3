//! The files that are measured: their bytes, and what tables call them.

use anyhow::{Context as _, Result};
use std::path::Path;

/// A file's bytes.
///
/// # Errors
///
/// One sentence with the file's path, if it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A file's name without its directory.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
