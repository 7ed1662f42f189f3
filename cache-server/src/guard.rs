//! A request -> one that its service may have, or a status: what stands before
//! every service of the server.
//!
//! [`Calls`] guards the protocol's own calls, [`Asides`] health and reflection.
//!
//! Invariant: nothing of a request's body is read before it has its turn.

mod asides;
mod calls;

pub use asides::{ASIDE_BYTES_MAX, Asides};
pub use calls::{Call, Calls};

use crate::shared::Shared;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::task::AbortHandle;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

/// A service's answer; failures are statuses in it.
pub type Answer = Result<Response<Body>, Infallible>;

/// What can be guarded.
pub trait Inner:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Inner for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Which requests a service may have, and under what conditions.
pub trait Rule: 'static {
    /// Lets `inner` answer, or answers in its place.
    fn serve<S: Inner>(
        inner: S,
        shared: Arc<Shared>,
        request: Request<Body>,
    ) -> impl Future<Output = Answer> + Send;
}

/// A service behind a rule.
#[derive(Debug)]
pub struct Guarded<S, R> {
    inner: S,
    shared: Arc<Shared>,
    rule: PhantomData<fn() -> R>,
}

impl<S, R> Guarded<S, R> {
    /// Guards `inner`.
    pub fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared, rule: PhantomData }
    }
}

impl<S: Clone, R> Clone for Guarded<S, R> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.shared))
    }
}

impl<S: NamedService, R> NamedService for Guarded<S, R> {
    const NAME: &'static str = S::NAME;
}

impl<S: Inner, R: Rule> Service<Request<Body>> for Guarded<S, R> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(R::serve(self.inner.clone(), Arc::clone(&self.shared), request))
    }
}

/// A task that ends with what it watches.
#[derive(Debug, Default)]
struct Watchdog(OnceLock<AbortHandle>);

impl Watchdog {
    fn set(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.get_or_init(|| tokio::spawn(task).abort_handle());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = self.0.get() {
            task.abort();
        }
    }
}
