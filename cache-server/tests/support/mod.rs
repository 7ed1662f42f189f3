//! A real server, clients, entries and certificates for the tests of the
//! service: everything over real sockets, on ports that the system chooses.

#![expect(dead_code, reason = "each test file uses a part of this")]

pub mod binary;
pub mod certs;
pub mod http2;

use bytes::Bytes;
use cache_server::storage::Storage;
use cache_server::{Config, Server};
use proto::coding::{Decoder, Encoder};
use proto::v1::cache_client::CacheClient;
use proto::v1::{LookupRequest, NewEntry, PublishChunk, PublishSummary};
use proto::{Coded, Namespace};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use stencil::{CacheKey, Fingerprint, StencilBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub type Client = CacheClient<Channel>;

/// A server in this process, and its directory.
pub struct Running {
    pub addr: SocketAddr,
    pub metrics_addr: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Running {
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::local(dir.path().join("data"));
        change(&mut config);
        let server = Server::bind(config).await.unwrap();
        Self::serve(server, dir)
    }

    pub async fn start_with(change: impl FnOnce(&mut Config), storage: Arc<dyn Storage>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::local(dir.path().join("data"));
        change(&mut config);
        let server = Server::bind_with(config, storage).await.unwrap();
        Self::serve(server, dir)
    }

    fn serve(server: Server, dir: tempfile::TempDir) -> Self {
        let (addr, metrics_addr) = (server.addr(), server.metrics_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            server.serve(async { stopped.await.unwrap_or_default() }).await.unwrap();
        });
        Self { addr, metrics_addr, stop: Some(stop), serving, _dir: dir }
    }

    pub async fn client(&self) -> Client {
        connect(self.addr).await
    }

    /// Tells the server to stop; it does so while the test goes on.
    pub fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub async fn stop(mut self) {
        if self.stop.is_some() {
            self.begin_stop();
        }
        self.serving.await.unwrap();
    }

    /// A page of the second port: its status line, and its body.
    pub async fn page(&self, path: &str) -> (String, String) {
        page(self.metrics_addr.unwrap(), path).await
    }

    /// The value of the sample that starts with `name`, or 0.
    pub async fn metric(&self, name: &str) -> u64 {
        metric(self.metrics_addr.unwrap(), name).await
    }
}

pub async fn page(addr: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

pub async fn metric(addr: SocketAddr, name: &str) -> u64 {
    let (_, text) = page(addr, "/metrics").await;
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Asks until the sample has the value: the only thing to wait for is the server.
pub async fn until_metric(addr: SocketAddr, name: &str, wanted: impl Fn(u64) -> bool) {
    let waiting = async {
        while !wanted(metric(addr, name).await) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "{name} never had the value");
}

pub fn large(client: Client) -> Client {
    client.max_decoding_message_size(32 << 20).max_encoding_message_size(64 << 20)
}

pub async fn connect(addr: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
    large(CacheClient::new(endpoint.connect().await.unwrap()))
}

pub fn namespace() -> Namespace {
    Namespace::new("tests", Fingerprint::from_bytes([7; 32])).unwrap()
}

pub fn key(number: u64) -> CacheKey {
    let mut bytes = [0xab; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    CacheKey::from_bytes(bytes)
}

/// A sealed entry of a key with this code.
pub fn sealed(key: &CacheKey, code: Vec<u8>) -> Bytes {
    stencil::entry::seal(key, &StencilBuilder::new(code, 1, 0, 0)).unwrap()
}

/// Code that compresses by half.
pub fn code(number: u64, len: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at as u64);
            if at % 2 == 0 { (state >> 56) as u8 } else { 0 }
        })
        .collect()
}

pub fn new_entry(key: &CacheKey, entry: &Bytes) -> NewEntry {
    let Coded { coding, entry_bytes, data } = Encoder::new().encode(entry).unwrap();
    NewEntry {
        key: proto::keys::encode([key].into_iter()),
        coding: coding.into(),
        entry_bytes,
        data,
    }
}

pub fn entry_of(number: u64, len: usize) -> NewEntry {
    let key = key(number);
    new_entry(&key, &sealed(&key, code(number, len)))
}

pub fn chunk(entries: Vec<NewEntry>) -> PublishChunk {
    PublishChunk { namespace: Some(namespace().to_message()), entries, replace: false }
}

pub async fn publish(
    client: &mut Client,
    chunks: Vec<PublishChunk>,
) -> Result<PublishSummary, Status> {
    let request = Request::new(tokio_stream::iter(chunks));
    client.publish(request).await.map(tonic::Response::into_inner)
}

pub fn lookup_request(keys: &[CacheKey]) -> LookupRequest {
    let namespace = Some(namespace().to_message());
    LookupRequest { namespace, keys: proto::keys::encode(keys.iter()) }
}

/// Everything that is there, decoded and checked, by the index of its key.
pub async fn lookup(
    client: &mut Client,
    keys: &[CacheKey],
) -> Result<BTreeMap<u32, Bytes>, Status> {
    let mut stream = client.lookup(lookup_request(keys)).await?.into_inner();
    let (mut found, mut decoder) = (BTreeMap::new(), Decoder::new());
    while let Some(chunk) = stream.message().await? {
        for entry in chunk.entries {
            let coded = Coded::from_message(entry.coding, entry.entry_bytes, entry.data).unwrap();
            let bytes = decoder.decode(&coded).unwrap();
            stencil::entry::verify(&keys[entry.index as usize], &bytes).unwrap();
            assert!(found.insert(entry.index, bytes).is_none(), "an entry came twice");
        }
    }
    Ok(found)
}
