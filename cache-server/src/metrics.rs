//! What happens -> numbers, and the numbers -> Prometheus' text.
//!
//! Invariant: labels come from small fixed sets, never from a client.

use crate::auth::Denial;
use crate::rpc::Rpc;
use crate::storage::{LookupCounts, StorageStats};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Labelled<L> = Family<L, Counter>;
type Size = Gauge<u64, AtomicU64>;

/// From which tier an entry came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TierLabel {
    tier: &'static str,
}

/// Why an entry was refused, or a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: &'static str,
}

/// Which call was denied, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeniedLabel {
    rpc: &'static str,
    reason: &'static str,
}

/// Which call, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabel {
    rpc: &'static str,
    code: &'static str,
}

/// Which call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RpcLabel {
    rpc: &'static str,
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ty,)*) => {
        /// The server's numbers.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            calls: Labelled<CallLabel>,
            latency: Family<RpcLabel, Histogram>,
            hits: Labelled<TierLabel>,
            refused: Labelled<ReasonLabel>,
            denied: Labelled<DeniedLabel>,
            refused_total: Counter,
            denied_total: Counter,
            $($(#[doc = $help])+ pub $name: $kind,)*
        }

        impl Metrics {
            /// All at 0.
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix("stencil_server");
                $(
                    let $name = <$kind>::default();
                    let help = concat!($($help),+).trim().trim_end_matches('.');
                    registry.register(stringify!($name), help, $name.clone());
                )*
                let calls = Family::default();
                registry.register("calls", "Calls that have ended", calls.clone());
                let latency = Family::<RpcLabel, Histogram>::new_with_constructor(|| {
                    Histogram::new(exponential_buckets(0.000_25, 2.0, 20))
                });
                let help = "From a call's start to the end of its answer, in seconds";
                registry.register("call_seconds", help, latency.clone());
                let hits = Family::default();
                registry.register("hits", "Entries found", hits.clone());
                let refused = Family::default();
                registry.register("refused", "Entries that were not taken", refused.clone());
                let denied = Family::default();
                registry.register("denied", "Calls that were not allowed", denied.clone());
                let (refused_total, denied_total) = Default::default();
                Self {
                    registry, calls, latency, hits, refused, denied, refused_total, denied_total,
                    $($name,)*
                }
            }
        }
    };
}

metrics! {
    /// Calls of Lookup.
    lookups: Counter,
    /// Keys that Lookup was asked for.
    keys: Counter,
    /// Bytes of entries given out, as they travel.
    entry_bytes_out: Counter,
    /// Entries stored.
    published: Counter,
    /// Bytes of entries stored, decoded.
    published_bytes: Counter,
    /// Entries published that were there already, with the same bytes.
    already_there: Counter,
    /// Entries published that were there already, with other bytes: a wrong cache key.
    conflicts: Counter,
    /// Calls turned away because too many ran at once.
    busy: Counter,
    /// Connections cut because their client did not read.
    stalled: Counter,
    /// Publishes that the storage did not take.
    storage_errors: Counter,
    /// Bytes received, everything counted.
    bytes_in: Counter,
    /// Bytes sent, everything counted.
    bytes_out: Counter,
    /// Connections closed because there were too many.
    connections_refused: Counter,
    /// Connections open.
    connections_open: Gauge,
    /// Calls open.
    calls_open: Gauge,
    /// Entries that were found damaged and put aside.
    quarantined: Size,
    /// Entries removed to stay below the limit.
    evicted: Size,
    /// How often the index was opened again after a failure.
    index_reopened: Size,
    /// Runs of entries that the index had and the packs had lost.
    runs_lost: Size,
    /// Entries stored now.
    storage_entries: Size,
    /// Their bytes, decoded.
    storage_entry_bytes: Size,
    /// Their bytes as they are kept.
    storage_stored_bytes: Size,
    /// Bytes of the data directory's files.
    storage_disk_bytes: Size,
    /// The limit on them.
    storage_size_max_bytes: Size,
    /// Entries in the memory tier.
    storage_hot_entries: Size,
    /// Bytes of the memory tier.
    storage_hot_bytes: Size,
    /// The limit on them.
    storage_hot_max_bytes: Size,
    /// Bytes of the table of all keys.
    storage_table_bytes: Size,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A lookup has ended.
    pub fn looked_up(&self, counts: &LookupCounts) {
        self.keys.inc_by(counts.keys);
        self.hits.get_or_create(&TierLabel { tier: "memory" }).inc_by(counts.hot_hits);
        let cold = counts.hits.saturating_sub(counts.hot_hits);
        self.hits.get_or_create(&TierLabel { tier: "disk" }).inc_by(cold);
    }

    /// Hits of both tiers, and of the memory tier alone.
    pub fn hits(&self) -> (u64, u64) {
        let of = |tier| self.hits.get(&TierLabel { tier }).map_or(0, |count| count.get());
        let hot = of("memory");
        (hot + of("disk"), hot)
    }

    /// Entries were not taken.
    pub fn refuse(&self, reason: &'static str, count: u64) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc_by(count);
        self.refused_total.inc_by(count);
    }

    /// Entries not taken.
    pub fn refused(&self) -> u64 {
        self.refused_total.get()
    }

    /// A call was not allowed.
    pub fn deny(&self, rpc: Rpc, reason: Denial) {
        let label = DeniedLabel { rpc: rpc.name(), reason: reason.name() };
        self.denied.get_or_create(&label).inc();
        self.denied_total.inc();
    }

    /// Calls not allowed.
    pub fn denied(&self) -> u64 {
        self.denied_total.get()
    }

    /// A call has ended.
    pub fn called(&self, rpc: Rpc, code: &'static str, took: Duration) {
        self.calls.get_or_create(&CallLabel { rpc: rpc.name(), code }).inc();
        let latency = self.latency.get_or_create(&RpcLabel { rpc: rpc.name() });
        latency.observe(took.as_secs_f64());
    }

    /// Prometheus' text, with what the storage holds now.
    pub fn text(&self, stats: &StorageStats) -> String {
        for (gauge, value) in [
            (&self.quarantined, stats.quarantined),
            (&self.evicted, stats.evicted),
            (&self.index_reopened, stats.reopened),
            (&self.runs_lost, stats.runs_lost),
            (&self.storage_entries, stats.entries),
            (&self.storage_entry_bytes, stats.entry_bytes),
            (&self.storage_stored_bytes, stats.stored_bytes),
            (&self.storage_disk_bytes, stats.disk_bytes),
            (&self.storage_size_max_bytes, stats.size_max),
            (&self.storage_hot_entries, stats.hot_entries),
            (&self.storage_hot_bytes, stats.hot_bytes),
            (&self.storage_hot_max_bytes, stats.hot_bytes_max),
            (&self.storage_table_bytes, stats.table_bytes),
        ] {
            gauge.set(value);
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        encode(&mut text, &self.registry).ok();
        text
    }
}
