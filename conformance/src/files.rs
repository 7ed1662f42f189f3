//! A directory -> the `.wast` files below it.

use std::path::{Path, PathBuf};

/// The `.wast` files of a directory and of those in it, in the order of their paths.
pub fn wast_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let listed = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in listed {
        let path = entry.expect("the directory can be listed").path();
        if path.is_dir() {
            files.extend(wast_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "wast") {
            files.push(path);
        }
    }
    files.sort();
    files
}
