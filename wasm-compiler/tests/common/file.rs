//! One file of `testdata`.

use std::path::Path;

/// The binary form of a file, given its path in `testdata`.
pub fn file(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(path);
    wat::parse_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
