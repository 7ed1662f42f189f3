//! Bodies of requests and answers -> bodies that are limited, that tell how they
//! ended, or that end when the server stops.

use crate::service::status;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::watch;
use tonic::body::Body;
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

/// A body that tells once how it ended: with a status, or dropped before that.
#[derive(Debug)]
pub struct Tracked<F: FnOnce(Code)> {
    inner: Body,
    code: Code,
    end: Option<F>,
}

impl<F: FnOnce(Code)> Tracked<F> {
    /// `inner`, whose headers have said `code` already, or nothing.
    pub fn new(inner: Body, code: Option<Code>, end: F) -> Self {
        Self { inner, code: code.unwrap_or(Code::Cancelled), end: Some(end) }
    }
}

impl<F: FnOnce(Code)> Drop for Tracked<F> {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end(self.code);
        }
    }
}

impl<F: FnOnce(Code) + Unpin> HttpBody for Tracked<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(status) = frame.trailers_ref().and_then(Status::from_header_map)
        {
            self.code = status.code();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that ends when the server stops.
pub struct Ending {
    inner: Body,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

impl Ending {
    /// `inner`, until `stopping` is true.
    pub fn new(inner: Body, mut stopping: watch::Receiver<bool>) -> Self {
        let stopping = Box::pin(async move {
            // The server's end is as good as its stopping.
            stopping.wait_for(|stopping| *stopping).await.ok();
        });
        Self { inner, stopping, ended: false }
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(self.stopping.as_mut().poll(cx));
        self.ended = true;
        Poll::Ready(Some(Err(status::stopping())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
