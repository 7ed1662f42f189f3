//! A directory -> a cache server in a process of its own, on a port that the
//! system chooses.

use crate::process::Process;
use anyhow::{Context as _, Result};
use cache_client::remote::{Connection, ServerConfig};
use proto::v1::Stats;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

const VARIABLES: &str = "STENCIL_SERVER_";

/// A server that listens.
pub struct ServerProcess {
    /// Its process.
    pub process: Process,
    /// Its address.
    pub url: String,
}

impl ServerProcess {
    /// Starts one; `flags` are more of its own.
    ///
    /// # Errors
    ///
    /// If it does not come to listen; with what it said.
    pub fn start(binary: &Path, data_dir: &Path, flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["--listen", "127.0.0.1:0", "--metrics-listen", "off"]);
        command.args(["--log-format", "json", "--data-dir"]).arg(data_dir).args(flags);
        // Only what is said here counts.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(VARIABLES) {
                command.env_remove(name);
            }
        }
        let mut process = Process::start(&mut command).with_context(|| {
            "build the server with `cargo build --release -p cache-server`, or name it with \
             --server-binary"
        })?;
        let mut lines = BufReader::new(process.stderr().context("a pipe")?).lines();
        let mut said = String::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = listening(&line);
            said = line;
            address
        });
        let address = address.with_context(|| format!("{} said: {said}", binary.display()))?;
        // Nobody reads them, but somebody has to.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { process, url: format!("http://{address}") })
    }

    /// What it says about itself.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn stats(&self) -> Result<Stats> {
        let connection = Connection::new(&ServerConfig::new(&self.url))?;
        let greeting = connection.greet(Duration::from_secs(60)).map_err(anyhow::Error::msg)?;
        Ok(greeting.stats)
    }
}

/// The address in the line that says that the server listens.
fn listening(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line.get("message")?.as_str()? == "listening").then_some(())?;
    Some(line.get("listen")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_in_the_line_that_says_listening() {
        let line = r#"{"level":"INFO","message":"listening","listen":"127.0.0.1:7"}"#;
        assert_eq!(listening(line).as_deref(), Some("127.0.0.1:7"));
        assert_eq!(listening(r#"{"message":"opened","listen":"x"}"#), None);
        assert_eq!(listening("cache-server: no"), None);
    }

    #[test]
    fn a_server_that_does_not_listen_is_an_error_with_its_words() {
        let failed = ServerProcess::start(Path::new("/bin/sh"), Path::new("."), &[]).err().unwrap();
        assert!(failed.to_string().contains("/bin/sh said: "), "{failed}");
    }
}
