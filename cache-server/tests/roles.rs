//! Every call is allowed to exactly those whom the protocol's document names.
//! Method: a table of every call and every kind of caller, each of them a real
//! request; what is denied is counted by call and reason.

mod support;

use cache_server::auth::Role;
use cache_server::config::TokenTable;
use cache_server::config::token_table::{Digest, Expiry};
use proto::v1::cache_client::CacheClient;
use proto::v1::{FindMissingRequest, GetStatsRequest};
use sha2::{Digest as _, Sha256};
use std::time::SystemTime;
use support::certs::{Authority, Pair};
use support::*;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

fn token(text: &str, role: Role) -> TokenTable {
    let sha256 = Digest(Sha256::digest(text).into());
    TokenTable { name: format!("the-{text}"), role, sha256, projects: None, expires: None }
}

fn tokens() -> Vec<TokenTable> {
    let projects = Some(vec!["elsewhere".to_owned()]);
    let ended = Some(Expiry(SystemTime::UNIX_EPOCH));
    vec![
        token("read", Role::Read),
        token("publish", Role::Publish),
        token("admin", Role::Admin),
        TokenTable { expires: ended, ..token("expired", Role::Admin) },
        TokenTable { projects, ..token("elsewhere", Role::Admin) },
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Lookup,
    FindMissing,
    GetStats,
    Publish,
    Replace,
}

fn with_token<T>(token: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

async fn call(client: &mut Client, what: What, token: Option<&str>) -> Result<(), Status> {
    let keys = lookup_request(&[key(1)]).keys;
    let namespace = Some(namespace().to_message());
    match what {
        What::Lookup => {
            let request = with_token(token, lookup_request(&[key(1)]));
            client.lookup(request).await?.into_inner().message().await.map(drop)
        }
        What::FindMissing => {
            let request = with_token(token, FindMissingRequest { namespace, keys });
            client.find_missing(request).await.map(drop)
        }
        What::GetStats => client.get_stats(with_token(token, GetStatsRequest {})).await.map(drop),
        What::Publish | What::Replace => {
            let mut chunk = chunk(vec![entry_of(1, 10)]);
            chunk.replace = what == What::Replace;
            let request = with_token(token, tokio_stream::iter([chunk]));
            client.publish(request).await.map(drop)
        }
    }
}

#[tokio::test]
async fn every_call_is_allowed_to_whom_the_document_says() {
    use Code::{Ok as Fine, PermissionDenied as Denied, Unauthenticated as Unknown};
    use What::*;
    let server = Running::start(|config| config.tokens = tokens()).await;
    let mut client = server.client().await;
    #[rustfmt::skip]
    let table = [
        // token              Lookup   FindMissing GetStats Publish  Replace
        (None,               [Unknown, Unknown,    Unknown, Unknown, Unknown]),
        (Some("read"),       [Fine,    Fine,       Fine,    Denied,  Denied ]),
        (Some("publish"),    [Fine,    Fine,       Fine,    Fine,    Denied ]),
        (Some("admin"),      [Fine,    Fine,       Fine,    Fine,    Fine   ]),
        (Some("wrong"),      [Unknown, Unknown,    Unknown, Unknown, Unknown]),
        (Some("expired"),    [Unknown, Unknown,    Unknown, Unknown, Unknown]),
        // Its own project is not the one of the calls; stats are nobody's.
        (Some("elsewhere"),  [Denied,  Denied,     Fine,    Denied,  Denied ]),
    ];
    for (token, expected) in table {
        for (what, expected) in
            [Lookup, FindMissing, GetStats, Publish, Replace].into_iter().zip(expected)
        {
            let got = call(&mut client, what, token).await;
            let code = got.as_ref().map_or_else(Status::code, |()| Fine);
            assert_eq!(code, expected, "{what:?} with {token:?}: {got:?}");
        }
    }
    for (rpc, reason, count) in [
        ("Lookup", "no-token", 1),
        ("Publish", "no-token", 2),
        ("Publish", "unknown-token", 2),
        ("GetStats", "expired-token", 1),
        ("Publish", "role", 2),
        ("Publish", "replace", 1),
        ("Lookup", "project", 1),
        ("Publish", "project", 2),
    ] {
        let name = format!("stencil_server_denied_total{{rpc=\"{rpc}\",reason=\"{reason}\"}}");
        assert_eq!(server.metric(&name).await, count, "{name}");
    }
    let request = with_token(Some("read"), GetStatsRequest {});
    let stats = client.get_stats(request).await.unwrap().into_inner();
    assert_eq!((stats.denied, stats.role.as_str()), (22, "read"));
}

#[tokio::test]
async fn without_tokens_everybody_may_publish_and_nobody_may_replace() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    for token in [None, Some("anything")] {
        for what in [What::Lookup, What::FindMissing, What::GetStats, What::Publish] {
            call(&mut client, what, token).await.unwrap();
        }
        let refused = call(&mut client, What::Replace, token).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn only_admin_replaces_and_then_the_new_bytes_are_served() {
    let server = Running::start(|config| config.tokens = tokens()).await;
    let mut client = server.client().await;
    let mut put = async |code: Vec<u8>, token: &str, replace: bool| {
        let entry = new_entry(&key(1), &sealed(&key(1), code));
        let mut chunk = chunk(vec![entry]);
        chunk.replace = replace;
        let request = with_token(Some(token), tokio_stream::iter([chunk]));
        client.publish(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(put(vec![1; 50], "publish", false).await.unwrap().stored, 1);
    assert_eq!(put(vec![2; 50], "admin", false).await.unwrap().conflicts, 1);
    assert!(put(vec![2; 50], "publish", true).await.is_err());
    let summary = put(vec![2; 50], "admin", true).await.unwrap();
    assert_eq!((summary.stored, summary.conflicts), (1, 0));
    assert_eq!(put(vec![2; 50], "publish", false).await.unwrap().already_there, 1);
}

async fn tls_client(server: &Running, tls: ClientTlsConfig) -> Result<Client, String> {
    let endpoint = Endpoint::from_shared(format!("https://{}", server.addr)).unwrap();
    let endpoint = endpoint.tls_config(tls).unwrap();
    endpoint.connect().await.map(CacheClient::new).map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn a_server_with_client_authorities_talks_only_to_their_clients() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let files = ours.files(dir.path(), true);
    let server = Running::start(|config| {
        config.tls = Some(files);
        config.tokens = tokens();
    })
    .await;
    let whats = [What::Lookup, What::FindMissing, What::GetStats, What::Publish];
    let mut client = tls_client(&server, ours.client_config(Some(&ours.client()))).await.unwrap();
    for what in whats {
        call(&mut client, what, Some("publish")).await.unwrap();
        let refused = call(&mut client, what, None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "a certificate is no token");
    }
    let refused: [(&str, Option<Pair>); 3] = [
        ("no certificate", None),
        ("an expired certificate", Some(ours.expired_client())),
        ("a foreign certificate", Some(foreign.client())),
    ];
    for (name, pair) in refused {
        for what in whats {
            // With TLS 1.3 a client hears of it with its first call.
            let connected = tls_client(&server, ours.client_config(pair.as_ref())).await;
            if let Ok(mut client) = connected {
                let refused = call(&mut client, what, Some("publish")).await;
                assert!(refused.is_err(), "{what:?} with {name}");
            }
        }
    }
    assert_eq!(server.metric("stencil_server_calls_open").await, 0);
    call(&mut client, What::Lookup, Some("read")).await.unwrap();
}

#[tokio::test]
async fn with_tls_a_client_without_it_or_of_another_authority_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let files = ours.files(dir.path(), false);
    let server = Running::start(|config| config.tls = Some(files)).await;
    let mut client = tls_client(&server, ours.client_config(None)).await.unwrap();
    call(&mut client, What::Publish, None).await.unwrap();
    assert!(tls_client(&server, foreign.client_config(None)).await.is_err());
    let endpoint = Endpoint::from_shared(format!("http://{}", server.addr)).unwrap();
    if let Ok(channel) = endpoint.connect().await {
        assert!(call(&mut CacheClient::new(channel), What::Lookup, None).await.is_err());
    }
    call(&mut client, What::Lookup, None).await.unwrap();
}
