//! SIGTERM ends the server when its open calls have ended, with exit code 0.
//! Method: the built server, real signals.

mod support;

use cache_server::storage::{
    LookupCounts, Next, Published, Storage, StorageError, StorageStats, StoredEntry,
};
use cache_server::{Config, Server};
use proto::{Coded, Namespace};
use rustix::process::Signal;
use std::sync::{Arc, Mutex};
use stencil::CacheKey;
use support::binary::Process;
use support::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

/// A publish that goes on until it is told to end.
struct Open {
    chunks: mpsc::Sender<proto::v1::PublishChunk>,
    summary: tokio::task::JoinHandle<Result<proto::v1::PublishSummary, tonic::Status>>,
}

async fn open(process: &Process) -> Open {
    let mut client = connect(process.addr).await;
    let (chunks, receiver) = mpsc::channel(1);
    let summary = tokio::spawn(async move {
        let answer = client.publish(ReceiverStream::new(receiver)).await;
        answer.map(tonic::Response::into_inner)
    });
    chunks.send(chunk(vec![entry_of(1, 100)])).await.unwrap();
    until_metric(process.metrics_addr, "stencil_server_calls_open", |open| open == 1).await;
    Open { chunks, summary }
}

async fn until_stopping(process: &Process) {
    while !page(process.metrics_addr, "/healthz").await.0.contains("503") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_publish_that_is_open_at_sigterm_is_finished_and_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let open = open(&process).await;
    let mut other = connect(process.addr).await;
    lookup(&mut other, &[key(1)]).await.unwrap();
    process.signal(Signal::TERM);
    until_stopping(&process).await;
    // Nothing new is taken; what is open goes on.
    assert!(lookup(&mut other, &[key(1)]).await.is_err());
    assert!(tokio::net::TcpStream::connect(process.addr).await.is_err());
    for number in 2..50 {
        open.chunks.send(chunk(vec![entry_of(number, 100)])).await.unwrap();
    }
    drop(open.chunks);
    assert_eq!(open.summary.await.unwrap().unwrap().stored, 49);
    let (status, lines) = process.wait();
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert!(lines.last().unwrap().contains("stopped"), "{lines:#?}");
}

#[tokio::test]
async fn a_publish_that_does_not_end_is_cut_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &["--stop-seconds", "1"]);
    let open = open(&process).await;
    process.signal(Signal::INT);
    let cut = open.summary.await.unwrap().unwrap_err();
    assert_ne!(cut.code(), Code::Ok);
    let (status, lines) = process.wait();
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("are cut")), "{lines:#?}");
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &["--stop-seconds", "3600"]);
    let open = open(&process).await;
    process.signal(Signal::TERM);
    until_stopping(&process).await;
    process.signal(Signal::TERM);
    let (status, _) = process.wait();
    assert_eq!(status.code(), Some(130));
    assert!(open.summary.await.unwrap().is_err());
}

/// A storage that ends its closing when it is let go.
struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>);

impl Storage for Stuck {
    fn lookup(
        &self,
        _: &Namespace,
        _: &[CacheKey],
        _: &mut dyn FnMut(u32, Coded) -> Next,
    ) -> LookupCounts {
        LookupCounts::default()
    }

    fn find_missing(&self, _: &Namespace, keys: &[CacheKey]) -> Vec<u32> {
        (0..keys.len() as u32).collect()
    }

    fn publish(
        &self,
        _: &Namespace,
        _: Vec<StoredEntry>,
        _: bool,
    ) -> Result<Published, StorageError> {
        Ok(Published::default())
    }

    fn stats(&self) -> StorageStats {
        StorageStats::default()
    }

    fn close(&self) -> Result<(), StorageError> {
        self.0.lock().unwrap().recv().ok();
        Ok(())
    }
}

/// After a write that had failed in one of sled's own threads, its flush waited for ever, and
/// the server with it: found by the fault harness, once in some ten runs of it.
#[tokio::test]
async fn a_storage_that_does_not_close_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (let_go, held) = std::sync::mpsc::channel();
    let config = Config::local(dir.path().join("data"));
    let storage = Arc::new(Stuck(Mutex::new(held)));
    let server = Server::bind_with(config, storage).await.unwrap();
    let failure = server.serve(async {}).await.unwrap_err();
    assert!(failure.to_string().contains("did not close within"), "{failure}");
    drop(let_go);
}
