//! A real server in this process, on a port that the system chooses.

use cache_server::{Config, Server};
use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// A running server; it stops when it is dropped.
pub struct Running {
    pub addr: SocketAddr,
    metrics_addr: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    runtime: Runtime,
    serving: Option<tokio::task::JoinHandle<()>>,
    /// Removed with the server.
    pub directory: Option<TempDir>,
}

/// How long a directory may be in use that was just closed.
const IN_USE_MAX: Duration = Duration::from_secs(10);

/// Opens what was just closed. Another thread's child has a copy of the lock between its `fork` and
/// its `exec`.
pub fn once_free<T, E: Debug>(
    open: impl Fn() -> Result<T, E>,
    is_in_use: impl Fn(&E) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        match open() {
            Err(error) if is_in_use(&error) && start.elapsed() < IN_USE_MAX => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

impl Running {
    /// A server with an empty directory of its own.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut running = Self::start_in(directory.path());
        running.directory = Some(directory);
        running
    }

    /// A server that keeps its entries in this directory.
    pub fn start_in(directory: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let config = Config::local(directory.join("data"));
        let bind = || runtime.block_on(Server::bind(config.clone()));
        let server = once_free(bind, |error| error.to_string().contains("in use"));
        Self::serve(server, runtime)
    }

    /// Serves until it is stopped or dropped.
    pub fn serve(server: Server, runtime: Runtime) -> Self {
        let (addr, metrics_addr) = (server.addr(), server.metrics_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = runtime.spawn(async move {
            server.serve(async { stopped.await.unwrap_or_default() }).await.unwrap();
        });
        let serving = Some(serving);
        Self { addr, metrics_addr, stop: Some(stop), runtime, serving, directory: None }
    }

    pub fn url(&self) -> String {
        url(self.addr)
    }

    /// A sample of the second port.
    pub fn metric(&self, name: &str) -> u64 {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(self.metrics_addr.unwrap()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
    }

    /// Stops the server as SIGTERM does, and waits for it.
    pub fn stop(mut self) {
        self.stop.take();
        let serving = self.serving.take().unwrap();
        self.runtime.block_on(serving).unwrap();
    }
}

/// A gRPC server of another kind.
pub fn serve_other<F: Future<Output = ()> + Send + 'static>(
    service: impl FnOnce(tokio::net::TcpListener) -> F,
) -> (SocketAddr, Runtime) {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    runtime.spawn(service(listener));
    (addr, runtime)
}

pub fn url(addr: SocketAddr) -> String {
    format!("http://{addr}")
}
