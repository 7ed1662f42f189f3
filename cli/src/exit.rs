//! How the program ends: the exit codes, and the one sentence that goes with
//! each failure.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use wording::reason;

/// The exit codes; [`HELP`] tells users about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// The input is not something that can be compiled or inspected.
    Input = 1,
    /// Wrong flags, settings, environment or configuration. Clap's own code for
    /// wrong usage is the same.
    Usage = 2,
    /// A file could not be read or written.
    Files = 3,
    /// `verify`, or `compile --verify-strict`, has found cached code that differs
    /// from what is compiled now.
    Difference = 4,
    /// The server failed, and was required.
    Remote = 5,
    /// Ended by SIGINT, SIGTERM or SIGHUP.
    Interrupted = 130,
}

/// The end of `--help`.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    the input is not valid WebAssembly, or cannot be compiled
  2    wrong flags, settings, environment or configuration file
  3    a file could not be read or written
  4    verify, or compile --verify-strict, found cached code that differs from what is compiled now;
       or relocatable code failed its check
  5    the server failed and --require-remote was said, or stats or doctor could not ask it
  101  a bug in this program
  130  ended by Ctrl-C (SIGINT), SIGTERM or SIGHUP

Environment: STENCIL_CACHE_DIR, STENCIL_CACHE_SIZE, STENCIL_NO_CACHE, STENCIL_SERVER,
STENCIL_PROJECT, STENCIL_TOKEN or STENCIL_TOKEN_FILE, STENCIL_CA, STENCIL_CERT, STENCIL_KEY,
STENCIL_REMOTE_BUDGET_MS, STENCIL_REQUIRE_REMOTE, STENCIL_VERIFY_SAMPLE, STENCIL_VERIFY_STRICT,
STENCIL_JOBS, STENCIL_TARGET, STENCIL_OPT_LEVEL, STENCIL_STENCILS. A flag wins over the environment, and that over
config.toml in $XDG_CONFIG_HOME/stencil (or ~/.config/stencil), whose keys are cache-dir, cache-size,
no-cache, server, project, token-file, ca, cert, key, remote-budget-ms, require-remote,
verify-sample, verify-strict, jobs, target, opt-level, stencils and a table [cranelift], which goes with the file's
target. `stencil doctor` shows which value counts.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened to which file, and what to do.
    pub sentence: String,
}

impl Failure {
    pub fn input(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Input, sentence: sentence.into() }
    }

    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, sentence: sentence.into() }
    }

    pub fn files(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Files, sentence: sentence.into() }
    }

    pub fn remote(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Remote, sentence: sentence.into() }
    }

    pub fn difference(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Difference, sentence: sentence.into() }
    }

    /// A file that could not be read.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "; check its name",
            io::ErrorKind::PermissionDenied => "; make it readable",
            io::ErrorKind::IsADirectory => "; name a file",
            _ => "",
        };
        Self::files(format!("cannot read {}: {}{hint}", path.display(), reason(error)))
    }

    /// A file that could not be written.
    pub fn unwritable(path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "create its directory, or name another output with -o",
            io::ErrorKind::PermissionDenied => {
                "make its directory writable, or name another output with -o"
            }
            io::ErrorKind::FileTooLarge => "raise the limit on file sizes (ulimit -f)",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
            _ => "name another output with -o",
        };
        Self::files(format!("cannot write {}: {}; {hint}", path.display(), reason(error)))
    }
}

/// Writes one line to stderr. Nobody listening is no reason to fail.
pub fn say(kind: &str, sentence: &dyn Display) {
    let sentence = sentence.to_string().replace('\n', " ");
    writeln!(io::stderr().lock(), "{kind}: {sentence}").ok();
}

/// Writes one line to stderr, as it is.
pub fn say_line(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Writes to stdout, where a reader who has heard enough is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unwritable(Path::new("the standard output"), &error))
        }
        _ => Ok(()),
    }
}

/// Lets a panic, which is a bug, end with one sentence too.
pub fn explain_panics() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("it panicked");
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let what = format!("this is a bug in stencil: {message}{place}; please report it");
        say("error", &what);
    }));
}
