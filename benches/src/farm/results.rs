//! What the farm was served -> the object that `--json` prints.
//!
//! Invariant: everything that the table shows is in here, and every single run
//! behind it. A megabyte (MB) is 1,000,000 bytes.

use crate::farm::load::Loaded;
use crate::farm::publish::Published;
use crate::farm::turnover::Turnover;
use crate::figures::{Spread, ratio};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One run of `farm`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FarmResults {
    /// Rounds, in each of which every peer is measured once.
    pub rounds: u32,
    /// How long one measurement takes.
    pub seconds: f64,
    /// Threads of the one runtime that all workers share.
    pub client_threads: u64,
    /// Of so many entries one was decoded and verified.
    pub verify_every: u32,
    /// What decided the modules' order.
    pub seed: u64,
    /// The modules.
    pub modules: Vec<ModuleFigures>,
    /// Different keys of all modules together.
    pub entries: u64,
    /// Their entries' bytes, decoded.
    pub entry_bytes: u64,
    /// Publishing all modules to an empty server.
    pub published: Published,
    /// The peers, in the order in which they are measured.
    pub peers: Vec<PeerFigures>,
    /// Of Redis, if it was measured.
    pub redis: Option<RedisFigures>,
    /// Of the disk, if it was measured.
    pub turnover: Option<Turnover>,
}

/// One module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleFigures {
    /// Its path.
    pub name: String,
    /// Its size.
    pub wasm_bytes: u64,
    /// Keys of its lookup.
    pub keys: u64,
    /// Of those, the ones that no module publishes: trampolines that none needs.
    pub absent_keys: u64,
    /// Of the keys, the ones that another module of the mix has too.
    pub shared_keys: u64,
    /// Its entries' bytes, compressed.
    pub coded_bytes: u64,
    /// Its entries' bytes, decoded.
    pub entry_bytes: u64,
}

/// Redis beside the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RedisFigures {
    /// Its version.
    pub version: String,
    /// What was tried before the measurement. For each number of workers it was
    /// measured with what was best for them.
    pub trials: Vec<RedisTrial>,
}

/// A way to ask Redis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RedisTrial {
    /// Workers.
    pub clients: u32,
    /// Keys in one MGET.
    pub batch: usize,
    /// Commands of one worker on their way at once.
    pub depth: usize,
    /// What Redis served.
    pub coded_mb_per_s: f64,
}

impl RedisFigures {
    /// The best trial for so many workers.
    pub fn best(&self, clients: u32) -> Option<&RedisTrial> {
        let trials = self.trials.iter().filter(|trial| trial.clients == clients);
        trials.max_by(|one, other| one.coded_mb_per_s.total_cmp(&other.coded_mb_per_s))
    }
}

/// One peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerFigures {
    /// What it is.
    pub name: String,
    /// By the number of workers.
    pub rows: Vec<Row>,
    /// The largest resident set of its process in the whole run.
    pub peak_rss_bytes: u64,
    /// The memory that a server says it takes at most; none for Redis.
    pub memory_bound_bytes: Option<u64>,
    /// Entries that it has served, and those of them that were in its memory
    /// tier.
    pub hits: Option<(u64, u64)>,
}

/// A peer with a number of workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The workers.
    pub clients: u32,
    /// Bytes a second as they are stored and travel, in MB.
    pub coded_mb_per_s: Spread,
    /// The same of the decoded entries.
    pub entry_mb_per_s: Spread,
    /// Entries a second.
    pub entries_per_s: Spread,
    /// The middle of a module's lookup times.
    pub lookup_ms_p50: Spread,
    /// The time within which 99 of 100 lookups ended.
    pub lookup_ms_p99: Spread,
    /// Time of the peer's process for one coded MB.
    pub peer_cpu_ms_per_mb: Spread,
    /// Time of the workers' process for one coded MB.
    pub client_cpu_ms_per_mb: Spread,
    /// The runs, in the order of the rounds.
    pub runs: Vec<Run>,
}

/// One measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// How long it took, until the last lookup had ended.
    pub seconds: f64,
    /// Lookups that were started in it, all of which ended well.
    pub lookups: u64,
    /// Entries that arrived.
    pub entries: u64,
    /// Their bytes, compressed.
    pub coded_bytes: u64,
    /// Their bytes, decoded.
    pub entry_bytes: u64,
    /// Entries that were decoded and verified.
    pub verified: u64,
    /// See [`Row::lookup_ms_p50`].
    pub lookup_ms_p50: f64,
    /// See [`Row::lookup_ms_p99`].
    pub lookup_ms_p99: f64,
    /// Time of the peer's process.
    pub peer_cpu_ms: f64,
    /// Time of the workers' process.
    pub client_cpu_ms: f64,
}

impl Run {
    /// The figures of one measurement, in which the peer and this process took
    /// so much time of the processors.
    pub fn of(loaded: &Loaded, peer_cpu: Duration, client_cpu: Duration) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut lookups: Vec<f64> = loaded.lookups.iter().map(|(_, time)| ms(*time)).collect();
        lookups.sort_by(f64::total_cmp);
        Self {
            seconds: loaded.elapsed.as_secs_f64(),
            lookups: lookups.len() as u64,
            entries: loaded.arrived.entries,
            coded_bytes: loaded.arrived.coded_bytes,
            entry_bytes: loaded.arrived.entry_bytes,
            verified: loaded.arrived.verified,
            lookup_ms_p50: percentile(&lookups, 0.50),
            lookup_ms_p99: percentile(&lookups, 0.99),
            peer_cpu_ms: ms(peer_cpu),
            client_cpu_ms: ms(client_cpu),
        }
    }

    fn per_second(&self, value: u64) -> f64 {
        ratio(value as f64, self.seconds).unwrap_or_default()
    }

    /// Bytes a second as they travel, in MB.
    pub fn coded_mb_per_s(&self) -> f64 {
        self.per_second(self.coded_bytes) / 1e6
    }
}

impl Row {
    /// What the runs come to.
    pub fn of(clients: u32, runs: Vec<Run>) -> Self {
        let spread =
            |value: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(value)).unwrap_or_default();
        let per_mb =
            |run: &Run, ms: f64| ratio(ms, run.coded_bytes as f64 / 1e6).unwrap_or_default();
        Self {
            clients,
            coded_mb_per_s: spread(&Run::coded_mb_per_s),
            entry_mb_per_s: spread(&|run| run.per_second(run.entry_bytes) / 1e6),
            entries_per_s: spread(&|run| run.per_second(run.entries)),
            lookup_ms_p50: spread(&|run| run.lookup_ms_p50),
            lookup_ms_p99: spread(&|run| run.lookup_ms_p99),
            peer_cpu_ms_per_mb: spread(&|run| per_mb(run, run.peer_cpu_ms)),
            client_cpu_ms_per_mb: spread(&|run| per_mb(run, run.client_cpu_ms)),
            runs,
        }
    }
}

/// The smallest value that is not below this part of all; 0 of none.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.50), 100.0);
        assert_eq!(percentile(&values, 0.99), 198.0);
        assert_eq!(percentile(&values[..1], 0.99), 1.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn rates_are_by_the_second_and_processor_time_by_the_megabyte() {
        let mut loaded = Loaded { elapsed: Duration::from_secs(2), ..Loaded::default() };
        loaded.arrived.coded_bytes = 10_000_000;
        let cpu = Duration::from_millis(20);
        let row = Row::of(8, vec![Run::of(&loaded, cpu, cpu * 2)]);
        assert_eq!(row.coded_mb_per_s.median, 5.0);
        assert_eq!(row.peer_cpu_ms_per_mb.median, 2.0);
        assert_eq!(row.client_cpu_ms_per_mb.median, 4.0);
    }
}
