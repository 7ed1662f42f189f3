//! The name of a target -> the inputs that are kept for it: seeds, and a corpus if there is one.

use std::path::Path;

/// All of them, in the order of their names.
///
/// # Panics
///
/// If the target has no seeds.
pub fn files(target: &str) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for kind in ["seeds", "corpus"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
        let listed = std::fs::read_dir(directory).into_iter().flatten();
        paths.extend(listed.map(|file| file.expect("it can be listed").path()));
    }
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.iter().map(|path| std::fs::read(path).expect("it can be read")).collect()
}
