//! A call of health or reflection -> one that is small and short, or a status.
//!
//! Invariant: who has no token holds little of the server, and not for long.

use super::{Answer, Inner, Rule, Watchdog};
use crate::body::{Ending, Limited};
use crate::connection::Peer;
use crate::service::status;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::Request;

/// Bytes of a request of health or reflection, and of each of its messages.
pub const ASIDE_BYTES_MAX: usize = 4 << 10;

/// The rule of the services that ask for no token, health and reflection: few at
/// once, small, and not for long. A call ends with `DEADLINE_EXCEEDED` after the
/// stall limit and when the server stops; who watches calls again. They do not
/// keep a connection open.
#[derive(Debug)]
pub enum Asides {}

impl Rule for Asides {
    async fn serve<S: Inner>(mut inner: S, shared: Arc<Shared>, request: Request<Body>) -> Answer {
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
    }
}

/// How long a client may take to read the status that ends a call of [`Asides`].
const ASIDE_GRACE: Duration = Duration::from_secs(5);

/// A call of health or reflection.
struct Aside {
    watchdog: Watchdog,
    _turn: OwnedSemaphorePermit,
}
