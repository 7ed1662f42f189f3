//! The name of an ignored test -> a process that runs it, given a directory.
//!
//! The child is this test binary again. What it writes to stderr is its own;
//! stdout has the test harness's words.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DIR: &str = "CACHE_CLIENT_TEST_DIR";

/// A process that runs the ignored test `name` on `dir`.
pub fn command(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("the test binary has a path"));
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir);
    command
}

/// In a child: the directory. `None` if a person runs the ignored tests.
pub fn dir() -> Option<PathBuf> {
    env::var_os(DIR).map(PathBuf::from)
}

/// Whether the child ran its test to the end, and not just no test at all.
pub fn passed(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains(" 1 passed")
}
