//! The servers that all executions of a process talk to, and their connections.
//!
//! Each is a real [`Server`] on a real data directory and a loopback socket,
//! with one connection that is used over and over: a call costs a tenth of a
//! millisecond, so a transport in memory would save little and leave out the
//! code that accepts, counts and cuts connections. Client, server and timers
//! share one thread, so that an execution is a fixed sequence of steps as far as
//! the storage's own threads let it be.
//!
//! Invariant: what executions leave behind is bounded; a server that has served
//! [`EXECUTIONS_MAX`] is stopped and its directory removed.

use super::panics::THREAD;
use super::request::Token;
use cache_server::auth::Role;
use cache_server::config::TokenTable;
use cache_server::config::token_table::Digest;
use cache_server::{Config, Server};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

/// After so many, a server is replaced. Each may leave nine namespaces behind, of
/// which a server takes 65,536.
const EXECUTIONS_MAX: u64 = 4_096;
/// A last resort: what takes longer has stopped for ever.
const HANG: Duration = Duration::from_secs(60);
/// Room for what [`EXECUTIONS_MAX`] publish, so that nothing is evicted.
const SIZE_MAX: u64 = 1 << 30;
const HOT_BYTES_MAX: u64 = 4 << 20;
const PREFIX: &str = "fuzz-wire-";

/// A runtime and the servers on it: one that has a memory tier, and one that
/// reads everything from its packs.
pub struct Host {
    runtime: Runtime,
    servers: [Option<Running>; 2],
    executions: u64,
}

/// A server and a connection to it.
pub struct Running {
    /// A connection that is used for every call.
    pub channel: Channel,
    /// The address of the service.
    pub addr: SocketAddr,
    /// The address of `/metrics` and `/healthz`.
    pub metrics_addr: SocketAddr,
    left: u64,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    dir: TempDir,
}

impl Host {
    /// No server yet.
    pub fn new() -> Self {
        remove_abandoned();
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().thread_name(THREAD).build().expect("a runtime starts");
        Self { runtime, servers: [None, None], executions: 0 }
    }

    /// One execution: `body` has a server and a number that no other has had.
    pub fn execute<T>(
        &mut self,
        is_hot: bool,
        body: impl AsyncFnOnce(&mut Running, u64) -> T,
    ) -> T {
        let Self { runtime, servers: [cold, hot], executions } = self;
        *executions += 1;
        let server = if is_hot { hot } else { cold };
        runtime.block_on(async {
            if server.as_ref().is_some_and(|server| server.left == 0)
                && let Some(worn) = server.take()
            {
                worn.stop().await;
            }
            let server = match server {
                Some(server) => server,
                none => none.insert(Running::start(is_hot).await),
            };
            server.left -= 1;
            let done = timeout(HANG, body(server, *executions)).await;
            done.unwrap_or_else(|_| panic!("an execution does not end"))
        })
    }

    /// Stops all servers and removes their directories.
    #[cfg(test)]
    pub fn stop(&mut self) {
        for server in &mut self.servers {
            if let Some(server) = server.take() {
                self.runtime.block_on(server.stop());
            }
        }
    }
}

impl Running {
    async fn start(is_hot: bool) -> Self {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place());
        let dir = dir.expect("a directory can be made");
        let config = Config {
            tokens: Token::GOOD.map(|(token, role)| table(token, role)).to_vec(),
            size_max: SIZE_MAX,
            hot_bytes_max: if is_hot { HOT_BYTES_MAX } else { 0 },
            ..Config::local(dir.path().join("data"))
        };
        let server = Server::bind(config).await.expect("the server starts");
        let (addr, metrics_addr) = (server.addr(), server.metrics_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            server.serve(stopped).await.expect("the storage closes");
        });
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("a uri");
        let channel = endpoint.connect().await.expect("the server accepts");
        let metrics_addr = metrics_addr.expect("metrics are on");
        Self { channel, addr, metrics_addr, left: EXECUTIONS_MAX, stop, serving, dir }
    }

    async fn stop(self) {
        let Self { channel, stop, serving, dir, .. } = self;
        drop(channel);
        stop.send(()).expect("the server still runs");
        let stopped = timeout(HANG, serving).await.expect("the server stops");
        stopped.expect("the server has not panicked");
        dir.close().expect("the directory can be removed");
    }
}

fn table(token: &str, role: Role) -> TokenTable {
    let sha256 = Digest(Sha256::digest(token).into());
    TokenTable { name: token.to_owned(), role, sha256, projects: None, expires: None }
}

/// Memory where there is a file system in it: every commit synchronises its
/// files, and a disk would set the pace.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Removes the directories of processes that were ended by a finding, or by
/// libFuzzer, which ends without running what is left to drop.
fn remove_abandoned() {
    let Ok(dirs) = fs::read_dir(place()) else { return };
    let ours = |dir: &fs::DirEntry| dir.file_name().to_string_lossy().starts_with(PREFIX);
    for dir in dirs.flatten().filter(ours) {
        // A running server holds this lock.
        let Ok(lock) = File::open(dir.path().join("data/lock")) else { continue };
        if lock.try_lock().is_ok() {
            fs::remove_dir_all(dir.path()).ok();
        }
    }
}
