//! A TCP proxy that does to connections what networks and dying servers do:
//! delay, throttle, hang, cut, answer with garbage. For tests and benches; needs
//! no privileges, as a delay set on the loopback device would.
//!
//! ```text
//! client --> reader --(queue: bytes and when they are due)--> writer --> server
//!        <-- writer <--------------------------------------- reader <--
//! ```

#![forbid(unsafe_code)]

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces on their way in one direction.
const PIECES_MAX: usize = 4096;

/// What is done to every connection.
#[derive(Clone, Debug, Default)]
pub struct Toxics {
    /// How long bytes are on their way, each way.
    pub delay: Duration,
    /// How fast bytes from the server arrive.
    pub bytes_per_second: Option<u64>,
    /// After how many bytes from the server the connection is broken.
    pub cut_after: Option<u64>,
    /// Take connections and bytes, and never answer.
    pub hang: bool,
    /// Answer with these bytes instead of asking the server.
    pub garbage: Option<Vec<u8>>,
}

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    toxics: Mutex<Toxics>,
    connections: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Starts a proxy before a server, on a free port of the loopback address.
    ///
    /// # Errors
    ///
    /// The system's, if there is no port.
    pub fn start(upstream: SocketAddr, toxics: Toxics) -> io::Result<Self> {
        Self::start_at("127.0.0.1:0", upstream, toxics)
    }

    /// Starts a proxy at an address.
    ///
    /// # Errors
    ///
    /// The system's, if the address cannot be listened on.
    pub fn start_at(listen: &str, upstream: SocketAddr, toxics: Toxics) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let shared = Arc::new(Shared {
            upstream,
            toxics: Mutex::new(toxics),
            connections: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let proxy = Self { addr: listener.local_addr()?, stopping: Arc::default(), shared };
        let (stopping, shared) = (proxy.stopping.clone(), proxy.shared.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(client) = client {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    // A connection that breaks is nobody's business but its ends'.
                    shared.serve(client).ok();
                }
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Changes what is done to connections that are made from now on.
    pub fn set(&self, toxics: Toxics) {
        *self.shared.toxics.lock().unwrap_or_else(PoisonError::into_inner) = toxics;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener.
        TcpStream::connect(self.addr).ok();
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let toxics = self.toxics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(client.try_clone()?);
        client.set_nodelay(true)?;
        if toxics.hang {
            thread::spawn(move || io::copy(&mut client, &mut io::sink()));
            return Ok(());
        }
        if let Some(garbage) = toxics.garbage {
            thread::spawn(move || {
                client.write_all(&garbage).ok();
                io::copy(&mut client, &mut io::sink()).ok();
            });
            return Ok(());
        }
        let server = TcpStream::connect(self.upstream)?;
        server.set_nodelay(true)?;
        let there = Toxics { delay: toxics.delay, ..Toxics::default() };
        carry(client.try_clone()?, server.try_clone()?, there);
        carry(server, client, toxics);
        Ok(())
    }
}

/// Carries bytes one way until either end has had enough.
fn carry(mut from: TcpStream, mut to: TcpStream, toxics: Toxics) {
    let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE_BYTES];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let due = Instant::now() + toxics.delay;
            if sender.send((due, buffer[..read].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        let mut carried = 0;
        for (due, mut piece) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let left = toxics.cut_after.map(|max| max.saturating_sub(carried) as usize);
            piece.truncate(left.unwrap_or(piece.len()));
            carried += piece.len() as u64;
            if write(&mut to, &piece, toxics.bytes_per_second).is_err() || left == Some(0) {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    });
}

/// Writes at most so many bytes a second.
fn write(to: &mut TcpStream, piece: &[u8], bytes_per_second: Option<u64>) -> io::Result<()> {
    let Some(rate) = bytes_per_second else {
        return to.write_all(piece);
    };
    // Twenty steps a second are smooth enough.
    for step in piece.chunks((rate / 20).max(1) as usize) {
        to.write_all(step)?;
        thread::sleep(Duration::from_secs_f64(step.len() as f64 / rate as f64));
    }
    Ok(())
}
