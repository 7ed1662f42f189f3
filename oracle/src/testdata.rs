//! The files of `testdata`, as binary WebAssembly.

use std::path::Path;

/// The binary form of a file, given its path in `testdata`.
pub fn file(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(path);
    wat::parse_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Name (without `.wat`) and binary form of each text file, by name.
pub fn text_files(directory: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(directory);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&directory).expect("testdata is a part of the repository") {
        let path = entry.expect("testdata can be listed").path();
        if path.extension().is_some_and(|extension| extension == "wat") {
            let name = path.file_stem().expect("it has an extension").to_string_lossy();
            let wasm = wat::parse_file(&path).expect("testdata parses");
            files.push((name.into_owned(), wasm));
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{} has no text files", directory.display());
    files
}
