//! A request -> a call that is allowed, that has its turn and that is counted,
//! or a status.
//!
//! Invariants:
//! - nothing of a request's body is read before the call has its turn;
//! - a call's turn ends when its answer has been handed over to the last byte
//!   and nothing works for it any more.

use crate::auth::Caller;
use crate::body::{Ending, Limited, Tracked};
use crate::connection::Peer;
use crate::rpc::Rpc;
use crate::service::status;
use crate::shared::Shared;
use proto::keys::KEY_LEN;
use proto::limits::KEYS_MAX;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, header::AUTHORIZATION, request::Parts};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};

/// Bytes of a request that is not a publish: the most keys, and the namespace.
const REQUEST_BYTES_MAX: usize = KEYS_MAX * KEY_LEN + 4096;

/// A call that was let in.
#[derive(Debug)]
pub struct Call {
    /// Which one.
    pub rpc: Rpc,
    /// Who is calling.
    pub caller: Caller,
    /// The connection.
    pub peer: Peer,
    /// Its other end.
    pub from: Option<SocketAddr>,
    shared: Arc<Shared>,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.shared.metrics.calls_open.dec();
    }
}

/// Guards the calls of [`Rpc`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Guarded<S> {
    /// Guards `inner`.
    pub fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.inner.clone();
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let started = Instant::now();
            let Some(rpc) = Rpc::of_path(request.uri().path()) else {
                return Ok(Status::unimplemented("there is no such call").into_http());
            };
            let (parts, body) = request.into_parts();
            match admit(&shared, rpc, &parts).await {
                Ok(call) => {
                    let request = Request::from_parts(parts, body);
                    run(inner, request, Arc::new(call), started).await
                }
                Err(status) => {
                    let code = status::code_name(status.code());
                    shared.metrics.called(rpc, code, started.elapsed());
                    Ok(status.into_http())
                }
            }
        })
    }
}

async fn admit(shared: &Arc<Shared>, rpc: Rpc, request: &Parts) -> Result<Call, Status> {
    let peer = request.extensions.get::<Peer>().cloned().unwrap_or_default();
    let from = peer.called();
    let header = request.headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let caller = shared.tokens.caller(header, SystemTime::now());
    let caller = caller.map_err(|denial| shared.deny(rpc, denial, ""))?;
    caller.needs(rpc.role()).map_err(|denial| shared.deny(rpc, denial, caller.name()))?;
    if *shared.stopping.borrow() {
        return Err(status::stopping());
    }
    let turn = shared.gate(rpc).enter().await.map_err(|busy| {
        shared.metrics.busy.inc();
        status::busy(rpc, busy)
    })?;
    shared.metrics.calls_open.inc();
    Ok(Call { rpc, caller, peer, from, shared: Arc::clone(shared), _turn: turn })
}

async fn run<S>(
    mut inner: S,
    mut request: Request<Body>,
    call: Arc<Call>,
    started: Instant,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    request.extensions_mut().insert(Arc::clone(&call));
    let response = if call.rpc == Rpc::Publish {
        inner.call(request).await?
    } else {
        let request = request.map(|body| Body::new(Limited::new(body, REQUEST_BYTES_MAX)));
        match timeout(call.shared.limits.stall, inner.call(request)).await {
            Ok(response) => response?,
            Err(_) => status::stalled().into_http(),
        }
    };
    let status = Status::from_header_map(response.headers());
    let response = match status {
        Some(status) if status.code() != Code::Ok => status::received(status).into_http(),
        _ => response,
    };
    let code = Status::from_header_map(response.headers()).map(|status| status.code());
    let (rpc, metrics) = (call.rpc, Arc::clone(&call.shared.metrics));
    Ok(response.map(|body| {
        Body::new(Tracked::new(body, code, move |code| {
            metrics.called(rpc, status::code_name(code), started.elapsed());
            drop(call);
        }))
    }))
}

/// Ends the answers of a service when the server stops, so that a stream that
/// would never end does not hold it up.
#[derive(Clone, Debug)]
pub struct Stopped<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Stopped<S> {
    /// Ends the answers of `inner`.
    pub fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: NamedService> NamedService for Stopped<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Stopped<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(peer) = request.extensions().get::<Peer>() {
            peer.called();
        }
        let answer = self.inner.call(request);
        let stopping = self.shared.stopping.subscribe();
        Box::pin(
            async move { Ok(answer.await?.map(|body| Body::new(Ending::new(body, stopping)))) },
        )
    }
}
