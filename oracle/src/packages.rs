//! The name of a crate that `Cargo.lock` pins -> where Cargo keeps its files.

use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

static DIRECTORIES: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(directories);

/// The directory of a crate's manifest; Cargo fetches the crate if it has to.
///
/// # Panics
///
/// If Cargo cannot, or the crate is not pinned.
#[track_caller]
pub fn package(name: &str) -> &'static Path {
    let directory = DIRECTORIES.get(name);
    directory.unwrap_or_else(|| panic!("{name} is not in Cargo.lock"))
}

/// Those of all crates of the workspace's build.
fn directories() -> HashMap<String, PathBuf> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("Cargo runs");
    let said = String::from_utf8_lossy(&metadata.stderr);
    assert!(metadata.status.success(), "Cargo does not have the crates: {said}");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("Cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let directory = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_owned()))
    };
    packages.iter().filter_map(directory).collect()
}
