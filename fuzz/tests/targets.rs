//! Every target has all that a target needs: a check, a program, seeds, a dictionary, a line in the
//! README.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn fuzz(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Names of a directory's files without their extension.
fn names(directory: &str) -> BTreeSet<String> {
    let files = fs::read_dir(fuzz(directory)).unwrap();
    files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_target_is_complete() {
    let targets = names("fuzz_targets");
    assert!(targets.len() >= 6, "{targets:?}");
    assert_eq!(names("dictionaries"), targets);
    assert_eq!(names("seeds"), targets);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(fuzz("README.md")).unwrap();
    for target in &targets {
        assert!(fuzz(&format!("src/{target}.rs")).exists(), "{target} has no check");
        assert!(!names(&format!("seeds/{target}")).is_empty(), "{target} has no seeds");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not built");
        assert!(readme.contains(&format!("| `{target}` |")), "{target} is not in the README");
    }
}
