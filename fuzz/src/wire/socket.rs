//! Bytes -> a connection of their own, to either port, which the server ends.

use super::host::Running;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Sends the bytes, behind the preface of HTTP/2 where that is the port's
/// protocol and they do not begin otherwise, and reads what comes back.
///
/// # Panics
///
/// If the server cannot be reached.
pub async fn check(server: &Running, is_metrics: bool, bytes: &[u8]) {
    let addr = if is_metrics { server.metrics_addr } else { server.addr };
    let mut stream = TcpStream::connect(addr).await.expect("the server accepts");
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    if !is_metrics && first % 8 != 0 {
        stream.write_all(PREFACE).await.ok();
    }
    // The server may end first.
    stream.write_all(rest).await.ok();
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
}
