//! A call -> its answer, read by the decoder that clients use, and compared with
//! the one that it is to have.

use super::host::Running;
use super::model::{Expected, Model, Stored};
use super::request::{Ending, Method, Request, Token, framed};
use super::tally::Tally;
use cache_server::auth::Role;
use prost::Message;
use proto::Coded;
use proto::codec::MessageCodec;
use proto::coding::Decoder;
use proto::v1::{FindMissingReply, FoundEntry, LookupChunk, LookupRequest, PublishSummary, Stats};
use std::collections::BTreeMap;
use std::future::poll_fn;
use stencil::{CacheKey, entry};
use tonic::codec::{Codec as _, Streaming};
use tonic::codegen::Service;
use tonic::{Code, Status};

/// An answer's messages and how it ended.
struct Answer<T> {
    messages: Vec<T>,
    status: Status,
}

/// Makes a call and compares.
///
/// # Panics
///
/// If the answer is another than the protocol's.
pub async fn call(server: &mut Running, model: &mut Model, request: &Request, tally: &mut Tally) {
    let expected = model.expect(request);
    let status = match (request.method, &expected) {
        (_, Expected::Anything) => return anything(server, request).await,
        (Method::Lookup, Expected::Found(keys, found)) => {
            let answer = answer::<LookupChunk>(server, request).await;
            let entries = answer.messages.into_iter().flat_map(|chunk| chunk.entries).collect();
            tally.found += check_found(keys, found.as_ref(), entries);
            answer.status
        }
        (Method::Publish, Expected::Summary(summary)) => {
            let answer = answer::<PublishSummary>(server, request).await;
            assert_eq!(answer.messages, std::slice::from_ref(summary), "{:?}", answer.status);
            tally.publish(summary);
            answer.status
        }
        (Method::Publish, Expected::SummaryOf(count)) => {
            let answer = answer::<PublishSummary>(server, request).await;
            let sum = |summary: &PublishSummary| {
                let refused: u64 = summary.refused.iter().map(|it| it.count).sum();
                summary.stored + summary.already_there + summary.conflicts + refused
            };
            let counts: Vec<u64> = answer.messages.iter().map(sum).collect();
            assert_eq!(counts, [*count], "{:?}", answer.status);
            answer.status
        }
        (Method::FindMissing, Expected::Missing(keys, missing)) => {
            let answer = answer::<FindMissingReply>(server, request).await;
            let [FindMissingReply { indexes }] = answer.messages.as_slice() else {
                panic!("{} answers, {:?}", answer.messages.len(), answer.status);
            };
            assert!(indexes.is_sorted() && indexes.iter().all(|index| (*index as usize) < *keys));
            if let Some(missing) = missing {
                assert_eq!(indexes, missing);
            }
            tally.missing += indexes.len() as u64;
            answer.status
        }
        (Method::GetStats, Expected::Stats(role)) => {
            let answer = answer::<Stats>(server, request).await;
            let [stats] = answer.messages.as_slice() else { panic!("{:?}", answer.status) };
            assert_eq!(stats.role, role.name());
            assert_eq!((stats.quarantined, stats.evicted), (0, 0), "nothing was damaged");
            answer.status
        }
        (_, Expected::Refused(code)) => {
            let answer = answer::<LookupChunk>(server, request).await;
            let got = (answer.messages.len(), answer.status.code());
            assert_eq!(got, (0, *code), "{:?}", answer.status);
            tally.refused(request.method, *code);
            return;
        }
        (method, expected) => unreachable!("{method:?} has no {expected:?}"),
    };
    assert_eq!(status.code(), Code::Ok, "{status:?}");
    tally.answered(request.method);
}

/// An answer that nothing is known of but that it ends, and not with a failure
/// of the server's own.
async fn anything(server: &mut Running, request: &Request) {
    let answer = send(server, request).await;
    match (answer, request.ending) {
        // The connection serves others: it must not end with the stream.
        (Err(_), Ending::Reset) => {}
        (Err(error), _) => panic!("no answer: {error:?}"),
        (Ok(response), _) => {
            let answer = read::<LookupChunk>(response).await;
            let bug = answer.status.message().contains("bug in the server");
            assert!(!bug, "{:?}", answer.status);
        }
    }
}

type Response = tonic::codegen::http::Response<tonic::body::Body>;

async fn send(
    server: &mut Running,
    request: &Request,
) -> Result<Response, tonic::transport::Error> {
    let channel = &mut server.channel;
    poll_fn(|cx| channel.poll_ready(cx)).await?;
    channel.call(request.http()).await
}

async fn answer<T: Message + Default + 'static>(
    server: &mut Running,
    request: &Request,
) -> Answer<T> {
    match send(server, request).await {
        Ok(response) => read(response).await,
        Err(error) => panic!("no answer: {error:?}"),
    }
}

async fn read<T: Message + Default + 'static>(response: Response) -> Answer<T> {
    assert_eq!(response.status(), 200, "gRPC says what failed in its own status");
    if let Some(status) = Status::from_header_map(response.headers()) {
        return Answer { messages: Vec::new(), status };
    }
    let http_status = response.status();
    let decoder = MessageCodec::<(), T>::default().decoder();
    let mut stream =
        Streaming::new_response(decoder, response.into_body(), http_status, None, Some(32 << 20));
    let mut messages = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => break Answer { messages, status: Status::ok("") },
            Err(status) => break Answer { messages, status },
        }
    }
}

/// How many entries were found, all of them the right ones.
fn check_found(
    keys: &[CacheKey],
    expected: Option<&BTreeMap<u32, Stored>>,
    entries: Vec<FoundEntry>,
) -> u64 {
    let (mut seen, mut decoder) = (BTreeMap::new(), Decoder::new());
    for FoundEntry { index, coding, entry_bytes, data } in entries {
        let key = keys.get(index as usize).expect("the index of a key that was asked for");
        let coded = Coded::from_message(coding, entry_bytes, data).expect("a sound message");
        let bytes = decoder.decode(&coded).expect("a sound entry");
        entry::verify(key, &bytes).expect("the key's entry");
        if let Some(expected) = expected {
            let Stored { new, entry } = expected.get(&index).expect("a key that was published");
            let stored = (new.coding, new.entry_bytes, &new.data);
            assert_eq!((coding, entry_bytes, &coded.data), stored, "{key}");
            assert_eq!(bytes, *entry, "{key}");
        }
        assert!(seen.insert(index, ()).is_none(), "an entry came twice");
    }
    if let Some(expected) = expected {
        assert_eq!(seen.len(), expected.len(), "what was published is found");
    }
    seen.len() as u64
}

/// Asks for all that was offered, as somebody who may only read: what was stored
/// is there, and nothing else is.
///
/// # Panics
///
/// As [`call`].
pub async fn find_all(server: &mut Running, model: &mut Model, tally: &mut Tally) {
    let (namespaces, keys) = model.all();
    let keys = proto::keys::encode(keys.iter());
    for namespace in namespaces {
        let lookup = LookupRequest { namespace: Some(namespace), keys: keys.clone() };
        let body = framed(&lookup.encode_to_vec());
        let request = Request::new(Method::Lookup, Token::Of(Role::Read), body);
        call(server, model, &request, tally).await;
    }
}
