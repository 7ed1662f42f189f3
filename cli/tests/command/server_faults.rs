//! A server in every kind of trouble. The compile has the right bytes, waits for
//! no longer than its budget, and tells what happened; with `--require-remote`
//! it fails and writes nothing.
//!
//! Times are not asserted: that a compile ends at all although the server never
//! answers is what a test can hold. How long it took is measured by `farm`.

use crate::sandbox::{Ran, Sandbox, assert_same, ledger, stock};
use crate::server::{Running, serve_other, url};
use proto::v1::cache_server::{Cache, CacheServer};
use proto::v1::{
    FindMissingReply, FindMissingRequest, FoundEntry, GetStatsRequest, LookupChunk, LookupRequest,
    PublishChunk, PublishSummary, Stats,
};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};
use toxic_proxy::{Proxy, Toxics};

/// A budget for servers that never answer, so that the tests end soon.
const SHORT: [&str; 2] = ["--remote-budget-ms", "300"];

/// One for servers that do, on whatever machine.
const LONG: [&str; 2] = ["--remote-budget-ms", "60000"];

/// Compiles with a server in trouble.
fn compile(server: SocketAddr, more: &[&str]) -> (Sandbox, Ran) {
    let machine = Sandbox::new();
    let (ledger, url) = (ledger(), url(server));
    let mut args = vec!["compile", &ledger, "-o", "out.cwasm", "--json", "--server", &url];
    args.extend(more);
    let ran = machine.run(&args);
    (machine, ran)
}

/// The compile goes on and says why; with `--require-remote` it fails.
#[track_caller]
fn check(server: SocketAddr, budget: [&str; 2], reason: &str, words: &str) {
    let (machine, ran) = compile(server, &budget);
    let ran = ran.done();
    let expected = stock(&wasmtime::Config::new(), Path::new(&ledger()));
    assert_same(&machine.path("out.cwasm"), &expected);
    assert_ne!(ran.number(&format!("miss_reasons.{reason}")), 0, "{}", ran.stdout);
    let warnings: Vec<&str> = ran.stderr.lines().filter(|l| l.starts_with("warning")).collect();
    assert!(!warnings.is_empty() && warnings.len() <= 2, "{}", ran.stderr);
    assert!(warnings[0].contains(words), "{words:?} is not in {}", ran.stderr);

    let (machine, required) = compile(server, &[budget[0], budget[1], "--require-remote"]);
    required.refused(5, &[words, "--require-remote"]);
    assert!(!machine.path("out.cwasm").exists(), "nothing is written");
}

/// A server that has the module, behind a proxy that misbehaves.
fn behind(toxics: Toxics) -> (Running, Proxy) {
    let server = Running::start();
    let (_machine, ran) = compile(server.addr, &LONG);
    assert_ne!(ran.done().number("remote.published"), 0);
    let proxy = Proxy::start(server.addr, toxics).unwrap();
    (server, proxy)
}

#[test]
fn a_server_that_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    check(addr, LONG, "unreachable", "cannot be reached");
}

#[test]
fn a_server_that_hangs() {
    let (_server, proxy) = behind(Toxics { hang: true, ..Toxics::default() });
    check(proxy.addr(), SHORT, "timeout", "did not answer in time");
}

#[test]
fn a_server_that_does_not_accept() {
    // Nobody accepts, so that the system's own queue takes the connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    check(listener.local_addr().unwrap(), SHORT, "timeout", "did not answer in time");
}

#[test]
fn a_server_that_is_slow() {
    let toxics = Toxics { bytes_per_second: Some(1024), ..Toxics::default() };
    let (_server, proxy) = behind(toxics);
    check(proxy.addr(), SHORT, "timeout", "did not answer in time");
}

#[test]
fn a_server_that_dies_in_mid_stream() {
    let (_server, proxy) = behind(Toxics { cut_after: Some(60_000), ..Toxics::default() });
    check(proxy.addr(), LONG, "unreachable", "broke the connection");
}

/// Whether the client sees what is wrong before it has sent its request, and
/// then connects again and again, is a race; it waits for its budget at most.
#[test]
fn a_server_that_is_none() {
    let garbage = Some(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec());
    let (_server, proxy) = behind(Toxics { garbage, ..Toxics::default() });
    let (machine, ran) = compile(proxy.addr(), &SHORT);
    let ran = ran.done();
    let expected = stock(&wasmtime::Config::new(), Path::new(&ledger()));
    assert_same(&machine.path("out.cwasm"), &expected);
    let missed = ["protocol", "timeout"].map(|reason| format!("\"{reason}\":"));
    assert!(missed.iter().any(|reason| ran.stdout.contains(reason)), "{}", ran.stdout);
    assert!(ran.stderr.contains("warning: the server"), "{}", ran.stderr);
    let (_, required) = compile(proxy.addr(), &[SHORT[0], SHORT[1], "--require-remote"]);
    required.refused(5, &["--require-remote"]);
}

#[test]
fn a_server_of_another_protocol() {
    let (addr, _runtime) = serve_other(|listener| async move {
        let (_, health) = tonic_health::server::health_reporter();
        let server = tonic::transport::Server::builder().add_service(health);
        server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    check(addr, LONG, "protocol", "another version of the protocol");
}

#[test]
fn a_server_that_answers_with_entries_of_other_keys() {
    let (addr, _runtime) = serve_other(|listener| async move {
        let server = tonic::transport::Server::builder().add_service(CacheServer::new(Swapped));
        server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    let (machine, ran) = compile(addr, &LONG);
    let ran = ran.done();
    let expected = stock(&wasmtime::Config::new(), Path::new(&ledger()));
    assert_same(&machine.path("out.cwasm"), &expected);
    assert_eq!(ran.number("hits.remote"), 0);
    assert_eq!(ran.number("miss_reasons.wrong-key"), ran.number("misses"));
    assert!(ran.stderr.contains("none of what was asked for (wrong-key)"), "{}", ran.stderr);
    let (_, required) = compile(addr, &[LONG[0], LONG[1], "--require-remote"]);
    required.refused(5, &["wrong-key", "--require-remote"]);
    // What was refused was not kept either.
    let again = machine.run(&["compile", &ledger(), "-o", "out.cwasm", "--json"]).done();
    assert_eq!(again.number("misses"), 0);
}

/// Has a sound entry for every key, and always the same one.
struct Swapped;

#[tonic::async_trait]
impl Cache for Swapped {
    type LookupStream = tokio_stream::Once<Result<LookupChunk, Status>>;

    async fn lookup(
        &self,
        request: Request<LookupRequest>,
    ) -> Result<Response<Self::LookupStream>, Status> {
        let key = stencil::CacheKey::from_bytes([9; 32]);
        let entry = stencil::StencilBuilder::new(vec![0xc3], 1, 0, 0);
        let entry = stencil::entry::seal(&key, &entry).unwrap();
        let keys = request.into_inner().keys.len() / 32;
        let found = |index| FoundEntry {
            index: index as u32,
            coding: proto::v1::Coding::Raw.into(),
            entry_bytes: entry.len() as u32,
            data: entry.clone(),
        };
        let chunk = LookupChunk { entries: (0..keys).map(found).collect() };
        Ok(Response::new(tokio_stream::once(Ok(chunk))))
    }

    async fn publish(
        &self,
        mut request: Request<Streaming<PublishChunk>>,
    ) -> Result<Response<PublishSummary>, Status> {
        let mut already_there = 0;
        while let Some(chunk) = request.get_mut().message().await? {
            already_there += chunk.entries.len() as u64;
        }
        Ok(Response::new(PublishSummary { already_there, ..PublishSummary::default() }))
    }

    async fn find_missing(
        &self,
        _: Request<FindMissingRequest>,
    ) -> Result<Response<FindMissingReply>, Status> {
        Ok(Response::new(FindMissingReply::default()))
    }

    async fn get_stats(&self, _: Request<GetStatsRequest>) -> Result<Response<Stats>, Status> {
        Ok(Response::new(Stats::default()))
    }
}
