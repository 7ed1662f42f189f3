//! A way to a server -> a connection and the threads that drive it.
//!
//! The rest of this crate is called from threads that compile, some of which
//! belong to an asynchronous runtime of the embedder's. So the calls run on two
//! threads of our own, and whoever waits for one waits on an ordinary channel.

use super::failure::Failure;
use super::server::{ServerConfig, ServerConfigError, Way};
use proto::limits::MESSAGE_BYTES_MAX;
use proto::v1::cache_client::CacheClient;
use proto::v1::{GetStatsRequest, Stats};
use std::future::Future;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// One reads from the socket, the other one decodes what was read.
const THREADS: usize = 2;

/// A connection that nobody has used is given up after this long.
const WARM_UP_MAX: Duration = Duration::from_secs(5);

pub(crate) type Client = CacheClient<InterceptedService<Channel, Bearer>>;

/// Adds the token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

/// A server that answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Greeting {
    /// What it says about itself.
    pub stats: Stats,
    /// How long a call took, on a connection that was open already.
    pub round_trip: Duration,
}

/// A connection to a server. Connects when the first call is made.
pub struct Connection {
    client: Client,
    url: String,
    threads: Handle,
    _runtime: Background,
}

/// A runtime that is not waited for when it is dropped: that is not allowed on
/// the threads of other runtimes.
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Connection {
    /// A connection that is not made yet.
    ///
    /// # Errors
    ///
    /// Any [`ServerConfigError`].
    pub fn new(config: &ServerConfig) -> Result<Self, ServerConfigError> {
        let Way { endpoint, bearer } = config.way()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("stencil-remote")
            .enable_all()
            .build()
            .map_err(|error| ServerConfigError::Threads { why: error.to_string() })?;
        // A channel's own tasks are started where it is made.
        let channel = {
            let _entered = runtime.enter();
            endpoint.connect_lazy()
        };
        let client = CacheClient::with_interceptor(channel, Bearer(bearer))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let threads = runtime.handle().clone();
        let url = config.url.clone();
        Ok(Self { client, url, threads, _runtime: Background(Some(runtime)) })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks the server about itself, twice: once to connect, once to see how
    /// long a call takes.
    ///
    /// # Errors
    ///
    /// A sentence about what went wrong.
    pub fn greet(&self, within: Duration) -> Result<Greeting, String> {
        let mut client = self.client();
        let asked = async move {
            client.get_stats(GetStatsRequest {}).await?;
            let started = Instant::now();
            let stats = client.get_stats(GetStatsRequest {}).await?.into_inner();
            Ok(Greeting { stats, round_trip: started.elapsed() })
        };
        let answer = self.wait(asked, within);
        answer.map_err(|failure| format!("the server {} {}", self.url, failure.what))
    }

    /// Begins to connect, and waits for nothing. What goes wrong shows in the
    /// first call.
    pub(crate) fn warm_up(&self) {
        let mut client = self.client();
        self.spawn(async move {
            tokio::time::timeout(WARM_UP_MAX, client.get_stats(GetStatsRequest {})).await.ok();
        });
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Runs a call, and waits for it from any thread.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Status>> + Send + 'static,
        within: Duration,
    ) -> Result<T, Failure> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = self.spawn(async move {
            sender.send(call.await).ok();
        });
        let answer = receiver.recv_timeout(within);
        task.abort();
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(Failure::from(&status)),
            Err(_) => Err(Failure::timeout()),
        }
    }

    /// Starts a call.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.threads.spawn(call)
    }

    /// Runs a call on this thread, which must be one of our own.
    pub(crate) fn block_on<T>(&self, call: impl Future<Output = T>) -> T {
        self.threads.block_on(call)
    }
}
