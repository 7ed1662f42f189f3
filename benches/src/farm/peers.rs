//! Published entries -> the peers that serve them, each in its own process: a
//! server with its memory tier, one without, and Redis.
//!
//! Invariant: before anything is measured, every peer has answered every module
//! once, and every entry of that was decoded and verified.

use crate::child;
use crate::farm::arguments::FarmArguments;
use crate::farm::expected::Expected;
use crate::farm::load::{Load, Peer, load};
use crate::farm::memory_bound::memory_bound_bytes;
use crate::farm::mix::Mix;
use crate::farm::publish::{Published, publish};
use crate::farm::redis_process::RedisProcess;
use crate::farm::results::{PeerFigures, RedisFigures, RedisTrial, Row, Run};
use crate::process::Process;
use crate::server_process::ServerProcess;
use anyhow::{Context as _, Result, ensure};
use proto::Namespace;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Keys in one MGET, tried before the measurement.
const REDIS_BATCHES: [usize; 4] = [64, 256, 1024, 4096];
/// Commands on their way at once, tried with each of them.
const REDIS_DEPTHS: [usize; 3] = [2, 8, 1024];
/// How long each of them is tried.
const REDIS_TRIAL: Duration = Duration::from_secs(1);

/// A peer that is measured.
pub struct Measured {
    name: &'static str,
    process: Running,
    runs: Vec<(u32, Vec<Run>)>,
}

enum Running {
    Server(ServerProcess, Namespace),
    Redis(RedisProcess, RedisFigures),
}

/// A server with all entries, in its memory tier as far as they fit.
///
/// # Errors
///
/// If it does not start, or does not take an entry.
pub fn hot_server(binary: &Path, data_dir: &Path, mix: &Mix) -> Result<(Measured, Published)> {
    let server = ServerProcess::start(binary, data_dir, &[])?;
    let namespace = namespace(mix)?;
    let published = publish_all(&server, &namespace, mix)?;
    Ok((Measured::server("server", server, namespace), published))
}

/// A server that was started again with no memory tier, on all entries.
///
/// # Errors
///
/// As [`hot_server`], or if it has fewer entries than before.
pub fn disk_server(binary: &Path, data_dir: &Path, mix: &Mix) -> Result<Measured> {
    let server = ServerProcess::start(binary, data_dir, &[])?;
    let namespace = namespace(mix)?;
    let stored = publish_all(&server, &namespace, mix)?.stored;
    server.process.stop()?;
    let server = ServerProcess::start(binary, data_dir, &["--hot-size", "0"])?;
    let entries = server.stats()?.entries;
    ensure!(entries == stored, "the server had {stored} entries; started again, it has {entries}");
    Ok(Measured::server("server, hot tier off", server, namespace))
}

/// A Redis with all entries, and how it is asked best.
///
/// # Errors
///
/// If it does not start, or answers wrongly.
pub fn redis(
    directory: &Path,
    mix: &Mix,
    expected: &Arc<[Expected]>,
    arguments: &FarmArguments,
    runtime: &Runtime,
) -> Result<(Measured, RedisFigures)> {
    let redis = runtime.block_on(async {
        let redis = RedisProcess::start(directory).await?;
        redis.fill(mix).await?;
        anyhow::Ok(redis)
    })?;
    let mut trials = Vec::new();
    for &clients in &arguments.clients {
        for (batch, depth) in
            REDIS_BATCHES.into_iter().flat_map(|batch| REDIS_DEPTHS.map(|depth| (batch, depth)))
        {
            let peer = Peer::Redis { port: redis.port, batch, depth };
            let mut asked = arguments.load(clients, 0);
            asked.window = asked.window.min(REDIS_TRIAL);
            let loaded = runtime.block_on(load(&peer, expected, &asked))?;
            let run = Run::of(&loaded, Duration::ZERO, Duration::ZERO);
            let coded_mb_per_s = run.coded_mb_per_s();
            trials.push(RedisTrial { clients, batch, depth, coded_mb_per_s });
        }
    }
    let figures = RedisFigures { version: redis.version.clone(), trials };
    let process = Running::Redis(redis, figures.clone());
    Ok((Measured { name: "redis, MGET", process, runs: Vec::new() }, figures))
}

fn namespace(mix: &Mix) -> Result<Namespace> {
    Ok(Namespace::new("farm", mix.fingerprint)?)
}

fn publish_all(server: &ServerProcess, namespace: &Namespace, mix: &Mix) -> Result<Published> {
    publish(&server.url, namespace, mix.modules.iter().flat_map(|module| &module.entries))
}

impl FarmArguments {
    /// What is asked of a peer in one measurement.
    pub fn load(&self, clients: u32, round: u32) -> Load {
        Load {
            clients,
            window: self.window(),
            lookups_max: self.lookups_max,
            verify_every: self.verify_every,
            seed: self.seed.wrapping_add(u64::from(round)),
        }
    }
}

impl Measured {
    fn server(name: &'static str, server: ServerProcess, namespace: Namespace) -> Self {
        Self { name, process: Running::Server(server, namespace), runs: Vec::new() }
    }

    /// How so many workers ask it.
    fn peer(&self, clients: u32) -> Peer {
        match &self.process {
            Running::Server(server, namespace) => {
                Peer::Server { url: server.url.clone(), namespace: namespace.clone() }
            }
            Running::Redis(redis, figures) => {
                let best = figures.best(clients).map(|best| (best.batch, best.depth));
                let (batch, depth) = best.unwrap_or((REDIS_BATCHES[0], REDIS_DEPTHS[0]));
                Peer::Redis { port: redis.port, batch, depth }
            }
        }
    }

    fn process(&self) -> &Process {
        match &self.process {
            Running::Server(server, _) => &server.process,
            Running::Redis(redis, _) => &redis.process,
        }
    }

    /// Asks for every module once, and verifies every entry.
    ///
    /// # Errors
    ///
    /// If one of them is not as it should be.
    pub fn warm_up(&self, expected: &Arc<[Expected]>, runtime: &Runtime) -> Result<()> {
        let once = Load {
            clients: 1,
            window: Duration::from_secs(600),
            lookups_max: expected.len() as u64,
            verify_every: 1,
            seed: 0,
        };
        let loaded = runtime.block_on(load(&self.peer(1), expected, &once)).context(self.name)?;
        ensure!(loaded.arrived.verified == loaded.arrived.entries, "not verified");
        Ok(())
    }

    /// Measures it once.
    ///
    /// # Errors
    ///
    /// If a worker does not get what it should.
    pub fn measure(
        &mut self,
        expected: &Arc<[Expected]>,
        asked: &Load,
        runtime: &Runtime,
    ) -> Result<()> {
        let before = (self.process().cpu()?, child::own_cpu());
        let loaded = runtime
            .block_on(load(&self.peer(asked.clients), expected, asked))
            .context(self.name)?;
        let peer_cpu = self.process().cpu()?.saturating_sub(before.0);
        let client_cpu = child::own_cpu().saturating_sub(before.1);
        let run = Run::of(&loaded, peer_cpu, client_cpu);
        match self.runs.iter_mut().find(|(clients, _)| *clients == asked.clients) {
            Some((_, runs)) => runs.push(run),
            None => self.runs.push((asked.clients, vec![run])),
        }
        Ok(())
    }

    /// What all measurements come to. The process is stopped.
    ///
    /// # Errors
    ///
    /// If it does not stop well.
    pub fn finish(self) -> Result<PeerFigures> {
        let peak_rss_bytes = self.process().peak_rss_bytes()?;
        let rows = self.runs.into_iter().map(|(clients, runs)| Row::of(clients, runs)).collect();
        let (process, memory_bound_bytes, hits) = match self.process {
            Running::Server(server, _) => {
                let stats = server.stats()?;
                let bound = memory_bound_bytes(&stats);
                (server.process, Some(bound), Some((stats.hits, stats.hot_hits)))
            }
            Running::Redis(redis, _) => (redis.process, None, None),
        };
        process.stop()?;
        let name = self.name.to_owned();
        Ok(PeerFigures { name, rows, peak_rss_bytes, memory_bound_bytes, hits })
    }
}
