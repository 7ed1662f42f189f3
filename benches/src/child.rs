//! A command -> how long its process took, from exec to exit, and what it used.
//!
//! Invariant: this process stays small. Linux counts the memory of the process
//! that calls `exec` into the peak of the new one, so a parent that had read a
//! module would show up in every child's figure. Whatever reads a whole file is
//! a role of its own.

use anyhow::{Context as _, Result, bail};
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process that has ended well.
#[derive(Clone, Debug)]
pub struct Finished {
    /// From before the process was started until it was gone.
    pub wall: Duration,
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Its largest resident set, in bytes.
    pub peak_rss_bytes: u64,
    /// What it printed.
    pub stdout: String,
}

/// Runs a command to its end.
///
/// # Errors
///
/// If it cannot be started, or does not succeed; with what it said.
pub fn run(command: &mut Command) -> Result<Finished> {
    let program = command.get_program().to_string_lossy().into_owned();
    // A file, not a pipe: nobody has to read it while the process runs.
    let mut stderr = tempfile::tempfile().context("no room for the child's messages")?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr.try_clone()?);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let mut stdout = String::new();
    let read = child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut stdout));
    let (status, usage) = wait(child.id())?;
    let wall = start.elapsed();
    read.transpose().with_context(|| format!("{program} printed something that is not text"))?;
    if !status.success() {
        let mut said = String::new();
        stderr.rewind()?;
        stderr.read_to_string(&mut said)?;
        let said = said.trim();
        bail!("{program} failed ({status}): {}", if said.is_empty() { "no message" } else { said });
    }
    Ok(Finished { wall, cpu: cpu(&usage), peak_rss_bytes: resident_bytes(&usage), stdout })
}

/// This process's own largest resident set, in bytes: the smallest figure that a
/// child can have.
pub fn own_peak_rss_bytes() -> u64 {
    resident_bytes(&own_usage())
}

/// User and system time of all threads of this process so far.
pub fn own_cpu() -> Duration {
    cpu(&own_usage())
}

fn own_usage() -> libc::rusage {
    let mut usage = no_usage();
    // SAFETY: `usage` is a valid place for one `rusage`.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    usage
}

fn wait(process: u32) -> Result<(ExitStatus, libc::rusage)> {
    let process = libc::pid_t::try_from(process).context("process number out of range")?;
    let mut status = 0;
    let mut usage = no_usage();
    loop {
        // SAFETY: both pointers are valid places for what is written to them,
        // and the process is our child, for which nobody else waits.
        let got = unsafe { libc::wait4(process, &raw mut status, 0, &raw mut usage) };
        if got == process {
            return Ok((ExitStatus::from_raw(status), usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("cannot wait for a child process");
        }
    }
}

fn no_usage() -> libc::rusage {
    // SAFETY: a structure of integers, for which zeros are a valid value.
    unsafe { std::mem::zeroed() }
}

fn resident_bytes(usage: &libc::rusage) -> u64 {
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit
}

fn cpu(usage: &libc::rusage) -> Duration {
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn time(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_measured_until_it_is_gone() {
        let finished = run(Command::new("sh").args(["-c", "sleep 0.05; echo done"])).unwrap();
        assert_eq!(finished.stdout, "done\n");
        assert!(finished.wall >= Duration::from_millis(50));
        assert!(finished.peak_rss_bytes > 0);
    }

    #[test]
    fn a_failing_child_is_an_error_with_its_own_words() {
        let error = run(Command::new("sh").args(["-c", "echo 'no such thing' >&2; exit 3"]));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no such thing") && error.contains('3'), "{error}");
    }
}
