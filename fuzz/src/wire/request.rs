//! A call as bytes: which method, as whom, and what is in its body.

use bytes::Bytes;
use cache_server::auth::Role;
use http_body::{Body, Frame};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::codegen::http::{self, HeaderMap, HeaderValue};

/// DATA frames of a body.
const PIECES_MAX: usize = 100;

/// Whose call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Nobody's.
    None,
    /// Somebody's whom the server does not know.
    Unknown,
    /// Somebody's with this role.
    Of(Role),
}

impl Token {
    /// The tokens that the server knows.
    pub const GOOD: [(&str, Role); 3] =
        [("reader", Role::Read), ("publisher", Role::Publish), ("chief", Role::Admin)];

    fn header(self) -> Option<String> {
        let token = match self {
            Self::None => return None,
            Self::Unknown => "nobody",
            Self::Of(role) => Self::GOOD.iter().find(|(_, it)| *it == role)?.0,
        };
        Some(format!("Bearer {token}"))
    }
}

/// Where the call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Lookup,
    Publish,
    FindMissing,
    GetStats,
    /// There is none of this name.
    Other,
    Health,
    Reflection,
}

impl Method {
    pub const ALL: [Self; 7] = [
        Self::Lookup,
        Self::Publish,
        Self::FindMissing,
        Self::GetStats,
        Self::Other,
        Self::Health,
        Self::Reflection,
    ];

    /// The path of its requests.
    pub fn path(self) -> &'static str {
        match self {
            Self::Lookup => "/stencil.cache.v1.Cache/Lookup",
            Self::Publish => "/stencil.cache.v1.Cache/Publish",
            Self::FindMissing => "/stencil.cache.v1.Cache/FindMissing",
            Self::GetStats => "/stencil.cache.v1.Cache/GetStats",
            Self::Other => "/stencil.cache.v1.Cache/Other",
            Self::Health => "/grpc.health.v1.Health/Check",
            Self::Reflection => "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        }
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its last byte.
    Clean,
    /// With trailers, which no client of ours sends.
    Trailers,
    /// The client resets the stream.
    Reset,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub token: Token,
    /// Whether the header says that messages are compressed by gzip.
    pub says_gzip: bool,
    /// Messages, each behind its five bytes, or what is left of that.
    pub body: Vec<u8>,
    /// Bytes of a DATA frame.
    pub piece_bytes: usize,
    pub ending: Ending,
}

impl Request {
    /// A call that is what it should be but for its body.
    pub fn new(method: Method, token: Token, body: Vec<u8>) -> Self {
        let says_gzip = false;
        Self { method, token, says_gzip, body, piece_bytes: 1 << 14, ending: Ending::Clean }
    }

    /// The request, for a connection to send.
    pub fn http(&self) -> http::Request<tonic::body::Body> {
        // HTTP/2 ends a connection for thousands of frames that are nearly empty.
        let piece_bytes = self.piece_bytes.max(self.body.len() / PIECES_MAX);
        let body = body(&self.body, piece_bytes, self.ending);
        let mut request = http::Request::post(format!("http://a{}", self.method.path()))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(token) = self.token.header() {
            request = request.header("authorization", token);
        }
        if self.says_gzip {
            request = request.header("grpc-encoding", "gzip");
        }
        request.body(body).expect("the parts of a request are well formed")
    }
}

/// A message behind its five bytes.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// A body of these bytes, in pieces of `piece_bytes`.
pub fn body(bytes: &[u8], piece_bytes: usize, ending: Ending) -> tonic::body::Body {
    let pieces = bytes.chunks(piece_bytes.max(1)).map(Bytes::copy_from_slice).collect();
    tonic::body::Body::new(Pieces { pieces, ending: Some(ending) })
}

struct Pieces {
    pieces: VecDeque<Bytes>,
    ending: Option<Ending>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        Poll::Ready(match self.ending.take() {
            None | Some(Ending::Clean) => None,
            Some(Ending::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Ending::Reset) => Some(Err(io::Error::other("gone"))),
        })
    }
}
