//! The name of a crate that `Cargo.lock` pins -> where Cargo keeps its files.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the files of a crate lie; Cargo fetches them if it has to.
///
/// # Panics
///
/// If Cargo cannot, or the crate is not pinned.
pub fn package(name: &str) -> PathBuf {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("Cargo runs");
    let said = String::from_utf8_lossy(&metadata.stderr);
    assert!(metadata.status.success(), "Cargo does not have the crates: {said}");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("Cargo prints JSON");
    let mut packages = metadata["packages"].as_array().expect("there are packages").iter();
    let package = packages.find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.unwrap_or_else(|| panic!("{name} is not in Cargo.lock"));
    Path::new(manifest).parent().expect("a manifest is in a directory").to_owned()
}

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
