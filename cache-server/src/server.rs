//! A configuration -> a server that listens, serves and stops.
//!
//! Stopping: the health service says so, nothing new is accepted, open calls
//! have a time to end, then everything is cut and the storage is closed.

use crate::config::Config;
use crate::connection::Connections;
use crate::exit::Failure;
use crate::guard::{ASIDE_BYTES_MAX, Asides, Calls, Guarded};
use crate::observe;
use crate::service::CacheService;
use crate::shared::Shared;
use crate::storage::{OpenError, PackStorage, Storage, StorageConfig};
use crate::tls;
use proto::limits::{CONNECTION_WINDOW_BYTES, FRAME_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};
use proto::v1::cache_server::CacheServer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::transport::server::Router;
use wording::reason;

/// How often an idle client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const PING_ANSWER: Duration = Duration::from_secs(10);
/// Bytes of a request's headers.
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// How long connections may take to close once they have been cut.
const CUT: Duration = Duration::from_secs(2);
/// How long the storage may take to close. After a write that failed in one of its own
/// threads, sled waits for that write for ever (`pagecache/iobuf.rs`, `make_stable_inner`).
const CLOSE: Duration = Duration::from_secs(10);

type Service = Guarded<CacheServer<CacheService>, Calls>;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    metrics_addr: Option<SocketAddr>,
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    builder: tonic::transport::Server,
    shared: Arc<Shared>,
}

impl Server {
    /// Listens, with the storage in the configuration's directory.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be used, an address or a directory.
    pub async fn bind(config: Config) -> Result<Self, Failure> {
        let open = |config: Config| async move {
            let opened = spawn_blocking(move || open_storage(&config)).await;
            opened.map_err(|_| Failure::files("the storage could not be opened"))?
        };
        Self::bind_when(config, open).await
    }

    /// Listens, with this storage.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be used, or an address.
    pub async fn bind_with(config: Config, storage: Arc<dyn Storage>) -> Result<Self, Failure> {
        Self::bind_when(config, |_| async move { Ok(storage) }).await
    }

    async fn bind_when<F: Future<Output = Result<Arc<dyn Storage>, Failure>>>(
        config: Config,
        open: impl FnOnce(Config) -> F,
    ) -> Result<Self, Failure> {
        config.check()?;
        let builder = builder(&config)?;
        let (listener, addr) = listen(config.listen, "listen").await?;
        let (metrics_listener, metrics_addr) = match config.metrics_listen {
            None => (None, None),
            Some(addr) => {
                let (listener, addr) = listen(addr, "metrics-listen").await?;
                (Some(listener), Some(addr))
            }
        };
        let storage = open(config.clone()).await?;
        let shared = Arc::new(Shared::new(&config, storage));
        tell_start(&config, addr, metrics_addr);
        Ok(Self { addr, metrics_addr, listener, metrics_listener, builder, shared })
    }

    /// The address of the service.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of `/metrics` and `/healthz`.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// Serves until `shutdown` is over, and stops.
    ///
    /// # Errors
    ///
    /// A storage that could not be closed.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self { listener, metrics_listener, metrics_addr, mut builder, shared, .. } = self;
        let metrics = metrics_listener.zip(metrics_addr).map(|(listener, addr)| {
            tokio::spawn(observe::serve(listener, addr, Arc::clone(&shared)))
        });
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<Service>().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .build_v1()
            .map_err(|error| Failure::usage(format!("the reflection service: {error}")))?
            .max_decoding_message_size(ASIDE_BYTES_MAX);
        let health_service = health_service.max_decoding_message_size(ASIDE_BYTES_MAX);
        let cache = CacheServer::new(CacheService(Arc::clone(&shared)))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(usize::MAX);
        let router = builder
            .add_service(Service::new(cache, Arc::clone(&shared)))
            .add_service(Guarded::<_, Asides>::new(health_service, Arc::clone(&shared)))
            .add_service(Guarded::<_, Asides>::new(reflection, Arc::clone(&shared)));

        let connections =
            Connections::new(shared.limits.connections_max, Arc::clone(&shared.metrics));
        let serving = tokio::spawn(serve_router(router, listener, connections.clone(), &shared));
        shutdown.await;

        tracing::info!("stopping");
        health.set_not_serving::<Service>().await;
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        shared.stopping.send_replace(true);
        connections.cut_unused();
        let mut serving = serving;
        if timeout(shared.limits.stop, &mut serving).await.is_err() {
            tracing::warn!("some calls did not end in time and are cut");
            connections.cut_all();
            timeout(CUT, &mut serving).await.ok();
        }
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        let storage = Arc::clone(&shared.storage);
        let closed = spawn_blocking(move || storage.close());
        match timeout(CLOSE, closed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                return Err(Failure::files(format!("the storage could not be closed: {error}")));
            }
            Ok(Err(_)) => return Err(Failure::files("the storage could not be closed")),
            Err(_) => {
                let seconds = CLOSE.as_secs();
                return Err(Failure::files(format!(
                    "the storage did not close within {seconds} s, as after a write that failed; \
                     what was acknowledged is kept"
                )));
            }
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Serves until the server is stopping and every connection is closed.
fn serve_router(
    router: Router,
    listener: TcpListener,
    connections: Arc<Connections>,
    shared: &Shared,
) -> impl Future<Output = ()> + Send + use<> {
    let mut stopping = shared.stopping.subscribe();
    async move {
        let stop = async move {
            stopping.wait_for(|stopping| *stopping).await.ok();
        };
        let incoming = connections.incoming(listener);
        if let Err(error) = router.serve_with_incoming_shutdown(incoming, stop).await {
            tracing::error!(%error, "the service has ended");
        }
    }
}

fn builder(config: &Config) -> Result<tonic::transport::Server, Failure> {
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(config.limits.streams_max)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_ANSWER));
    match &config.tls {
        Some(files) => tls::configure(server, files),
        None => Ok(server),
    }
}

async fn listen(addr: SocketAddr, name: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error: std::io::Error| {
        let why = reason(&error);
        Failure::usage(format!("cannot listen on {addr}: {why}; choose another {name} address"))
    };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

fn open_storage(config: &Config) -> Result<Arc<dyn Storage>, Failure> {
    let Config { data_dir, size_max, hot_bytes_max, entries_max, .. } = config.clone();
    let opened =
        PackStorage::open(StorageConfig { dir: data_dir, size_max, hot_bytes_max, entries_max });
    let storage = opened.map_err(|error| match error {
        OpenError::TooSmall { .. } => Failure::usage(format!("size-max: {error}")),
        _ => {
            let dir = config.data_dir.display();
            Failure::files(format!("the data directory {dir} cannot be used: {error}"))
        }
    })?;
    Ok(Arc::new(storage))
}

/// Who may do what is said where every operator looks first.
fn tell_start(config: &Config, addr: SocketAddr, metrics_addr: Option<SocketAddr>) {
    let tls = match &config.tls {
        None => "off",
        Some(files) if files.client_ca.is_some() => "clients need certificates",
        Some(_) => "on",
    };
    let roles = match config.tokens.len() {
        0 => "no tokens".to_owned(),
        1 => "1 token".to_owned(),
        more => format!("{more} tokens"),
    };
    let metrics = metrics_addr.map_or_else(|| "off".to_owned(), |addr| addr.to_string());
    let data_dir = config.data_dir.display();
    if !config.tokens.is_empty() {
        // Nothing to be warned of.
    } else if config.listen.ip().is_loopback() {
        tracing::warn!("there are no tokens: every user of this machine may publish");
    } else {
        tracing::warn!("there are no tokens: everybody who can reach this server may publish");
    }
    tracing::info!(listen = %addr, metrics, %data_dir, tls, roles, "listening");
}
