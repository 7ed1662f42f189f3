//! Entries -> a server, through the client of the real build, a piece at a time.
//!
//! Invariant: all that was given is acknowledged, stored or found to be there
//! with the same bytes; anything else is an error.

use anyhow::{Result, ensure};
use cache_client::remote::{RemoteConfig, RemoteReport, RemoteStore, ServerConfig};
use proto::Namespace;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use stencil::{CacheStore as _, NewEntry};

/// Bytes of entries, decoded, that are given to the client's queue before it is
/// waited for. A flush has a time limit, and a slow disk should not meet it.
const PIECE_BYTES: usize = 32 << 20;

/// How long a flush waits for a server that takes nothing.
const STALL: Duration = Duration::from_secs(60);

/// What was published, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Entries given, those that several modules have more than once.
    pub offered: u64,
    /// Entries that the server has stored.
    pub stored: u64,
    /// Those that it had already, with the same bytes.
    pub already_there: u64,
    /// Those that it had already, with other bytes. Always 0; anything else is
    /// an error.
    pub conflicts: u64,
    /// All entries' bytes, decoded.
    pub entry_bytes: u64,
    /// The same as they travelled.
    pub wire_bytes: u64,
    /// From the first entry to the last acknowledgement.
    pub seconds: f64,
}

/// A stream of entries on their way to a server.
pub struct Publisher {
    store: RemoteStore,
    piece: Vec<NewEntry>,
    piece_bytes: usize,
    offered: u64,
    entry_bytes: u64,
    started: Instant,
}

impl Publisher {
    /// One with a connection of its own.
    ///
    /// # Errors
    ///
    /// If the address is none.
    pub fn new(url: &str, namespace: &Namespace) -> Result<Self> {
        let server = ServerConfig::new(url);
        let config = RemoteConfig { server, namespace: namespace.clone(), budget: STALL };
        Ok(Self {
            store: RemoteStore::open(config)?,
            piece: Vec::new(),
            piece_bytes: 0,
            offered: 0,
            entry_bytes: 0,
            started: Instant::now(),
        })
    }

    /// Gives one more entry.
    ///
    /// # Errors
    ///
    /// If the server has not taken all so far.
    pub fn push(&mut self, entry: NewEntry) -> Result<()> {
        self.offered += 1;
        self.entry_bytes += entry.bytes.len() as u64;
        self.piece_bytes += entry.bytes.len();
        self.piece.push(entry);
        if self.piece_bytes < PIECE_BYTES {
            return Ok(());
        }
        self.send().map(drop)
    }

    /// What has travelled so far, in bytes.
    pub fn wire_bytes(&self) -> u64 {
        self.store.report().published_wire_bytes
    }

    /// Sends what is left.
    ///
    /// # Errors
    ///
    /// If the server has not taken all.
    pub fn finish(mut self) -> Result<Published> {
        let report = self.send()?;
        Ok(Published {
            offered: self.offered,
            stored: report.published.stored,
            already_there: report.published.already_there,
            conflicts: report.published.conflicts,
            entry_bytes: self.entry_bytes,
            wire_bytes: report.published_wire_bytes,
            seconds: self.started.elapsed().as_secs_f64(),
        })
    }

    fn send(&mut self) -> Result<RemoteReport> {
        self.store.publish(&self.piece);
        self.piece.clear();
        self.piece_bytes = 0;
        let report = self.store.flush();
        let taken = report.published.stored + report.published.already_there;
        ensure!(
            taken == self.offered && report.failed_calls == 0,
            "of {} entries the server has taken {taken}: {:?} {}",
            self.offered,
            report.published,
            self.store.problems().join("; ")
        );
        Ok(report)
    }
}

/// Publishes every entry of every module, shared ones several times, as the
/// builds of a farm do that have all begun with nothing.
///
/// # Errors
///
/// If the server has not taken all.
pub fn publish<'a>(
    url: &str,
    namespace: &Namespace,
    entries: impl IntoIterator<Item = &'a NewEntry>,
) -> Result<Published> {
    let mut publisher = Publisher::new(url, namespace)?;
    entries.into_iter().try_for_each(|entry| publisher.push(entry.clone()))?;
    publisher.finish()
}
