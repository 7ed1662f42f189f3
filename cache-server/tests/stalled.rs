//! Who does not read, or does not finish what it sends, holds nothing for long.
//! Method: HTTP/2 by hand against a server in this process with a short stall
//! limit; what the server does is waited for, never slept for.

mod support;

use cache_server::config::Limits;
use proto::v1::FindMissingRequest;
use std::collections::BTreeSet;
use std::time::Duration;
use support::http2::{DATA, END_STREAM, HEADERS, RESET, call, frame, message, start};
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_a_short_answer_loses_its_turn() {
    let limits = Limits {
        lookups_max: 1,
        publishes_max: 1,
        wait: LONG,
        stall: Duration::from_secs(1),
        ..Limits::default()
    };
    let server = Running::start(|config| config.limits = limits).await;
    let metrics = server.metrics_addr.unwrap();
    let mut client = server.client().await;
    publish(&mut client, vec![chunk(vec![entry_of(1, 1000)])]).await.unwrap();
    let lookup_keys = prost::Message::encode_to_vec(&lookup_request(&[key(1)]));
    let missing = prost::Message::encode_to_vec(&FindMissingRequest {
        namespace: Some(namespace().to_message()),
        keys: proto::keys::encode([key(2)].iter()),
    });
    let entries = prost::Message::encode_to_vec(&chunk(vec![entry_of(3, 10)]));
    let calls = [
        ("Lookup", &lookup_keys[..]),
        ("FindMissing", &missing),
        ("GetStats", &[]),
        ("Publish", &entries),
    ];
    let mut stalled = 0;
    for (method, request) in calls {
        // Nothing is taken; or one byte, so that HTTP/2 holds the rest.
        for window in [0, 1] {
            let mut silent = TcpStream::connect(server.addr).await.unwrap();
            let path = format!("/stencil.cache.v1.Cache/{method}");
            let data = frame(DATA, END_STREAM, 1, &message(request.len(), request));
            let bytes = [start(window), call(1, &path), data].concat();
            silent.write_all(&bytes).await.unwrap();
            until_metric(metrics, "stencil_server_calls_open", |open| open == 1).await;
            // Another client waits for the turn and gets it.
            if method == "Publish" {
                publish(&mut client, vec![chunk(vec![entry_of(4, 10)])]).await.unwrap();
            } else {
                assert_eq!(lookup(&mut client, &[key(1)]).await.unwrap().len(), 1);
            }
            stalled += 1;
            let counted = server.metric("stencil_server_stalled_total").await;
            assert_eq!(counted, stalled, "{method}, {window}");
            let mut rest = Vec::new();
            let ended = tokio::time::timeout(LONG, silent.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "the connection is cut");
        }
    }
    assert_eq!(server.metric("stencil_server_calls_open").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_messages_to_reflection_are_refused_or_end() {
    const STREAMS: u32 = 48;
    let limits = Limits {
        waiting_max: 0,
        wait: Duration::ZERO,
        stall: Duration::from_secs(1),
        ..Limits::default()
    };
    let server = Running::start(|config| config.limits = limits).await;
    let mut peer = TcpStream::connect(server.addr).await.unwrap();
    let mut bytes = start(65_535);
    for stream in (1..).step_by(2).take(STREAMS as usize) {
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        bytes.extend(call(stream, path));
        bytes.extend(frame(DATA, 0, stream, &message(4000, &[0; 1000])));
    }
    peer.write_all(&bytes).await.unwrap();
    let mut ended = BTreeSet::new();
    let reading = async {
        while ended.len() < STREAMS as usize {
            let mut head = [0; 9];
            peer.read_exact(&mut head).await.unwrap();
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            peer.read_exact(&mut payload).await.unwrap();
            if kind == RESET || (kind == HEADERS && flags & END_STREAM != 0) {
                ended.insert(u32::from_be_bytes(stream));
            }
        }
    };
    assert!(tokio::time::timeout(LONG, reading).await.is_ok(), "{} ended", ended.len());
    let refused = server.metric("stencil_server_busy_total").await;
    assert_eq!(refused, u64::from(STREAMS - 16), "those beyond the limit are refused");

    // Others are answered while the peer's connection is open, and large requests are not.
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.addr));
    let mut health = HealthClient::new(endpoint.unwrap().connect().await.unwrap());
    health.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    let large = HealthCheckRequest { service: "a".repeat(5000) };
    let status = health.check(large).await.unwrap_err();
    assert!([Code::OutOfRange, Code::InvalidArgument].contains(&status.code()), "{status}");
    // A watch is told the state at once, and that its time is over.
    let watch = health.watch(HealthCheckRequest { service: String::new() }).await;
    let mut watch = watch.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let status = watch.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}
