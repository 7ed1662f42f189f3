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
}

fn main() -> io::Result<()> {
    let Args { listen, upstream, delay_ms, bytes_per_second } = Args::parse();
    let delay = Duration::from_millis(delay_ms);
    let toxics = Toxics { delay, bytes_per_second, ..Toxics::default() };
    let proxy = Proxy::start_at(&listen, upstream, toxics)?;
    println!("{}", proxy.addr());
    loop {
        thread::park();
    }
}
