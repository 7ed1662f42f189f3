//! HTTP/2 by hand, for clients that no library would be.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Kinds of frames, and flags.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame: its length, type, flags, stream, and payload.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The start of a connection whose client lets each stream have `window` bytes.
pub fn start(window: u32) -> Vec<u8> {
    let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
    [PREFACE, &frame(4, 0, 0, &setting)].concat()
}

/// The start of a gRPC call.
pub fn call(stream: u32, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        // A literal, not indexed, not compressed.
        block.extend_from_slice(&[0, name.len() as u8]);
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A gRPC message that says it has `len` bytes.
pub fn message(len: usize, bytes: &[u8]) -> Vec<u8> {
    [&[0][..], &(len as u32).to_be_bytes(), bytes].concat()
}
