//! A listening socket -> connections that are counted and can be cut from
//! anywhere.
//!
//! HTTP/2 offers no way to end a stream whose client has closed its window: what
//! writes the stream sleeps until the window opens. So a client that does not
//! read loses its connection, which frees everything that is held for it.
//!
//! Invariants:
//! - at most `connections_max` connections are open; one more is closed at once;
//! - a connection that has made no call that its token allows within a time is
//!   cut, so that half a handshake holds nothing for long, and health and
//!   reflection not for longer. Later, keepalive pings find dead peers.

use crate::metrics::Metrics;
use rustix::fd::{AsFd as _, OwnedFd};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

/// Time for the handshakes and the first call.
const FIRST_CALL: Duration = Duration::from_secs(60);
/// A pause when the system has no more sockets.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// A second handle of a connection's socket.
#[derive(Debug)]
struct Socket {
    handle: std::net::TcpStream,
    peer: SocketAddr,
    used: AtomicBool,
}

impl Socket {
    fn cut(&self) {
        // Fails if the peer was faster.
        self.handle.shutdown(Shutdown::Both).ok();
    }
}

/// The connection of a call. Does not keep it open.
#[derive(Clone, Debug, Default)]
pub struct Peer(Weak<Socket>);

impl Peer {
    /// Ends the connection and all its streams.
    pub fn cut(&self) {
        if let Some(socket) = self.0.upgrade() {
            socket.cut();
        }
    }

    /// Notes that there was a call that is allowed, and tells where it comes from.
    pub fn called(&self) -> Option<SocketAddr> {
        let socket = self.0.upgrade()?;
        socket.used.store(true, Ordering::Relaxed);
        Some(socket.peer)
    }
}

/// All open connections.
#[derive(Debug)]
pub struct Connections {
    room: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Weak<Socket>>>,
    next: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Connections {
    /// None yet.
    pub fn new(connections_max: u32, metrics: Arc<Metrics>) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(connections_max as usize));
        Arc::new(Self { room, open: Mutex::default(), next: AtomicU64::new(0), metrics })
    }

    /// The connections that come in.
    pub fn incoming(
        self: &Arc<Self>,
        listener: TcpListener,
    ) -> impl tokio_stream::Stream<Item = Result<Connection, io::Error>> + use<> {
        Incoming { listener, connections: Arc::clone(self) }
    }

    /// Cuts all.
    pub fn cut_all(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().filter_map(Weak::upgrade).for_each(|socket| socket.cut());
    }

    /// Cuts those that have made no call: half a handshake never ends by itself.
    pub fn cut_unused(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = |socket: &Arc<Socket>| !socket.used.load(Ordering::Relaxed);
        open.values().filter_map(Weak::upgrade).filter(unused).for_each(|socket| socket.cut());
    }

    fn admit(self: &Arc<Self>, tcp: TcpStream, peer: SocketAddr) -> io::Result<Option<Connection>> {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            self.metrics.connections_refused.inc();
            return Ok(None);
        };
        tcp.set_nodelay(true)?;
        let fd: OwnedFd = tcp.as_fd().try_clone_to_owned()?;
        let used = AtomicBool::new(false);
        let socket = Arc::new(Socket { handle: fd.into(), peer, used });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let weak = Arc::downgrade(&socket);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, weak.clone());
        self.metrics.connections_open.inc();
        tokio::spawn(async move {
            tokio::time::sleep(FIRST_CALL).await;
            if let Some(socket) = weak.upgrade().filter(|it| !it.used.load(Ordering::Relaxed)) {
                socket.cut();
            }
        });
        Ok(Some(Connection { tcp, socket, id, connections: Arc::clone(self), _room: room }))
    }
}

struct Incoming {
    listener: TcpListener,
    connections: Arc<Connections>,
}

impl tokio_stream::Stream for Incoming {
    type Item = Result<Connection, io::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let accepted = ready!(self.listener.poll_accept(cx));
            match accepted.and_then(|(tcp, peer)| self.connections.admit(tcp, peer)) {
                Ok(Some(connection)) => return Poll::Ready(Some(Ok(connection))),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of file descriptors: the same would come back at once.
                    let waker = cx.waker().clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                        waker.wake();
                    });
                    return Poll::Pending;
                }
            }
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    tcp: TcpStream,
    socket: Arc<Socket>,
    id: u64,
    connections: Arc<Connections>,
    _room: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let open = &self.connections.open;
        open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.connections.metrics.connections_open.dec();
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer(Arc::downgrade(&self.socket))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut this.tcp).poll_read(cx, buf));
        this.connections.metrics.bytes_in.inc_by((buf.filled().len() - before) as u64);
        Poll::Ready(result)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.tcp).poll_write(cx, buf))?;
        this.connections.metrics.bytes_out.inc_by(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs))?;
        this.connections.metrics.bytes_out.inc_by(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
