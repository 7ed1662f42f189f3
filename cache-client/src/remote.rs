//! A server that a whole build farm shares -> a store.
//!
//! A lookup is one stream, waited for at most as long as the budget allows; what
//! has not arrived by then is compiled. A publish goes to a queue, and from
//! there to the server while the build goes on; [`RemoteStore::flush`] waits for
//! it at the end.
//!
//! Invariants:
//! - no state of the server or of the network is worse than a miss with a
//!   counted reason, and a sentence in [`RemoteStore::problems`], one an outage;
//! - a lookup never waits longer than the budget, and while the server fails
//!   nobody waits at all (see `breaker`);
//! - what a lookup gives are sound entries of the keys that were asked for.

mod connection;
mod failure;
mod server;

mod breaker;
mod incoming;
mod lookup;
mod publish;
mod queue;

pub use breaker::{BREAKER_FAILURES, BREAKER_PAUSE};
pub use connection::{Connection, Greeting};
pub use queue::QUEUE_BYTES_MAX;
pub use server::{ServerConfig, ServerConfigError};

use crate::single;
use breaker::{Admission, Breaker};
use failure::Failure;
use proto::Namespace;
use queue::{Count, Queue};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use stencil::{CacheKey, CacheStore, Lookup, MissReason, NewEntry, PublishSummary};

/// The budget of a lookup if nothing is known about the build.
pub const BUDGET_MAX: Duration = Duration::from_secs(2);

/// The smallest budget that is worth a call.
pub const BUDGET_MIN: Duration = Duration::from_millis(50);

/// What part of the time that a compile is expected to take without a cache may
/// be spent on waiting for the server.
const BUDGET_SHARE: f64 = 0.2;

/// A flush waits no longer than this, however well it goes.
pub const FLUSH_MAX: Duration = Duration::from_secs(10);

/// A flush waits this long for a server that has answered until then, even if
/// lookups have used the budget up.
const FLUSH_STALL_MIN: Duration = Duration::from_millis(250);

/// A report names at most this many problems.
const PROBLEMS_MAX: usize = 16;

/// The budget of a compile that is expected to take `cold` without a cache.
pub fn budget_for(cold: Duration) -> Duration {
    cold.mul_f64(BUDGET_SHARE).clamp(BUDGET_MIN, BUDGET_MAX)
}

/// A server, and what is kept where on it.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// The server.
    pub server: ServerConfig,
    /// Where on it the entries are.
    pub namespace: Namespace,
    /// How long one lookup may take, and how long a flush may take without
    /// getting on; see [`budget_for`].
    pub budget: Duration,
}

/// What the server was asked and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteReport {
    /// What became of what was published, as far as is known.
    pub published: PublishSummary,
    /// Of the entries counted as refused there, those whose publishing was
    /// given up because the server took too long or the queue was full.
    pub dropped: u64,
    /// How often an answer was waited for.
    pub round_trips: u64,
    /// Bytes of entries that came, and that went, compressed.
    pub fetched_wire_bytes: u64,
    /// See `fetched_wire_bytes`.
    pub published_wire_bytes: u64,
    /// Calls that failed, and those that were not made because others had.
    pub failed_calls: u64,
}

/// A store on a server.
pub struct RemoteStore {
    shared: Arc<Shared>,
    queue: Queue,
    budget_ns: AtomicU64,
}

struct Shared {
    connection: Connection,
    namespace: Namespace,
    breaker: Breaker,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    report: RemoteReport,
    problems: Vec<String>,
    /// How long lookups have taken.
    looked_up: Duration,
    /// What the server has refused us, and was told about.
    refused: BTreeSet<MissReason>,
}

impl RemoteStore {
    /// A store on a server. Begins to connect in the background, so that the
    /// first lookup finds a connection.
    ///
    /// # Errors
    ///
    /// Any [`ServerConfigError`].
    pub fn open(config: RemoteConfig) -> Result<Self, ServerConfigError> {
        let connection = Connection::new(&config.server)?;
        connection.warm_up();
        let shared = Arc::new(Shared {
            connection,
            namespace: config.namespace,
            breaker: Breaker::default(),
            told: Mutex::default(),
        });
        let worker = shared.clone();
        let work = move |batch: Vec<NewEntry>, progress: &dyn Fn()| {
            worker.clone().publish(batch, progress)
        };
        let store =
            Self { shared, queue: Queue::new(Arc::new(work)), budget_ns: AtomicU64::default() };
        store.set_budget(config.budget);
        Ok(store)
    }

    /// Changes how long a lookup may take from now on.
    pub fn set_budget(&self, budget: Duration) {
        let ns = u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX);
        self.budget_ns.store(ns, Ordering::Relaxed);
    }

    fn budget(&self) -> Duration {
        Duration::from_nanos(self.budget_ns.load(Ordering::Relaxed))
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        self.shared.connection.url()
    }

    /// Waits until what was published has reached the server: at most
    /// [`FLUSH_MAX`], and at most for what lookups have left of the budget while
    /// the server takes nothing, but 250 ms if it has answered until then. What is
    /// not acknowledged by then is counted as dropped; the server may have stored
    /// it all the same.
    pub fn flush(&self) -> RemoteReport {
        let spent = std::mem::take(&mut self.shared.told().looked_up);
        let left = self.budget().saturating_sub(spent);
        let failing = self.shared.breaker.is_failing();
        let stall = if failing { left } else { left.max(FLUSH_STALL_MIN) };
        let given_up = self.queue.flush(FLUSH_MAX, stall);
        if given_up > 0 {
            // An outage is told about once.
            if !failing {
                let what = format!("did not take {given_up} entries in time");
                self.shared.tell(&Failure::new(MissReason::Timeout, what));
            }
            let mut told = self.shared.told();
            told.report.published.refuse(MissReason::Timeout, given_up);
            told.report.dropped += given_up;
        }
        self.report()
    }

    /// What was done until now.
    pub fn report(&self) -> RemoteReport {
        self.shared.told().report.clone()
    }

    /// What went wrong, for a person: one sentence an outage.
    pub fn problems(&self) -> Vec<String> {
        self.shared.told().problems.clone()
    }
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, failure: &Failure) {
        let problem = format!("the server {} {}", self.connection.url(), failure.what);
        let mut told = self.told();
        if told.problems.len() < PROBLEMS_MAX {
            told.problems.push(problem);
        }
    }

    /// Whether a call may be made.
    fn admit(&self) -> Option<Admission> {
        let admission = self.breaker.admit(Instant::now());
        if admission.is_none() {
            self.told().report.failed_calls += 1;
        }
        admission
    }

    /// Counts how a call has ended, and tells about it once an outage.
    fn ended(&self, admission: Admission, failure: Option<&Failure>) {
        let Some(failure) = failure else {
            return self.breaker.succeeded(admission);
        };
        self.told().report.failed_calls += 1;
        let tell = if failure.is_ours() {
            self.breaker.undecided(admission);
            self.told().refused.insert(failure.reason)
        } else {
            self.breaker.failed(admission, Instant::now())
        };
        if tell {
            self.tell(failure);
        }
    }

    /// Publishes one batch of the queue.
    fn publish(self: Arc<Self>, batch: Vec<NewEntry>, progress: &dyn Fn()) -> Count {
        let Some(admission) = self.admit() else {
            let refused = PublishSummary::refused(MissReason::BreakerOpen, batch.len() as u64);
            return Box::new(move || self.told().report.published.add(&refused));
        };
        self.told().report.round_trips += 1;
        let sent = publish::publish(&self.connection, &self.namespace, batch, progress);
        self.ended(admission, sent.failure.as_ref());
        Box::new(move || {
            let mut told = self.told();
            told.report.published.add(&sent.summary);
            told.report.published_wire_bytes += sent.wire_bytes;
        })
    }
}

impl CacheStore for RemoteStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        single::get(self, key)
    }

    /// Keeps sealed entries only: the server refuses others.
    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        single::insert(self, key, value)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let missed = |reason| vec![Lookup::Miss(reason); keys.len()];
        if keys.is_empty() {
            return Vec::new();
        }
        let Some(admission) = self.shared.admit() else {
            return missed(MissReason::BreakerOpen);
        };
        let started = Instant::now();
        let shared = &self.shared;
        let answers = lookup::lookup(&shared.connection, &shared.namespace, keys, self.budget());
        shared.ended(admission, answers.failure.as_ref());
        let mut told = shared.told();
        told.looked_up += started.elapsed();
        told.report.round_trips += answers.round_trips;
        told.report.fetched_wire_bytes += answers.wire_bytes;
        drop(told);
        answers.lookups
    }

    /// Queues the entries; what becomes of them is in the report after a flush.
    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        if entries.is_empty() || self.queue.push(entries) {
            return PublishSummary::default();
        }
        let count = entries.len() as u64;
        let mut told = self.shared.told();
        told.report.published.refuse(MissReason::Busy, count);
        told.report.dropped += count;
        PublishSummary::refused(MissReason::Busy, count)
    }

    fn round_trips(&self) -> u64 {
        self.shared.told().report.round_trips
    }
}
