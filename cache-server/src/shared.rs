//! What all calls share.

use crate::auth::{Denial, Tokens};
use crate::config::{Config, Limits};
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::rpc::Rpc;
use crate::service::status;
use crate::storage::Storage;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tonic::Status;

/// The storage, the counters and the limits of one server.
pub struct Shared {
    /// Where entries are.
    pub storage: Arc<dyn Storage>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// How much at once, and how long.
    pub limits: Limits,
    /// Who may do what.
    pub tokens: Tokens,
    /// When the server has started.
    pub started: Instant,
    /// Whether it is stopping.
    pub stopping: watch::Sender<bool>,
    /// The gate before health and reflection, which ask for no token.
    pub asides: Gate,
    reads: Gate,
    publishes: Gate,
}

/// Calls of health and reflection at once.
pub const ASIDES_MAX: u32 = 16;

impl Shared {
    /// For a server with this configuration.
    pub fn new(config: &Config, storage: Arc<dyn Storage>) -> Self {
        let limits = config.limits.clone();
        Self {
            storage,
            metrics: Arc::new(Metrics::new()),
            tokens: Tokens::new(&config.tokens),
            started: Instant::now(),
            stopping: watch::Sender::new(false),
            asides: Gate::new(ASIDES_MAX, limits.waiting_max, limits.wait),
            reads: Gate::new(limits.lookups_max, limits.waiting_max, limits.wait),
            publishes: Gate::new(limits.publishes_max, limits.waiting_max, limits.wait),
            limits,
        }
    }

    /// The gate before a call.
    pub fn gate(&self, rpc: Rpc) -> &Gate {
        match rpc {
            Rpc::Publish => &self.publishes,
            Rpc::Lookup | Rpc::FindMissing | Rpc::GetStats => &self.reads,
        }
    }

    /// Counts and logs a call that is not allowed.
    pub fn deny(&self, rpc: Rpc, denial: Denial, caller: &str) -> Status {
        self.metrics.deny(rpc, denial);
        let (rpc_name, reason) = (rpc.name(), denial.name());
        tracing::info!(rpc = rpc_name, reason, caller, "a call was denied");
        status::denied(rpc, denial)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}
