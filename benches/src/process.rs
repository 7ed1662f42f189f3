//! A program -> a process that runs while it is measured, and is gone when it is
//! dropped; and what Linux counts for it.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The unit of the times in `/proc/PID/stat`: `USER_HZ`, which Linux keeps at 100
/// for programs on every architecture that Wasmtime compiles for.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process of ours.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a program. Its standard error is a pipe, which is to be read.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// Where its messages are read, once.
    pub fn stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// Its largest resident set so far, in bytes.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn peak_rss_bytes(&self) -> Result<u64> {
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kib.context("the system does not say VmHWM")? << 10)
    }

    /// User and system time of all its threads so far.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = self.proc_file("stat")?;
        // The name in parentheses may have spaces in it.
        let (_, fields) = stat.rsplit_once(')').context("the system's stat has no name")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        let ticks: f64 = ticks.sum::<Result<f64, _>>()?;
        Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
    }

    fn proc_file(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| format!("{} is gone", self.name))
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    ///
    /// If it does not stop well.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} stopped with {status}", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured_while_it_runs() {
        let process = Process::start(Command::new("sleep").arg("60")).unwrap();
        assert!(process.peak_rss_bytes().unwrap() > 0);
        assert!(process.cpu().unwrap() < Duration::from_secs(10));
        assert!(process.stop().is_err(), "a signal is no good end");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failed = Process::start(&mut Command::new("/no/such")).err().unwrap();
        assert!(failed.to_string().contains("/no/such"), "{failed}");
    }
}
