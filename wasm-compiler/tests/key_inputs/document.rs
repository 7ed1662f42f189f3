//! `docs/key-inputs.md` against the tests: each test that is named exists, each
//! test of this suite is named, and every line of a table is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a line may say that an input is.
const KINDS: &[&str] =
    &["fingerprint", "key", "local", "parameter", "no input", "not cached", "entry"];

fn crate_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    let path = crate_directory().join("../docs/key-inputs.md");
    fs::read_to_string(path).expect("the document is a part of the repository")
}

/// The cells of each line of the tables with four columns.
fn lines(document: &str) -> Vec<[&str; 4]> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells =
        rows.filter_map(|row| <[&str; 4]>::try_from(row.split(" | ").collect::<Vec<_>>()).ok());
    cells.filter(|cells| cells[0] != "input").collect()
}

/// The tests of a source file, by name.
fn tests_of(path: &Path) -> BTreeSet<String> {
    let source =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let name = |pair: &[&str]| {
        let name = pair[1].strip_prefix("fn ")?.split('(').next()?;
        (pair[0] == "#[test]").then(|| name.to_owned())
    };
    lines.windows(2).filter_map(name).collect()
}

fn suite() -> PathBuf {
    crate_directory().join("tests/key_inputs")
}

/// The tests that a cell names: `file::test` of this suite, or `path.rs::test` from
/// the crate's directory.
fn named(cell: &str) -> Vec<(String, PathBuf, String)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    let split = quoted.filter_map(|name| Some((name, name.rsplit_once("::")?)));
    split
        .map(|(name, (file, test))| {
            let path = match file.ends_with(".rs") {
                true => crate_directory().join(file),
                false => suite().join(file).with_extension("rs"),
            };
            (name.to_owned(), path, test.to_owned())
        })
        .collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let document = document();
    let lines = lines(&document);
    assert!(lines.len() > 80, "only {} lines", lines.len());
    for [input, _, _, tests] in lines {
        let named = named(tests);
        assert!(!named.is_empty(), "{input}: no test");
        for (name, path, test) in named {
            assert!(tests_of(&path).contains(&test), "{input}: there is no test {name}");
        }
    }
}

#[test]
fn every_test_of_the_suite_is_named() {
    let document = document();
    let named: BTreeSet<String> =
        lines(&document).iter().flat_map(|cells| named(cells[3])).map(|(name, ..)| name).collect();
    let mut missing = Vec::new();
    for entry in fs::read_dir(suite()).expect("the suite is a directory") {
        let path = entry.expect("it can be listed").path();
        let file = path.file_stem().expect("it is a source file").to_string_lossy().into_owned();
        if file == "document" {
            continue;
        }
        let tests = tests_of(&path).into_iter().map(|test| format!("{file}::{test}"));
        missing.extend(tests.filter(|test| !named.contains(test)));
    }
    assert!(missing.is_empty(), "not in docs/key-inputs.md: {missing:#?}");
}

#[test]
fn every_line_says_what_an_input_is_and_why() {
    for [input, kind, reason, _] in lines(&document()) {
        assert!(KINDS.contains(&kind), "{input}: {kind:?} is no kind");
        // Wasmtime's code, or why there is none.
        assert!(reason.contains('`'), "{input}: no code is named");
    }
}
