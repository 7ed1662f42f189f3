//! Workers with empty caches, for a time -> what has arrived, and how long each
//! module's lookup took.
//!
//! Every worker has a connection of its own and builds the modules one after the
//! other, each once in a random order, then again in another one.
//!
//! Invariants:
//! - a lookup that was started is finished, checked and counted, and the time
//!   counts until the last of them has ended;
//! - a worker holds a chunk, or a socket's buffer, but never a module.

use crate::farm::expected::{Arrived, Check, Expected};
use crate::farm::resp::{self, Mget, Resp};
use crate::farm::wire::{self, Wire};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use proto::Namespace;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Who is asked.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A cache server.
    Server {
        /// Its address.
        url: String,
        /// Where on it the entries are.
        namespace: Namespace,
    },
    /// A Redis.
    Redis {
        /// Its port on this machine.
        port: u16,
        /// Keys in one MGET.
        batch: usize,
        /// Commands on their way at once.
        depth: usize,
    },
}

/// How much is asked.
#[derive(Clone, Debug)]
pub struct Load {
    /// Workers.
    pub clients: u32,
    /// For how long they start lookups.
    pub window: Duration,
    /// How many each of them starts at most.
    pub lookups_max: u64,
    /// See [`Check::new`].
    pub verify_every: u32,
    /// Decides the modules' order.
    pub seed: u64,
}

/// What the workers of one measurement got.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// All that they asked for.
    pub arrived: Arrived,
    /// From the first lookup's start to the last one's end.
    pub elapsed: Duration,
    /// How long one lookup took, by its module's place in the list.
    pub lookups: Vec<(usize, Duration)>,
}

/// A module's requests, made once for all workers.
struct Plan {
    expected: Arc<[Expected]>,
    requests: Vec<Requests>,
}

enum Requests {
    Wire(Vec<Bytes>),
    Resp(Vec<Mget>, usize),
}

enum Connected {
    Wire(Wire),
    Resp(Resp),
}

/// Loads a peer.
///
/// # Errors
///
/// If a worker cannot connect, or gets an answer that is not the right one.
pub async fn load(peer: &Peer, modules: &Arc<[Expected]>, load: &Load) -> Result<Loaded> {
    let requests = modules.iter().map(|module| match peer {
        Peer::Server { .. } => Requests::Wire(wire::requests(module)),
        Peer::Redis { batch, depth, .. } => {
            Requests::Resp(resp::mget_commands(&module.keys, *batch), *depth)
        }
    });
    let plan = Arc::new(Plan { expected: modules.clone(), requests: requests.collect() });
    let mut connections = Vec::new();
    for _ in 0..load.clients {
        connections.push(match peer {
            Peer::Server { url, namespace } => {
                Connected::Wire(Wire::connect(url, namespace, load.clients).await?)
            }
            Peer::Redis { port, .. } => Connected::Resp(Resp::connect(*port).await?),
        });
    }
    let mut seeds = StdRng::seed_from_u64(load.seed);
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for connection in connections {
        let worker = Worker {
            connection,
            plan: plan.clone(),
            order: StdRng::seed_from_u64(seeds.random()),
            check: Check::new(load.verify_every),
            deadline: started + load.window,
            got: Loaded::default(),
        };
        workers.spawn(worker.work(load.lookups_max));
    }
    let mut all = Loaded::default();
    while let Some(got) = workers.join_next().await {
        let got = got??;
        all.arrived.add(&got.arrived);
        all.lookups.extend(got.lookups);
    }
    all.elapsed = started.elapsed();
    Ok(all)
}

struct Worker {
    connection: Connected,
    plan: Arc<Plan>,
    order: StdRng,
    check: Check,
    deadline: Instant,
    got: Loaded,
}

impl Worker {
    async fn work(mut self, lookups_max: u64) -> Result<Loaded> {
        let mut left = lookups_max;
        let mut modules: Vec<usize> = (0..self.plan.expected.len()).collect();
        loop {
            modules.shuffle(&mut self.order);
            for &module in &modules {
                if left == 0 || Instant::now() >= self.deadline {
                    self.got.arrived = self.check.arrived;
                    return Ok(self.got);
                }
                left -= 1;
                let started = Instant::now();
                self.lookup(module).await?;
                self.got.lookups.push((module, started.elapsed()));
            }
        }
    }

    async fn lookup(&mut self, module: usize) -> Result<()> {
        let Self { connection, plan, check, .. } = self;
        let expected = &plan.expected[module];
        check.begin(expected);
        match (connection, &plan.requests[module]) {
            (Connected::Wire(wire), Requests::Wire(requests)) => {
                wire.lookup(expected, requests, check).await?;
            }
            (Connected::Resp(resp), Requests::Resp(commands, depth)) => {
                // Redis keeps neither of the two beside an entry; the client knows.
                let found = |index: usize, data: &[u8]| {
                    let shape = expected.shapes[index];
                    let shape = shape.with_context(|| format!("redis has key {index}"))?;
                    check.entry(expected, index, (shape.coding, shape.entry_bytes), data)
                };
                resp.mget(commands, *depth, found).await?;
            }
            _ => unreachable!("the requests are made for the peer"),
        }
        check.end(expected)
    }
}
