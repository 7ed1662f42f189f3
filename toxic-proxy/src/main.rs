//! `toxic-proxy`: the proxy as a command, for trying things by hand.

use clap::Parser;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use toxic_proxy::{Proxy, Toxics};

/// Delay or throttle TCP connections to a server
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The server
    #[arg(long)]
    upstream: SocketAddr,
    /// Milliseconds each way
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Bytes a second from the server
    #[arg(long)]
    bytes_per_second: Option<u64>,
    /// Break connections after so many bytes from the server
    #[arg(long)]
    cut_after: Option<u64>,
    /// Take connections and never answer
    #[arg(long)]
    hang: bool,
    /// Answer with this text instead of asking the server
    #[arg(long)]
    garbage: Option<String>,
}

fn main() -> io::Result<()> {
    let Args { listen, upstream, delay_ms, bytes_per_second, cut_after, hang, garbage } =
        Args::parse();
    let delay = Duration::from_millis(delay_ms);
    let garbage = garbage.map(String::into_bytes);
    let toxics = Toxics { delay, bytes_per_second, cut_after, hang, garbage };
    let proxy = Proxy::start_at(&listen, upstream, toxics)?;
    println!("{}", proxy.addr());
    loop {
        thread::park();
    }
}
