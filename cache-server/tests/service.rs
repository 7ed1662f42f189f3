//! What is published is found again, and what is not sound is refused with its
//! reason. Method: a real server in this process, a real client.

mod support;

use bytes::Bytes;
use proto::v1::{
    Coding, FindMissingRequest, GetStatsRequest, NewEntry, PublishChunk, RefusedReason,
};
use support::*;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_found_by_everyone() {
    let server = Running::start(|_| {}).await;
    let mut one = server.client().await;
    let entries: Vec<_> = (0..500).map(|number| entry_of(number, 4000)).collect();
    let (first, second) = entries.split_at(100);
    let chunks = vec![
        chunk(first.to_vec()),
        PublishChunk { namespace: None, entries: second.to_vec(), replace: false },
    ];
    let summary = publish(&mut one, chunks).await.unwrap();
    assert_eq!((summary.stored, summary.already_there, summary.conflicts), (500, 0, 0));
    let bytes: u64 = entries.iter().map(|entry| u64::from(entry.entry_bytes)).sum();
    assert_eq!(summary.stored_bytes, bytes);

    let mut two = server.client().await;
    let keys: Vec<_> = (0..600).map(key).collect();
    let found = lookup(&mut two, &keys).await.unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    assert_eq!(found[&17], sealed(&key(17), code(17, 4000)));

    let request = FindMissingRequest {
        namespace: Some(namespace().to_message()),
        keys: proto::keys::encode(keys[498..502].iter()),
    };
    let missing = two.find_missing(request).await.unwrap().into_inner();
    assert_eq!(missing.indexes, [2, 3]);

    let again = publish(&mut two, vec![chunk(entries[..3].to_vec())]).await.unwrap();
    assert_eq!((again.stored, again.already_there, again.conflicts), (0, 3, 0));

    let stats = two.get_stats(GetStatsRequest {}).await.unwrap().into_inner();
    assert_eq!((stats.entries, stats.entry_bytes), (500, bytes));
    assert_eq!((stats.lookups, stats.keys, stats.hits), (1, 600, 500));
    assert_eq!((stats.published, stats.role.as_str()), (500, "publish"));
    assert_eq!(stats.namespaces.len(), 1);
    assert_eq!(server.metric("stencil_server_published_total").await, 500);
    assert_eq!(server.metric("stencil_server_keys_total").await, 600);
    assert_eq!(server.metric("stencil_server_storage_entries ").await, 500);
    server.stop().await;
}

#[tokio::test]
async fn another_namespace_is_another_place() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    publish(&mut client, vec![chunk(vec![entry_of(1, 100)])]).await.unwrap();
    assert_eq!(lookup(&mut client, &[key(1)]).await.unwrap().len(), 1);
    let mut request = lookup_request(&[key(1)]);
    request.namespace.as_mut().unwrap().project = "other".into();
    let mut stream = client.lookup(request).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_not_sound_is_refused_by_reason_and_the_rest_is_stored() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let sound = sealed(&key(1), code(1, 1000));
    let raw = |key: u64, entry: Vec<u8>| NewEntry {
        key: Bytes::copy_from_slice(support::key(key).as_bytes()),
        coding: Coding::Raw.into(),
        entry_bytes: entry.len() as u32,
        data: entry.into(),
    };
    let changed = |at: usize, to: u8| {
        let mut bytes = sound.to_vec();
        bytes[at] ^= to;
        raw(1, bytes)
    };
    let entries = vec![
        entry_of(5, 300),
        changed(500, 1),
        raw(1, sound[..900].to_vec()),
        raw(1, b"not an entry".to_vec()),
        NewEntry { entry_bytes: 7, ..raw(1, sound.to_vec()) },
        NewEntry { coding: Coding::Zstd.into(), ..raw(1, sound.to_vec()) },
        raw(2, sound.to_vec()),
        raw(3, sound.to_vec()),
        changed(4, 0x7f),
        NewEntry { coding: 9, ..raw(1, sound.to_vec()) },
        NewEntry { coding: 0, ..raw(1, sound.to_vec()) },
        NewEntry { entry_bytes: u32::MAX, ..raw(1, sound.to_vec()) },
        entry_of(6, 300),
    ];
    let summary = publish(&mut client, vec![chunk(entries)]).await.unwrap();
    assert_eq!(summary.stored, 2);
    let refused: Vec<_> = summary.refused.iter().map(|it| (it.reason(), it.count)).collect();
    let expected = [
        (RefusedReason::Damaged, 5),
        (RefusedReason::WrongKey, 2),
        (RefusedReason::Format, 3),
        (RefusedReason::TooLarge, 1),
    ];
    assert_eq!(refused, expected);
    let found = lookup(&mut client, &[key(1), key(2), key(3), key(5), key(6)]).await.unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [3, 4]);
    for (reason, count) in [("damaged", 5), ("wrong-key", 2), ("format", 3), ("too-large", 1)] {
        let name = format!("stencil_server_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(server.metric(&name).await, count, "{reason}");
    }
}

#[tokio::test]
async fn a_malformed_request_is_told_which_field_is_wrong() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let mut refused = async |chunks: Vec<PublishChunk>| {
        let status = publish(&mut client, chunks).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        status.message().to_owned()
    };
    let no_namespace = PublishChunk { namespace: None, ..chunk(vec![entry_of(1, 10)]) };
    assert!(refused(vec![no_namespace]).await.contains("namespace is missing"));
    let short = NewEntry { key: Bytes::from_static(b"short"), ..entry_of(1, 10) };
    assert!(refused(vec![chunk(vec![short])]).await.contains("entries.key has 5 bytes"));
    let mut other = chunk(vec![entry_of(2, 10)]);
    other.namespace.as_mut().unwrap().project = "other".into();
    let text = refused(vec![chunk(vec![entry_of(1, 10)]), other]).await;
    assert!(text.contains("namespace differs"), "{text}");
    let late = PublishChunk { replace: true, ..chunk(vec![]) };
    let text = refused(vec![chunk(vec![entry_of(1, 10)]), late]).await;
    assert!(text.contains("first chunk"), "{text}");

    let mut request = lookup_request(&[key(1)]);
    request.keys = request.keys.slice(1..);
    let status = client.lookup(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("keys has 31 bytes"), "{status}");
    assert_eq!(publish(&mut client, vec![]).await.unwrap(), Default::default());
}

#[tokio::test]
async fn health_and_reflection_and_the_second_port_answer() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let mut server = Running::start(|_| {}).await;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.addr));
    let channel = endpoint.unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    let service = "stencil.cache.v1.Cache".to_owned();
    let request = HealthCheckRequest { service };
    let answer = health.check(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.status().as_str_name(), "SERVING");
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status().as_str_name(), "SERVING");

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(
            "stencil.cache.v1.Cache".into(),
        )),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut stream = reflection
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = stream.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");

    assert_eq!(server.page("/healthz").await, ("HTTP/1.1 200 OK".into(), "serving\n".into()));
    assert!(server.page("/metrics").await.1.ends_with("# EOF\n"));
    assert!(server.page("/other").await.0.contains("404"));
    // The watch is told, and does not hold the server up.
    server.begin_stop();
    let told = watch.message().await;
    assert!(
        matches!(&told, Ok(Some(last)) if last.status().as_str_name() == "NOT_SERVING")
            || told.is_err(),
        "{told:?}"
    );
    server.stop().await;
}
