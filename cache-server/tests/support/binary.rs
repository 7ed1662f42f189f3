//! The built server as a process of its own.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-server"));
    let ours = |name: &str| name.starts_with("STENCIL_");
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A server that listens.
pub struct Process {
    pub child: Child,
    pub addr: SocketAddr,
    pub metrics_addr: SocketAddr,
    pub log: BufReader<ChildStderr>,
    /// Log lines so far.
    pub seen: Vec<String>,
}

impl Process {
    pub fn start(data_dir: &Path, more: &[&str]) -> Self {
        Self::start_with(data_dir, &[&["--listen", "127.0.0.1:0"], more].concat(), &[])
    }

    pub fn start_with(data_dir: &Path, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.env("STENCIL_SERVER_LISTEN", "127.0.0.1:0").envs(variables.iter().copied());
        command.args(["--metrics-listen", "127.0.0.1:0"]);
        command.args(["--log-format", "json", "--data-dir"]).arg(data_dir).args(more);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = Vec::new();
        loop {
            let mut text = String::new();
            assert!(log.read_line(&mut text).unwrap() > 0, "the server has ended: {seen:?}");
            seen.push(text.clone());
            let Ok(line) = serde_json::from_str::<Value>(&text) else { continue };
            if line["message"] == "listening" {
                let addr = |name: &str| line[name].as_str().unwrap().parse().unwrap();
                let (addr, metrics_addr) = (addr("listen"), addr("metrics"));
                return Self { child, addr, metrics_addr, log, seen };
            }
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let mut lines = std::mem::take(&mut self.seen);
        lines.extend(self.log.by_ref().lines().map(Result::unwrap));
        (self.child.wait().unwrap(), lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that fails leaves no server behind.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
