//! A call of the protocol -> one that is allowed, that has its turn and that is
//! counted, or a status.
//!
//! Invariants:
//! - a call's turn ends when HTTP/2 has sent the last byte of its answer and
//!   nothing works for it any more;
//! - a client that does not take its answer loses its connection: within the
//!   stall limit after it was given a part, and a little after the call's limit.

use super::{Answer, Inner, Rule, Watchdog};
use crate::auth::Caller;
use crate::body::{Held, Limited, Tracked};
use crate::connection::Peer;
use crate::rpc::Rpc;
use crate::service::status;
use crate::shared::Shared;
use http_body::Body as _;
use proto::keys::KEY_LEN;
use proto::limits::KEYS_MAX;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout};
use tonic::body::Body;
use tonic::codegen::http::{Request, header::AUTHORIZATION, request::Parts};
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

/// The rule of the protocol's own calls: a token that allows it, and a turn.
#[derive(Debug)]
pub enum Calls {}

impl Rule for Calls {
    async fn serve<S: Inner>(inner: S, shared: Arc<Shared>, request: Request<Body>) -> Answer {
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

async fn run<S: Inner>(
    mut inner: S,
    mut request: Request<Body>,
    call: Arc<Call>,
    started: Instant,
) -> Answer {
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
