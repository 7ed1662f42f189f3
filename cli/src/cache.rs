//! The chosen directory, size and server -> the tiers of one command.
//!
//! A command makes one lookup, in which functions of the same key are asked for
//! once; so there is nothing that a tier in its memory could answer before the
//! disk does. Programs that compile again and again put a
//! [`cache_client::MemoryStore`] above, as `wasm-compiler`'s example does.

use crate::config::{CacheChoice, RemoteChoice};
use crate::exit::{self, Failure};
use cache_client::remote::{
    BUDGET_MAX, FLUSH_MAX, RemoteConfig, RemoteReport, RemoteStore, budget_for,
};
use cache_client::{DiskConfig, DiskStore, TieredStore};
use proto::Namespace;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stencil::{CacheStore, Fingerprint};

/// About how long one thread compiles for each byte of WebAssembly, at least:
/// 0.8 to 1.7 microseconds were measured.
const COLD_NS_PER_BYTE: u64 = 800;

/// The cache of one command.
pub struct Cache {
    disk: Option<Arc<DiskStore>>,
    remote: Option<Remote>,
    tiers: TieredStore,
}

/// The server of one command.
struct Remote {
    store: Arc<RemoteStore>,
    budget: Option<Duration>,
    required: bool,
}

/// What a command did with the server.
pub struct RemoteOutcome {
    pub url: String,
    pub report: RemoteReport,
    /// How long the end had to wait for publishing.
    pub flushed: Duration,
}

impl Cache {
    /// The chosen cache. Opens no file yet, and begins to connect.
    pub fn open(
        choice: &CacheChoice,
        remote: Option<RemoteChoice>,
        fingerprint: Fingerprint,
    ) -> Result<Self, Failure> {
        let disk = disk(choice).map(Arc::new);
        if disk.is_none() {
            exit::say("warning", &format_args!("{NOWHERE}, so nothing is kept"));
        }
        let remote = remote.map(|choice| Remote::open(choice, fingerprint)).transpose()?;
        let mut tiers: Vec<Arc<dyn CacheStore>> = Vec::new();
        tiers.extend(disk.iter().map(|disk| disk.clone() as Arc<dyn CacheStore>));
        tiers.extend(remote.iter().map(|remote| remote.store.clone() as Arc<dyn CacheStore>));
        Ok(Self { disk, remote, tiers: TieredStore::new(tiers) })
    }

    /// The directory, for a command that is about nothing else.
    pub fn require(choice: &CacheChoice) -> Result<DiskStore, Failure> {
        disk(choice).ok_or_else(|| Failure::usage(NOWHERE))
    }

    /// No cache.
    pub fn none() -> Self {
        Self { disk: None, remote: None, tiers: TieredStore::new(Vec::new()) }
    }

    /// Whether there is a cache to ask.
    pub fn is_some(&self) -> bool {
        self.disk.is_some() || self.remote.is_some()
    }

    /// What the compiler asks.
    pub fn store(&self) -> &dyn CacheStore {
        &self.tiers
    }

    /// The directory, if there is one.
    pub fn disk(&self) -> Option<&DiskStore> {
        self.disk.as_deref()
    }

    /// Says how much there is to compile, from which follows how long it is
    /// worth waiting for the server.
    pub fn expect(&self, wasm_bytes: usize, threads: usize) {
        // A server that is required is waited for.
        if let Some(Remote { store, budget: None, required: false }) = &self.remote {
            let cold_ns = (wasm_bytes as u64).saturating_mul(COLD_NS_PER_BYTE);
            let threads = u64::try_from(threads.max(1)).unwrap_or(1);
            store.set_budget(budget_for(Duration::from_nanos(cold_ns / threads)));
        }
    }

    /// Waits for what is still on its way to the directory and to the server.
    pub fn finish(&self) -> Option<RemoteOutcome> {
        let started = Instant::now();
        let outcome = self.remote.as_ref().map(|remote| RemoteOutcome {
            url: remote.store.url().to_owned(),
            report: remote.store.flush(),
            flushed: started.elapsed(),
        });
        self.tiers.settle();
        outcome
    }

    /// Fails if the server was required and did not do all that it was asked
    /// for.
    pub fn demand(&self) -> Result<(), Failure> {
        let Some(Remote { store, required: true, .. }) = &self.remote else {
            return Ok(());
        };
        let report = store.report();
        let refused: u64 = report.published.refused.values().sum();
        if report.failed_calls == 0 && refused == 0 {
            return Ok(());
        }
        let why = match store.problems().first() {
            Some(problem) => problem.clone(),
            None => {
                let reasons: Vec<_> =
                    report.published.refused.keys().map(|reason| reason.name()).collect();
                let url = store.url();
                format!("the server {url} did not take {refused} entries ({})", reasons.join(", "))
            }
        };
        Err(Failure::remote(format!(
            "{why}; the compile has failed, because --require-remote was said"
        )))
    }

    /// Tells what went wrong with the cache, which never fails a compile.
    pub fn warn(&self) {
        let disk = self.disk.iter().flat_map(|disk| disk.problems());
        let remote = self.remote.iter().flat_map(|remote| remote.store.problems());
        for problem in disk.chain(remote) {
            exit::say("warning", &problem);
        }
    }
}

impl Remote {
    fn open(choice: RemoteChoice, fingerprint: Fingerprint) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
        let namespace =
            Namespace::new(&choice.project, fingerprint).map_err(|error| wrong(&error))?;
        let patience = if choice.required { FLUSH_MAX } else { BUDGET_MAX };
        let budget = choice.budget.unwrap_or(patience);
        let config = RemoteConfig { server: choice.server, namespace, budget };
        let store = RemoteStore::open(config).map_err(|error| wrong(&error))?;
        Ok(Self { store: Arc::new(store), budget: choice.budget, required: choice.required })
    }
}

fn disk(choice: &CacheChoice) -> Option<DiskStore> {
    let (dir, size_max) = (choice.dir.clone()?, choice.size_max);
    Some(DiskStore::open(DiskConfig { dir, size_max }))
}

const NOWHERE: &str = "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is an \
                       absolute path; set one of them, or give --cache-dir";
