//! The built server as a process of its own.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
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
    log: Option<BufReader<ChildStderr>>,
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
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let (addr, metrics_addr) = (nowhere, nowhere);
        let mut process = Self { child, addr, metrics_addr, log: None, seen: Vec::new() };
        process.read_addresses();
        process
    }

    fn read_addresses(&mut self) {
        let mut log = BufReader::new(self.child.stderr.take().unwrap());
        while self.addr.port() == 0 {
            let mut text = String::new();
            let read = log.read_line(&mut text).unwrap();
            assert!(read > 0, "the server has ended: {:?}", self.seen);
            self.seen.push(text.clone());
            let Ok(line) = serde_json::from_str::<Value>(&text) else { continue };
            if line["message"] == "listening" {
                let addr = |name: &str| line[name].as_str().unwrap().parse().unwrap();
                (self.addr, self.metrics_addr) = (addr("listen"), addr("metrics"));
            }
        }
        self.log = Some(log);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let mut lines = std::mem::take(&mut self.seen);
        lines.extend(self.log.take().unwrap().lines().map(Result::unwrap));
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
