//! How the program ends: the exit codes, and the one sentence that goes with
//! each failure.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit codes; `--help` tells users about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Stopped as it was asked to.
    Success = 0,
    /// Wrong flags, environment or configuration, or an address that cannot be
    /// listened on.
    Usage = 2,
    /// The data directory failed.
    Files = 3,
    /// Ended by a second signal, without waiting.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the server does not run.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong where, and what to do.
    pub sentence: String,
}

impl Failure {
    /// A wrong setting.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, sentence: sentence.into() }
    }

    /// A file of the data directory.
    pub fn files(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Files, sentence: sentence.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence.replace('\n', " "))
    }
}

impl std::error::Error for Failure {}

/// Writes one line to stderr. Nobody listening is no reason to fail.
pub fn say_error(failure: &Failure) {
    writeln!(io::stderr().lock(), "error: {failure}").ok();
}
