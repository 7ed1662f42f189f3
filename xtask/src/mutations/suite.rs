//! A copy of the code -> the first of its tests that fails.
//!
//! Test binaries are built with Cargo and then run one by one, each to its end,
//! so that building is not in the time; that of a failing test is taken when
//! its line appears.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What bears on the faults, the quick and the particular first. `lib` is a
/// package's unit tests.
const DEFAULT: &[&str] = &[
    "stencil/entry",
    "wasm-compiler/key_inputs",
    "wasm-compiler/fingerprint",
    "wasm-compiler/components",
    "wasm-compiler/lies",
    "wasm-compiler/edits",
    "wasm-compiler/relocatable",
    "wasm-compiler/generated",
    "wasm-compiler/determinism",
    "wasm-compiler/settings_from",
    "wasm-compiler/run",
    "wasm-compiler/verify_sample",
    "stencil/clif_keys",
    "stencil/clif_compiler",
    "stencil/clif_hostile",
    "stencil/module_programs",
    "stencil/image_cached",
    "cache-client/round_trip",
    "cache-client/damage",
    "cli/command",
    "stencil/lib",
    "cache-client/lib",
    "wasm-compiler/lib",
    "fuzz/lib",
];

/// Test targets in the order in which they run.
pub struct Suite {
    steps: Vec<Step>,
    copy: PathBuf,
    target_dir: PathBuf,
}

struct Step {
    package: String,
    target: String,
}

/// How the suite ended, and after how much time of tests.
pub enum Outcome {
    Passed { after: Duration },
    Failed { test: String, after: Duration },
}

/// A line of `cargo --message-format json`.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    profile: Profile,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Profile {
    test: bool,
}

impl Suite {
    /// The given targets, or the default ones.
    pub fn new(tests: &str, copy: &Path, target_dir: &Path) -> Result<Self> {
        let given: Vec<&str> = tests.split_whitespace().collect();
        let steps = if given.is_empty() { DEFAULT } else { &given };
        let step = |text: &&str| {
            let (package, target) =
                text.split_once('/').with_context(|| format!("{text} is not PACKAGE/TARGET"))?;
            Ok(Step { package: package.to_owned(), target: target.to_owned() })
        };
        let steps = steps.iter().map(step).collect::<Result<_>>()?;
        Ok(Self { steps, copy: copy.to_owned(), target_dir: target_dir.to_owned() })
    }

    /// Builds and runs one target after the other until a test fails.
    pub fn run(&self) -> Result<Outcome> {
        let mut after = Duration::ZERO;
        for step in &self.steps {
            let Step { package, target } = step;
            let built = self.build(step).with_context(|| format!("{package}/{target}"))?;
            let started = Instant::now();
            let failed = run(step, &built)?;
            let took = started.elapsed();
            eprintln!("  {package}/{target}: {:.1} s", took.as_secs_f64());
            if let Some((test, at)) = failed {
                let test = format!("{package}/{target}: {test}");
                return Ok(Outcome::Failed { test, after: after + (at - started) });
            }
            after += took;
        }
        Ok(Outcome::Passed { after })
    }

    /// Always the whole workspace, because another choice of packages is another
    /// choice of their dependencies' features, and builds those anew.
    fn build(&self, step: &Step) -> Result<Built> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["test", "--workspace", "--locked", "--no-run", "--message-format", "json"]);
        match step.is_lib() {
            true => cargo.arg("--lib"),
            false => cargo.args(["--test", &step.target]),
        };
        cargo.current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.target_dir);
        let output = cargo.stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
        ensure!(
            output.status.success(),
            "it does not build: {}",
            errors(&String::from_utf8_lossy(&output.stderr))
        );
        let messages = output.stdout.split(|byte| *byte == b'\n');
        let mut messages = messages.filter_map(|line| serde_json::from_slice(line).ok());
        let built = messages.find_map(|message| step.built(message, &self.copy));
        built.context("there is no such test target")
    }
}

/// The lines that tell most.
fn errors(text: &str) -> String {
    let errors: Vec<&str> = text.lines().filter(|line| line.contains("error")).take(5).collect();
    errors.join("; ")
}

/// A test binary and where Cargo would run it.
struct Built {
    executable: PathBuf,
    directory: PathBuf,
}

impl Step {
    fn is_lib(&self) -> bool {
        self.target == "lib"
    }

    fn built(&self, message: Message, copy: &Path) -> Option<Built> {
        let Message { target: Some(target), executable, manifest_path, profile } = message else {
            return None;
        };
        let directory = manifest_path?.parent()?.to_owned();
        let kind = if self.is_lib() { "lib" } else { "test" };
        let is_it = profile.test
            && directory == copy.join(&self.package)
            && target.kind.iter().any(|of| of == kind)
            && (self.is_lib() || target.name == self.target);
        is_it.then_some(())?;
        Some(Built { executable: executable?, directory })
    }
}

/// Runs a test binary to its end. The first test that failed, and when.
fn run(step: &Step, built: &Built) -> Result<Option<(String, Instant)>> {
    let mut child = Command::new(&built.executable)
        .current_dir(&built.directory)
        .env("CARGO_MANIFEST_DIR", &built.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().context("its output is piped")?;
    let mut failed = None;
    let mut tests = 0;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        let Some((name, result)) = result(&line) else { continue };
        tests += 1;
        if result == "FAILED" && failed.is_none() {
            failed = Some((name.to_owned(), Instant::now()));
        }
    }
    let status = child.wait()?;
    if failed.is_none() && !status.success() {
        failed = Some((format!("the test program itself ({status})"), Instant::now()));
    }
    if tests == 0 && failed.is_none() {
        bail!("{}/{} has no tests", step.package, step.target);
    }
    Ok(failed)
}

/// A line of libtest's: `test NAME ... RESULT`.
fn result(line: &str) -> Option<(&str, &str)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    Some((name.trim_end_matches(" - should panic"), result.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_tests_are_found_in_their_output() {
        assert_eq!(result("test a::b ... FAILED"), Some(("a::b", "FAILED")));
        assert_eq!(result("test a - should panic ... ok"), Some(("a", "ok")));
        for other in ["running 2 tests", "test result: ok. 14 passed", "", "testing ... FAILED"] {
            assert_eq!(result(other), None, "{other}");
        }
    }

    #[test]
    fn a_step_is_a_package_and_a_target() {
        let suite = Suite::new("a/b c/lib", Path::new("/c"), Path::new("/t")).unwrap();
        let steps: Vec<_> =
            suite.steps.iter().map(|step| (&*step.package, step.is_lib())).collect();
        assert_eq!(steps, [("a", false), ("c", true)]);
        assert!(Suite::new("a", Path::new("/c"), Path::new("/t")).is_err());
        assert!(Suite::new("", Path::new("/c"), Path::new("/t")).is_ok());
    }
}
