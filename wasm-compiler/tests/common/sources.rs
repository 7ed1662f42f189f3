//! A crate's name -> where the source lies that this build uses.

use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory `src` of every crate of the workspace's build.
pub fn sources() -> HashMap<String, PathBuf> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("Cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("Cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let source = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.join("src")))
    };
    packages.iter().filter_map(source).collect()
}
