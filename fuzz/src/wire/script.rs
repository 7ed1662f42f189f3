//! A fuzzer's input -> the calls to make, or bytes for another way in.
//!
//! The first byte says which of the ways below the rest of the input goes. In
//! calls of raw bytes, [`PLACEHOLDER`] stands for the project that this
//! execution alone has.

use super::offer::{KEYS, byte, key, offer, pick, word};
use super::request::{Ending, Method, Request, Token, framed};
use arbitrary::Unstructured;
use bytes::Bytes;
use cache_server::auth::Role;
use prost::Message as _;
use proto::limits::MESSAGE_BYTES_MAX;
use proto::v1::{FindMissingRequest, GetStatsRequest, LookupRequest, Namespace, PublishChunk};

/// What the project of the execution is called in raw bytes. A project's name
/// has as many characters.
pub const PLACEHOLDER: &[u8; 16] = b"namespace-of-run";
const CALLS_MAX: usize = 8;

/// What is in an input.
pub enum Script {
    /// Calls, one after the other.
    Calls(Vec<Request>),
    /// Bytes for a connection of their own, to the service or to the second port.
    Socket { is_metrics: bool, bytes: Vec<u8> },
}

/// The project that an execution alone has.
pub fn project(execution: u64) -> String {
    format!("w{execution:015x}")
}

/// Whether the server is to be one with a memory tier.
pub fn is_hot(input: &[u8]) -> bool {
    byte_at(input, 0) & 4 != 0
}

/// What to do.
pub fn script(input: &[u8], execution: u64) -> Script {
    let (way, rest) = input.split_first().unwrap_or((&0, &[]));
    match way & 3 {
        0 => Script::Calls(raw(rest, execution)),
        1 if way & 8 != 0 => Script::Socket { is_metrics: way & 16 != 0, bytes: rest.to_vec() },
        _ => Script::Calls(calls(&mut Unstructured::new(rest), execution)),
    }
}

/// One call with the input as its message or as its whole body, made twice, so
/// that the second meets what the first has left.
fn raw(input: &[u8], execution: u64) -> Vec<Request> {
    let (head, rest) = input.split_at(input.len().min(2));
    let (call, shape) = (byte_at(head, 0), byte_at(head, 1));
    let mut bytes = rest.to_vec();
    let own = project(execution);
    for at in 0..(bytes.len() + 1).saturating_sub(PLACEHOLDER.len()) {
        let place = &mut bytes[at..at + PLACEHOLDER.len()];
        if place == PLACEHOLDER {
            place.copy_from_slice(own.as_bytes());
        }
    }
    let body = if shape & 1 == 0 { framed(&bytes) } else { bytes };
    let token = tokens()[usize::from(call >> 3) % tokens().len()];
    let mut request = Request::new(method(usize::from(call & 7)), token, body);
    request.says_gzip = shape & 0xf0 == 0xf0;
    request.piece_bytes = [1 << 14, 1, 5, 100][usize::from(shape >> 1 & 3)];
    request.ending = if shape & 8 == 0 { Ending::Clean } else { Ending::Trailers };
    vec![request.clone(), request]
}

fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn method(number: usize) -> Method {
    Method::ALL[number % Method::ALL.len()]
}

/// The one that may do most comes first: what has no choice left is to work.
fn tokens() -> [Token; 8] {
    let [publish, admin] = [Role::Publish, Role::Admin].map(Token::Of);
    [publish, publish, publish, publish, admin, Token::Of(Role::Read), Token::None, Token::Unknown]
}

fn calls(input: &mut Unstructured<'_>, execution: u64) -> Vec<Request> {
    let mut calls = Vec::new();
    while calls.len() < CALLS_MAX && !input.is_empty() {
        calls.push(call(input, execution));
    }
    calls
}

fn call(input: &mut Unstructured<'_>, execution: u64) -> Request {
    let number = pick(input, 16);
    let method = match number {
        0..=6 => Method::Publish,
        7..=10 => Method::Lookup,
        11 | 12 => Method::FindMissing,
        13 => Method::GetStats,
        _ => self::method(byte(input).into()),
    };
    let token = tokens()[pick(input, tokens().len())];
    let mut namespace = namespace(input, execution);
    let ending = match pick(input, 16) {
        1 => Ending::Trailers,
        // What the server had received by then may be stored at any time.
        2 => {
            let project = format!("gone-{}", project(execution));
            namespace = namespace.map(|namespace| Namespace { project, ..namespace });
            Ending::Reset
        }
        _ => Ending::Clean,
    };
    let messages = match method {
        Method::Publish => publish(input, namespace),
        Method::Lookup => vec![LookupRequest { namespace, keys: keys(input) }.encode_to_vec()],
        Method::FindMissing => {
            vec![FindMissingRequest { namespace, keys: keys(input) }.encode_to_vec()]
        }
        _ => vec![GetStatsRequest {}.encode_to_vec()],
    };
    let mut body = Vec::new();
    for message in messages {
        body.extend(frame(input, message));
    }
    let mut request = Request::new(method, token, body);
    request.ending = ending;
    request.says_gzip = pick(input, 64) == 1;
    request.piece_bytes = [1 << 14, 1 << 14, 7, 100][pick(input, 4)];
    request
}

fn namespace(input: &mut Unstructured<'_>, execution: u64) -> Option<Namespace> {
    let own = project(execution);
    let fingerprint = Bytes::from_static(&[0x11; 32]);
    let choice = pick(input, 24);
    let project = match choice {
        1 | 2 => format!("{own}-2"),
        3 => String::from_utf8_lossy(&[byte(input), byte(input)]).into_owned(),
        4 => return None,
        _ => own,
    };
    let fingerprint = match choice {
        5 => Bytes::from(vec![0x11; pick(input, 40)]),
        6 => Bytes::from_static(&[0x22; 32]),
        _ => fingerprint,
    };
    Some(Namespace { project, fingerprint })
}

fn keys(input: &mut Unstructured<'_>) -> Bytes {
    let mut keys = Vec::new();
    for _ in 0..pick(input, 9) {
        // One of the pool, or one that nobody has.
        keys.extend_from_slice(key(pick(input, KEYS + 2)).as_bytes());
    }
    if pick(input, 16) == 1 {
        keys.truncate(word(input) % (keys.len() + 1));
    }
    keys.into()
}

fn publish(input: &mut Unstructured<'_>, namespace: Option<Namespace>) -> Vec<Vec<u8>> {
    let replace = pick(input, 6) == 1;
    let mut chunks = Vec::new();
    for index in 0..=pick(input, 3) {
        // Limits are met in the server's own tests: 65,536 entries, even empty ones,
        // are most of an execution's time.
        let entries = (0..pick(input, 5)).map(|_| offer(input)).collect();
        let namespace = match pick(input, 12) {
            1 => self::namespace(input, 0),
            2..=6 if index > 0 => None,
            _ => namespace.clone(),
        };
        // In a later chunk it is allowed only if the first has said it.
        let replace = replace && (index == 0 || pick(input, 2) == 0) || pick(input, 32) == 1;
        chunks.push(PublishChunk { namespace, entries, replace }.encode_to_vec());
    }
    chunks
}

/// The message behind its five bytes; now and then with some bytes changed, or
/// with five that are wrong.
fn frame(input: &mut Unstructured<'_>, mut message: Vec<u8>) -> Vec<u8> {
    if pick(input, 6) == 1 && !message.is_empty() {
        for _ in 0..=pick(input, 3) {
            let at = word(input) % message.len();
            message[at] ^= byte(input);
        }
    }
    let mut frame = framed(&message);
    let len = message.len() as u32;
    let wrong_len = match pick(input, 40) {
        1 => len + 1,
        2 => len.wrapping_sub(1),
        3 => MESSAGE_BYTES_MAX as u32 + 1,
        4 => MESSAGE_BYTES_MAX as u32,
        5 => input.arbitrary().unwrap_or(len),
        6 => {
            frame[0] = byte(input);
            len
        }
        7 => {
            frame.truncate(word(input) % (frame.len() + 1));
            return frame;
        }
        _ => len,
    };
    frame[1..5].copy_from_slice(&wrong_len.to_be_bytes());
    frame
}
