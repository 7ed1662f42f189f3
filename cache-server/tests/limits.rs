//! Every limit is the last value allowed. Method: real requests at the limit and
//! one beyond, against a server in this process; memory is measured on the
//! built server.

mod support;

use bytes::Bytes;
use cache_server::config::Limits;
use proto::limits::{CHUNK_BYTES, CHUNK_ENTRIES_MAX, ENTRY_BYTES_MAX, KEYS_MAX, MESSAGE_BYTES_MAX};
use proto::v1::{Coding, FindMissingRequest, GetStatsRequest, NewEntry, RefusedReason};
use std::net::SocketAddr;
use std::time::Duration;
use support::binary::Process;
use support::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

/// An entry whose sealed bytes have this length, as it is.
fn raw_entry(number: u64, len: usize) -> NewEntry {
    let key = key(number);
    let empty = sealed(&key, Vec::new()).len();
    let entry = sealed(&key, vec![3; len - empty]);
    assert_eq!(entry.len(), len);
    NewEntry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        coding: Coding::Raw.into(),
        entry_bytes: len as u32,
        data: entry,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_may_have_16_mib() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let chunks = vec![
        chunk(vec![raw_entry(1, ENTRY_BYTES_MAX)]),
        chunk(vec![raw_entry(2, ENTRY_BYTES_MAX + 1)]),
        chunk(vec![raw_entry(3, ENTRY_BYTES_MAX)]),
    ];
    let summary = publish(&mut client, chunks).await.unwrap();
    assert_eq!(summary.stored, 2);
    let refused = &summary.refused[0];
    assert_eq!((refused.reason(), refused.count), (RefusedReason::TooLarge, 1));
    let found = lookup(&mut client, &[key(1), key(2), key(3)]).await.unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(found[&0].len(), ENTRY_BYTES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_have_65536_keys() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    publish(&mut client, vec![chunk(vec![entry_of(65_535, 50)])]).await.unwrap();
    let keys: Vec<_> = (0..=KEYS_MAX as u64).map(key).collect();
    let found = lookup(&mut client, &keys[..KEYS_MAX]).await.unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [65_535]);
    let find = |keys: &[stencil::CacheKey]| FindMissingRequest {
        namespace: Some(namespace().to_message()),
        keys: proto::keys::encode(keys.iter()),
    };
    let missing = client.find_missing(find(&keys[..KEYS_MAX])).await.unwrap().into_inner();
    assert_eq!(missing.indexes.len(), KEYS_MAX - 1);
    let check = |status: Status, word: &str| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(word), "{status}");
    };
    check(lookup(&mut client, &keys).await.unwrap_err(), "65537 keys");
    check(client.find_missing(find(&keys)).await.unwrap_err(), "65537 keys");
    let many: Vec<_> = keys.iter().cycle().take(2 * KEYS_MAX).copied().collect();
    check(lookup(&mut client, &many).await.unwrap_err(), "request has more than");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_have_17_mib() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let filled = |len: usize| {
        let mut message = chunk(vec![entry_of(1, 100), entry_of(2, 100)]);
        let room = len - prost::Message::encoded_len(&message) - 3;
        message.entries[0].data = Bytes::from(vec![0; message.entries[0].data.len() + room]);
        let over = prost::Message::encoded_len(&message) - len;
        let data = &mut message.entries[0].data;
        data.truncate(data.len() - over);
        assert_eq!(prost::Message::encoded_len(&message), len);
        message
    };
    let summary = publish(&mut client, vec![filled(MESSAGE_BYTES_MAX)]).await.unwrap();
    assert_eq!((summary.stored, summary.refused[0].reason()), (1, RefusedReason::TooLarge));
    let refused = publish(&mut client, vec![filled(MESSAGE_BYTES_MAX + 1)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("17825792 bytes"), "{refused}");
    assert_eq!(lookup(&mut client, &[key(2)]).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_too_many_entries_is_refused_and_its_connection_goes_on() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    // All but the first are refused before they are decoded.
    for more in [1, 2, 8 << 20] {
        let empty = vec![NewEntry::default(); CHUNK_ENTRIES_MAX + more];
        let status = publish(&mut client, vec![chunk(empty)]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("limit of 65536"), "{status}");
        assert_eq!(lookup(&mut client, &[key(1)]).await.unwrap().len(), 0);
    }
    assert_eq!(server.metric("stencil_server_connections_open").await, 1);
}

/// A publish that has started and goes on until its sender is dropped.
async fn open_publish(mut client: Client) -> (mpsc::Sender<proto::v1::PublishChunk>, Answer) {
    let (sender, receiver) = mpsc::channel(1);
    let answer = tokio::spawn(async move {
        let answer = client.publish(ReceiverStream::new(receiver)).await;
        answer.map(tonic::Response::into_inner)
    });
    (sender, answer)
}

type Answer = tokio::task::JoinHandle<Result<proto::v1::PublishSummary, Status>>;

fn no_wait(limits: Limits) -> Limits {
    Limits { waiting_max: 0, wait: Duration::ZERO, ..limits }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_publish_more_than_may_run_is_turned_away_at_once() {
    let limits = no_wait(Limits { publishes_max: 3, ..Limits::default() });
    let server = Running::start(|config| config.limits = limits).await;
    let mut open = Vec::new();
    for number in 0..3 {
        let (sender, answer) = open_publish(server.client().await).await;
        sender.send(chunk(vec![entry_of(number, 10)])).await.unwrap();
        open.push((sender, answer));
    }
    let metrics = server.metrics_addr.unwrap();
    until_metric(metrics, "stencil_server_calls_open", |open| open == 3).await;
    let mut client = server.client().await;
    let refused = publish(&mut client, vec![chunk(vec![entry_of(9, 10)])]).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(server.metric("stencil_server_busy_total").await, 1);
    // Reading has its own limit.
    assert_eq!(lookup(&mut client, &[key(9)]).await.unwrap().len(), 0);
    for (sender, answer) in open {
        drop(sender);
        assert_eq!(answer.await.unwrap().unwrap().stored, 1);
    }
    until_metric(metrics, "stencil_server_calls_open", |open| open == 0).await;
    publish(&mut client, vec![chunk(vec![entry_of(9, 10)])]).await.unwrap();
}

/// Publishes so much that it does not fit into what HTTP/2 and the queues take.
async fn fill(server: &Running) -> Vec<stencil::CacheKey> {
    let mut client = server.client().await;
    let chunks: Vec<_> = (0..64)
        .map(|at| chunk((0..4).map(|it| raw_entry(at * 4 + it, CHUNK_BYTES / 4)).collect()))
        .collect();
    publish(&mut client, chunks).await.unwrap();
    (0..256).map(key).collect()
}

/// A client whose HTTP/2 windows are so small that it has to read.
async fn narrow(addr: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    large(Client::new(endpoint.connect().await.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_more_than_may_run_waits_for_its_turn_and_the_next_is_turned_away() {
    let wait = Duration::from_secs(60);
    let limits = Limits { lookups_max: 2, waiting_max: 1, wait, ..Limits::default() };
    let server = Running::start(|config| config.limits = limits).await;
    let keys = fill(&server).await;
    let mut reading = Vec::new();
    for _ in 0..2 {
        let mut client = narrow(server.addr).await;
        let mut stream = client.lookup(lookup_request(&keys)).await.unwrap().into_inner();
        stream.message().await.unwrap().unwrap();
        reading.push((client, stream));
    }
    let mut waiting = server.client().await;
    let first = tokio::spawn(async move { waiting.get_stats(GetStatsRequest {}).await.is_ok() });
    let mut client = server.client().await;
    // One of the two waits, the other is turned away.
    let second = client.get_stats(GetStatsRequest {});
    let mut first = std::pin::pin!(first);
    let mut second = std::pin::pin!(second);
    let turned_away = tokio::select! {
        done = &mut first => { assert!(!done.unwrap()); true }
        done = &mut second => {
            assert_eq!(done.unwrap_err().code(), Code::ResourceExhausted);
            false
        }
    };
    reading.pop();
    if turned_away {
        second.await.unwrap();
    } else {
        assert!(first.await.unwrap());
    }
    let mut rest = reading.pop().unwrap().1;
    let mut entries = 4;
    while let Some(chunk) = rest.message().await.unwrap() {
        entries += chunk.entries.len();
    }
    assert_eq!(entries, 256, "a slow reader gets everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_have_its_number_of_streams_and_the_next_wait() {
    let limits = Limits { streams_max: 2, ..Limits::default() };
    let server = Running::start(|config| config.limits = limits).await;
    let client = server.client().await;
    // A client that has not heard the limit yet is refused, and not asked to wait.
    lookup(&mut client.clone(), &[key(1)]).await.unwrap();
    let mut open = Vec::new();
    for number in 0..3 {
        let (sender, answer) = open_publish(client.clone()).await;
        sender.send(chunk(vec![entry_of(number, 10)])).await.unwrap();
        open.push((sender, answer));
    }
    let metrics = server.metrics_addr.unwrap();
    until_metric(metrics, "stencil_server_calls_open", |open| open == 2).await;
    // The limit is the connection's, not the server's.
    assert_eq!(lookup(&mut server.client().await, &[key(1)]).await.unwrap().len(), 0);
    assert_eq!(server.metric("stencil_server_calls_open").await, 2);
    let mut stored = 0;
    for (sender, answer) in open {
        drop(sender);
        stored += answer.await.unwrap().unwrap().stored;
    }
    assert_eq!(stored, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_more_than_may_be_open_is_closed_at_once() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let server = Running::start(|config| config.limits = limits).await;
    let mut one = server.client().await;
    let mut two = server.client().await;
    lookup(&mut one, &[key(1)]).await.unwrap();
    lookup(&mut two, &[key(1)]).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", server.addr)).unwrap();
    let mut three = Client::new(endpoint.connect_lazy());
    assert!(lookup(&mut three, &[key(1)]).await.is_err());
    lookup(&mut one, &[key(1)]).await.unwrap();
    drop(two);
    let metrics = server.metrics_addr.unwrap();
    until_metric(metrics, "stencil_server_connections_open", |open| open == 1).await;
    lookup(&mut three, &[key(1)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_who_sends_nothing_for_too_long_is_told_so() {
    let limits = Limits { stall: Duration::from_secs(1), ..Limits::default() };
    let server = Running::start(|config| config.limits = limits).await;
    let (sender, answer) = open_publish(server.client().await).await;
    sender.send(chunk(vec![entry_of(1, 10)])).await.unwrap();
    let status = answer.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(server.metric("stencil_server_calls_open").await, 0);
}

/// Resident memory of a process, in bytes.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_little_and_lose_their_streams() {
    const CLIENTS: usize = 64;
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &["--stall-seconds", "3"]);
    let mut client = connect(process.addr).await;
    let numbers = 0..256;
    for at in numbers.clone().step_by(4) {
        let entries = (at..at + 4).map(|it| raw_entry(it, CHUNK_BYTES / 4)).collect();
        publish(&mut client, vec![chunk(entries)]).await.unwrap();
    }
    let keys: Vec<_> = numbers.map(key).collect();
    lookup(&mut client, &keys).await.unwrap();
    let before = resident(&process);
    let mut silent = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = narrow(process.addr).await;
        let stream = client.lookup(lookup_request(&keys)).await.unwrap().into_inner();
        silent.push((client, stream));
    }
    // All are held up, then all are cut.
    let (mut most, mut open) = (0, CLIENTS as u64);
    while open > 0 {
        most = most.max(resident(&process));
        open = metric(process.metrics_addr, "stencil_server_calls_open").await;
    }
    let each = most.saturating_sub(before) / CLIENTS as u64;
    println!("{CLIENTS} clients that do not read: {} KiB each at most", each >> 10);
    let bound = 6 * CHUNK_BYTES as u64;
    assert!(each < bound, "{each} bytes each, {before} bytes before");
    let stalled = metric(process.metrics_addr, "stencil_server_stalled_total").await;
    assert_eq!(stalled, CLIENTS as u64);
    for (_client, mut stream) in silent {
        let ended = async {
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(status) => break Err(status),
                }
            }
        };
        assert!(ended.await.is_err(), "a stream that was cut does not end well");
    }
    assert_eq!(lookup(&mut client, &keys).await.unwrap().len(), 256);
}
