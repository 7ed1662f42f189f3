//! The second port: `/metrics` for Prometheus, `/healthz` for whoever starts and
//! stops servers.
//!
//! Invariant: at most [`CONNECTIONS_MAX`] connections are open, each for at most
//! a minute, so that nobody who only connects takes all sockets.

use crate::connection::{Connection, Connections};
use crate::metrics::Metrics;
use crate::shared::Shared;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};

/// Connections at once on this port.
const CONNECTIONS_MAX: u32 = 64;

/// OpenMetrics' own.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(shared)
}

/// Serves the pages.
pub async fn serve(listener: TcpListener, addr: SocketAddr, shared: Arc<Shared>) {
    // What goes over this port is not the service's traffic.
    let connections = Connections::new(CONNECTIONS_MAX, Arc::new(Metrics::new()));
    let incoming = Box::pin(connections.incoming(listener));
    let listener = Bounded { incoming, addr };
    // It ends with the server.
    axum::serve(listener, router(shared)).await.ok();
}

/// A listener that accepts what [`Connections`] lets in.
struct Bounded {
    incoming: Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>,
    addr: SocketAddr,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.incoming.next().await {
                Some(Ok(connection)) => return (connection, self.addr),
                Some(Err(_)) => {}
                // There is no end to those who connect.
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = tokio::task::spawn_blocking(move || shared.metrics.text(&shared.storage.stats()));
    match text.await {
        Ok(text) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn healthz(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if *shared.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    (StatusCode::OK, "serving\n")
}
