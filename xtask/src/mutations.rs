//! Deliberate faults -> the test that finds each one, and after how long.
//!
//! A fault is a patch in `xtask/mutations`. Each is applied to a copy of the
//! committed code, never to the checkout; the suite runs until a test fails. A
//! fault that no test finds makes the run fail, and so does a suite that finds
//! something in the code as it is.

mod copy;
mod suite;

use anyhow::{Context as _, Result, bail, ensure};
use copy::Copy;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use suite::{Outcome, Suite};

/// What is to be tried.
pub struct Options<'a> {
    /// The start of a patch's name; all patches if it is empty.
    pub only: &'a str,
    /// `PACKAGE/TARGET`, separated by spaces; the default suite if it is empty.
    pub tests: &'a str,
    /// Where the copy is, and where it is built; kept between runs.
    pub target_dir: Option<&'a Path>,
    /// Leaves out the run of the suite on the code as it is.
    pub skip_control: bool,
}

/// A patch and what it does.
struct Fault {
    name: String,
    title: String,
    patch: PathBuf,
}

/// Tries the faults and prints the table.
pub fn run(options: &Options<'_>) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let faults = faults(&root.join("xtask/mutations"), options.only)?;
    let target_dir = match options.target_dir {
        Some(target_dir) => std::path::absolute(target_dir)?,
        None => root.join("target/mutations"),
    };
    let copy = Copy::of(&root, target_dir.join("copy"))?;
    // Never where the checkout is built: Cargo gives its packages and the copy's
    // the same names, and would take faulty code for the checkout's.
    let suite = Suite::new(options.tests, copy.path(), &target_dir.join("build"))?;
    if !options.skip_control {
        eprintln!("the code as it is");
        if let Outcome::Failed { test, .. } = suite.run()? {
            bail!("{test} fails without any fault");
        }
    }
    let mut survivors = 0;
    let mut rows = vec!["| fault | caught by | after |".to_owned(), "|---|---|---|".to_owned()];
    for fault in &faults {
        eprintln!("{}: {}", fault.name, fault.title);
        copy.reset()?;
        copy.apply(&fault.patch)?;
        let outcome = suite.run().with_context(|| format!("with {}", fault.name))?;
        rows.push(row(fault, &outcome));
        eprintln!("{}", rows.last().map_or("", String::as_str));
        survivors += u32::from(matches!(outcome, Outcome::Passed { .. }));
    }
    println!("{}", rows.join("\n"));
    ensure!(survivors == 0, "{survivors} faults were not found");
    Ok(())
}

fn row(fault: &Fault, outcome: &Outcome) -> String {
    let title = &fault.title;
    let seconds = |after: &Duration| format!("{:.1} s", after.as_secs_f64());
    match outcome {
        Outcome::Failed { test, after } => format!("| {title} | `{test}` | {} |", seconds(after)),
        Outcome::Passed { after } => format!("| {title} | **nothing** | {} |", seconds(after)),
    }
}

/// The patches, in the order of their names. The first line of each says what
/// the fault is.
fn faults(directory: &Path, only: &str) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in fs::read_dir(directory)? {
        let patch = file?.path();
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(only) && patch.extension().is_some_and(|it| it == "patch") {
            let text = fs::read_to_string(&patch)?;
            let title = text.lines().next().unwrap_or_default().to_owned();
            faults.push(Fault { name, title, patch });
        }
    }
    ensure!(!faults.is_empty(), "no patch in {} starts with {only:?}", directory.display());
    faults.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A patch that fits no more would be noticed by nobody until it is needed.
    #[test]
    fn every_fault_fits_the_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let faults = faults(&root.join("xtask/mutations"), "").unwrap();
        assert!(faults.len() >= 32);
        for fault in faults {
            let mut git = Command::new("git");
            let fits = git.current_dir(&root).args(["apply", "--check"]).arg(&fault.patch);
            let output = fits.output().unwrap();
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {why}", fault.name);
            assert!(!fault.title.is_empty() && !fault.title.starts_with("diff"), "{}", fault.name);
        }
    }
}
