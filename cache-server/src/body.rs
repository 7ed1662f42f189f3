//! Bodies of requests and answers -> bodies that are limited, that tell how they
//! ended, or that end when the server stops.

use crate::service::status;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// A body that fails when it has more bytes than it may.
#[derive(Debug)]
pub struct Limited {
    inner: Body,
    limit: usize,
    left: usize,
}

impl Limited {
    /// `inner`, at most `limit` bytes of it.
    pub fn new(inner: Body, limit: usize) -> Self {
        Self { inner, limit, left: limit }
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(status::request_too_large(self.limit)))),
        }
        Poll::Ready(frame)
    }
}

/// What is held for an answer: until its body and all of its bytes are dropped.
pub trait Held: Send + Sync + 'static {
    /// The next step is the client's: to take what it was given.
    fn given(&self);
    /// The client has taken a part; others may be left.
    fn taken(&self);
    /// The client has room for more and waits.
    fn waited_for(&self);
}

/// Bytes of an answer, which hold what is held for it until they are sent.
struct Part<H: Held> {
    bytes: Bytes,
    held: Arc<H>,
}

impl<H: Held> AsRef<[u8]> for Part<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<H: Held> Drop for Part<H> {
    fn drop(&mut self) {
        self.held.taken();
    }
}

/// A body that tells once how it ended: with a status, or dropped before that.
pub struct Tracked<H: Held, F: FnOnce(Code)> {
    inner: Body,
    code: Code,
    held: Arc<H>,
    end: Option<F>,
}

impl<H: Held, F: FnOnce(Code)> Tracked<H, F> {
    /// `inner`, whose headers have said `code` already, or nothing; it holds `held`.
    pub fn new(inner: Body, code: Option<Code>, held: Arc<H>, end: F) -> Self {
        Self { inner, code: code.unwrap_or(Code::Cancelled), held, end: Some(end) }
    }
}

impl<H: Held, F: FnOnce(Code)> Drop for Tracked<H, F> {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end(self.code);
        }
    }
}

impl<H: Held, F: FnOnce(Code) + Unpin> HttpBody for Tracked<H, F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let Poll::Ready(frame) = polled else {
            self.held.waited_for();
            return Poll::Pending;
        };
        self.held.given();
        if let Some(Ok(frame)) = &frame
            && let Some(status) = frame.trailers_ref().and_then(Status::from_header_map)
        {
            self.code = status.code();
        }
        let held = &self.held;
        Poll::Ready(frame.map(|frame| {
            let hold = |bytes| Bytes::from_owner(Part { bytes, held: Arc::clone(held) });
            frame.map(|frame| frame.map_data(hold))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that ends with a status when the server stops, or when its time is over.
pub struct Ending<H> {
    inner: Body,
    end: Pin<Box<dyn Future<Output = Status> + Send>>,
    ended: bool,
    _held: Arc<H>,
}

impl<H> Ending<H> {
    /// `inner`, until `stopping` is true or `until` is over; it holds `held`.
    pub fn new(
        inner: Body,
        mut stopping: watch::Receiver<bool>,
        until: Instant,
        held: Arc<H>,
    ) -> Self {
        let end = Box::pin(async move {
            // The server's end is as good as its stopping.
            match timeout_at(until, stopping.wait_for(|stopping| *stopping)).await {
                Ok(_) => status::stopping(),
                Err(_) => status::too_long(),
            }
        });
        Self { inner, end, ended: false, _held: held }
    }
}

impl<H> HttpBody for Ending<H> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let status = ready!(self.end.as_mut().poll(cx));
        self.ended = true;
        // As trailers, since an error would be a reset that tells nothing.
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
