//! Arbitrary bytes on either port end a connection and nothing else. Method:
//! real sockets, seeds that can be run again, and a lookup after each.

mod support;

use bytes::Bytes;
use proto::v1::PublishChunk;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::net::SocketAddr;
use std::time::Duration;
use support::http2::{PREFACE, SETTINGS, frame};
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};

/// Sends these bytes, ends its side, and reads until the server ends.
async fn send(addr: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may end first.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    assert!(ended.await.is_ok(), "the server keeps a connection that has ended");
}

async fn check(server: &Running, client: &mut Client) {
    assert_eq!(lookup(client, &[key(1)]).await.unwrap().len(), 1);
    assert_eq!(lookup(&mut server.client().await, &[key(1)]).await.unwrap().len(), 1);
    assert!(server.page("/healthz").await.0.contains("200"));
}

async fn start() -> (Running, Client) {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    publish(&mut client, vec![chunk(vec![entry_of(1, 100)])]).await.unwrap();
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn arbitrary_bytes_end_their_connection_and_no_other() {
    let (server, mut client) = start().await;
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..200 {
        let mut bytes = vec![0; random.random_range(0..4000)];
        random.fill(bytes.as_mut_slice());
        if round % 2 == 0 {
            bytes.splice(0..0, [PREFACE, SETTINGS].concat());
        }
        send(server.addr, &bytes).await;
        send(server.metrics_addr.unwrap(), &bytes).await;
    }
    check(&server, &mut client).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_a_preface_and_every_wrong_frame_is_survived() {
    let (server, mut client) = start().await;
    for len in 0..PREFACE.len() {
        send(server.addr, &PREFACE[..len]).await;
    }
    let start = [PREFACE, SETTINGS].concat();
    for kind in 0..=12 {
        for (flags, stream) in [(0, 0), (0xff, 0), (0, 1), (0xff, 1), (4, u32::MAX), (0x2c, 3)] {
            for payload in [&[][..], &[0; 3], &[0xff; 4], &[0x82; 8], &[7; 300]] {
                send(server.addr, &[&start[..], &frame(kind, flags, stream, payload)].concat())
                    .await;
            }
        }
    }
    // A frame that says it is larger than any may be.
    send(server.addr, &[&start[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat()).await;
    // Half of everything, left open.
    let mut open = Vec::new();
    for len in [1, 10, 24, 30] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&start[..len]).await.unwrap();
        open.push(stream);
    }
    check(&server, &mut client).await;
    // They do not hold up the end, either.
    drop(client);
    server.stop().await;
    drop(open);
}

/// A message of bytes that are what they are.
#[derive(Clone, Default)]
struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: Bytes,
        to: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), tonic::Status> {
        bytes::BufMut::put(to, item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        from: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<Bytes>, tonic::Status> {
        let len = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, len)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_are_an_invalid_argument_or_refused_entries() {
    let (server, mut client) = start().await;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.addr));
    let mut grpc = tonic::client::Grpc::new(endpoint.unwrap().connect().await.unwrap());
    let mut random = StdRng::seed_from_u64(2);
    let valid = prost_bytes(&chunk(vec![entry_of(9, 200)]));
    for round in 0..600 {
        let mut bytes = valid.clone();
        if round % 3 == 0 {
            bytes = vec![0; random.random_range(0..300)];
            random.fill(bytes.as_mut_slice());
        } else {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
        }
        let method = ["Lookup", "Publish", "FindMissing", "GetStats", "Other"][round % 5];
        let path = format!("/stencil.cache.v1.Cache/{method}");
        let path = PathAndQuery::from_maybe_shared(path).unwrap();
        grpc.ready().await.unwrap();
        let request = Request::new(tokio_stream::iter([Bytes::from(bytes)]));
        let code = match grpc.streaming(request, path, Raw).await {
            Err(status) => status.code(),
            Ok(answer) => match answer.into_inner().message().await {
                Err(status) => status.code(),
                Ok(_) => Code::Ok,
            },
        };
        let expected = [Code::Ok, Code::InvalidArgument, Code::Unimplemented];
        assert!(expected.contains(&code), "round {round}, {method}: {code:?}");
    }
    let bad = grpc_code(&mut grpc, Bytes::from_static(&[0xff; 10])).await;
    assert_eq!(bad, Code::InvalidArgument);
    check(&server, &mut client).await;
    assert_eq!(server.metric("stencil_server_calls_open").await, 0);
}

async fn grpc_code(
    grpc: &mut tonic::client::Grpc<tonic::transport::Channel>,
    bytes: Bytes,
) -> Code {
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/stencil.cache.v1.Cache/FindMissing");
    let answer = grpc.unary(Request::new(bytes), path, Raw).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

fn prost_bytes(chunk: &PublishChunk) -> Vec<u8> {
    prost::Message::encode_to_vec(chunk)
}
