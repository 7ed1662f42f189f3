//! Entries -> a `redis-server` in a process of its own that has the same bytes
//! under the same keys, in memory alone.

use crate::farm::mix::Mix;
use crate::farm::resp::{Resp, put_set};
use crate::process::Process;
use anyhow::{Context as _, Result, bail};
use proto::coding::Encoder;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: &str = "redis-server";

/// Commands that are sent before their answers are waited for, in bytes.
const SET_BYTES: usize = 1 << 20;

/// How long it may take to listen.
const START_MAX: Duration = Duration::from_secs(10);

/// A Redis that listens.
pub struct RedisProcess {
    /// Its process.
    pub process: Process,
    /// Its port.
    pub port: u16,
    /// What it says about its version.
    pub version: String,
}

impl RedisProcess {
    /// Starts one without persistence; it has nothing to write to `directory`.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not come to listen.
    pub async fn start(directory: &Path) -> Result<Self> {
        let version = Command::new(PROGRAM).arg("--version").output().with_context(|| {
            format!("there is no {PROGRAM}; on Debian: apt-get install redis-server")
        })?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version.split_whitespace().find_map(|word| word.strip_prefix("v="));
        // Redis takes no port from the system; this one is free right now.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(PROGRAM);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(directory);
        let version = version.unwrap_or("?").to_owned();
        let redis = Self { process: Process::start(&mut command)?, port, version };
        let started = Instant::now();
        loop {
            let answer = match Resp::connect(port).await {
                Ok(mut resp) => resp.expect(b"*1\r\n$4\r\nPING\r\n", b"PONG").await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(()) => return Ok(redis),
                Err(error) if started.elapsed() > START_MAX => {
                    bail!("{PROGRAM} does not answer: {error:#}")
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Keeps every entry of a mix, coded as the server keeps it.
    ///
    /// # Errors
    ///
    /// If Redis does not take one.
    pub async fn fill(&self, mix: &Mix) -> Result<()> {
        let mut resp = Resp::connect(self.port).await?;
        let mut encoder = Encoder::new();
        let (mut commands, mut count) = (Vec::new(), 0);
        for entry in mix.entries() {
            put_set(&mut commands, &entry.key, &encoder.encode(&entry.bytes)?.data);
            count += 1;
            if commands.len() >= SET_BYTES {
                resp.send_all(&commands, count, b"OK").await?;
                commands.clear();
                count = 0;
            }
        }
        resp.send_all(&commands, count, b"OK").await
    }
}
