//! A request -> a call that is allowed, that has its turn and that is counted,
//! or a status.
//!
//! Invariants:
//! - nothing of a request's body is read before the call has its turn;
//! - a call's turn ends when HTTP/2 has sent the last byte of its answer and
//!   nothing works for it any more;
//! - a client that does not take its answer loses its connection: within the
//!   stall limit after it was given a part, and a little after the call's limit.

use crate::auth::Caller;
use crate::body::{Ending, Held, Limited, Tracked};
use crate::connection::Peer;
use crate::rpc::Rpc;
use crate::service::status;
use crate::shared::Shared;
use http_body::Body as _;
use proto::keys::KEY_LEN;
use proto::limits::KEYS_MAX;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout, timeout_at};
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
    /// Since when the next step has been the client's.
    given: Mutex<Option<Instant>>,
    stalled: AtomicBool,
    watchdog: Watchdog,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.shared.metrics.calls_open.dec();
    }
}

impl Held for Call {
    fn given(&self) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn taken(&self) {
        if let Some(given) = &mut *self.given.lock().unwrap_or_else(PoisonError::into_inner) {
            *given = Instant::now();
        }
    }

    fn waited_for(&self) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Call {
    /// The client does not take its answer: cuts its connection.
    pub fn stalled(&self) {
        if !self.stalled.swap(true, Ordering::Relaxed) {
            self.shared.metrics.stalled.inc();
            let (caller, rpc) = (self.caller.name(), self.rpc.name());
            tracing::warn!(caller, rpc, "a client has not read its answer; its connection is cut");
            self.peer.cut();
        }
    }

    /// Cuts the client when it has not taken its answer in time.
    fn watch(self: &Arc<Self>, started: Instant) {
        self.given();
        let limits = &self.shared.limits;
        // Who reads is told by a status before that.
        let (stall, end) = (limits.stall, started + limits.call + limits.stall);
        let call = Arc::downgrade(self);
        self.watchdog.set(async move {
            let mut next = Instant::now() + stall;
            loop {
                sleep_until(next.min(end).into()).await;
                let Some(call) = call.upgrade() else { return };
                let given = *call.given.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                next = given.unwrap_or(now) + stall;
                if next <= now || end <= now {
                    return call.stalled();
                }
            }
        });
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
    let header = request.headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let caller = shared.tokens.caller(header, SystemTime::now());
    let caller = caller.map_err(|denial| shared.deny(rpc, denial, ""))?;
    caller.needs(rpc.role()).map_err(|denial| shared.deny(rpc, denial, caller.name()))?;
    let from = peer.called();
    if *shared.stopping.borrow() {
        return Err(status::stopping());
    }
    let turn = shared.gate(rpc).enter().await.map_err(|busy| {
        shared.metrics.busy.inc();
        status::busy(rpc, busy)
    })?;
    shared.metrics.calls_open.inc();
    Ok(Call {
        rpc,
        caller,
        peer,
        from,
        shared: Arc::clone(shared),
        given: Mutex::default(),
        stalled: AtomicBool::default(),
        watchdog: Watchdog::default(),
        _turn: turn,
    })
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
    if !response.body().is_end_stream() {
        call.watch(started);
    }
    Ok(response.map(|body| {
        Body::new(Tracked::new(body, code, call, move |code| {
            metrics.called(rpc, status::code_name(code), started.elapsed());
        }))
    }))
}

/// Bytes of a request of health or reflection, and of each of its messages.
pub const ASIDE_BYTES_MAX: usize = 4 << 10;

/// Guards the services that ask for no token, health and reflection: few at
/// once, small, and not for long. A call ends with `DEADLINE_EXCEEDED` after the
/// stall limit and when the server stops; who watches calls again. They do not
/// keep a connection open.
#[derive(Clone, Debug)]
pub struct Stopped<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Stopped<S> {
    /// Guards `inner`.
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
        let (mut inner, shared) = (self.inner.clone(), Arc::clone(&self.shared));
        Box::pin(async move {
            let turn = match shared.asides.enter().await {
                Ok(turn) => turn,
                Err(busy) => {
                    shared.metrics.busy.inc();
                    return Ok(status::aside_busy(busy).into_http());
                }
            };
            let aside = Arc::new(Aside { watchdog: Watchdog::default(), _turn: turn });
            let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
            let until = tokio::time::Instant::now() + shared.limits.stall;
            let metrics = Arc::clone(&shared.metrics);
            aside.watchdog.set(async move {
                // Who reads has been told by a status before.
                sleep_until(until + ASIDE_GRACE).await;
                metrics.stalled.inc();
                peer.cut();
            });
            let ending = |body| {
                let stopping = shared.stopping.subscribe();
                Body::new(Ending::new(body, stopping, until, Arc::clone(&aside)))
            };
            let request = request.map(|body| Body::new(Limited::new(body, ASIDE_BYTES_MAX)));
            match timeout_at(until, inner.call(request.map(ending))).await {
                Ok(answer) => Ok(answer?.map(ending)),
                Err(_) => Ok(status::stalled().into_http()),
            }
        })
    }
}

/// How long a client may take to read the status that ends a call of [`Stopped`].
const ASIDE_GRACE: Duration = Duration::from_secs(5);

/// A call of health or reflection.
struct Aside {
    watchdog: Watchdog,
    _turn: OwnedSemaphorePermit,
}
