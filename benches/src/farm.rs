//! A LOAD FOR THE SERVER: modules -> a build farm that asks for them -> how fast
//! it is served, beside Redis.
//!
//! [`run`] is the spine. [`mix`] is what is asked for, [`peers`] who is asked,
//! [`load`] the workers that ask, [`turnover`] what the disk holds, [`results`]
//! what came out, and [`table`] shows it to a person.
//!
//! Server, Redis and workers share one machine: a figure is what all three can
//! do together on its processors. The processor time of either side for each
//! megabyte is shown too.

pub mod arguments;

pub mod mix;
pub mod prepared;

pub mod redis_process;

pub mod memory_bound;

pub mod publish;

pub mod expected;
pub mod load;
pub mod resp;
pub mod wire;

pub mod peers;

pub mod turnover;

pub mod results;
pub mod table;

use anyhow::{Context as _, Result};
use arguments::FarmArguments;
use expected::Expected;
use mix::Mix;
use results::{FarmResults, ModuleFigures};
use std::collections::HashMap;
use tokio::runtime::{Builder, Runtime};

/// Threads of the one runtime that all workers share.
pub const CLIENT_THREADS: usize = 2;

/// Measures everything that the arguments ask for.
///
/// # Errors
///
/// If anything fails, or an answer is not the right one.
pub fn run(arguments: &FarmArguments) -> Result<FarmResults> {
    let mix = Mix::load(&arguments.modules, Some(&arguments.prepared()))?;
    let expected = Expected::of(&mix)?;
    let runtime = client_runtime()?;
    let binary = arguments.server_binary();
    let directory = tempfile::Builder::new().prefix("farm-").tempdir()?;

    let (server, published) = peers::hot_server(&binary, &directory.path().join("hot"), &mix)?;
    let disk_server = peers::disk_server(&binary, &directory.path().join("disk"), &mix)?;
    let mut peers = vec![server, disk_server];
    let mut redis = None;
    if arguments.redis {
        let path = directory.path();
        let (peer, figures) = peers::redis(path, &mix, &expected, arguments, &runtime)?;
        peers.push(peer);
        redis = Some(figures);
    }
    peers.iter().try_for_each(|peer| peer.warm_up(&expected, &runtime))?;
    for round in 0..arguments.rounds {
        for &clients in &arguments.clients {
            for peer in &mut peers {
                peer.measure(&expected, &arguments.load(clients, round), &runtime)?;
            }
        }
    }
    let peers = peers.into_iter().map(peers::Measured::finish).collect::<Result<_>>()?;
    let turnover = match arguments.size_max_mib {
        0 => None,
        mib => Some(turnover::turn_over(&binary, &mix, mib)?),
    };
    Ok(FarmResults {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        client_threads: CLIENT_THREADS as u64,
        verify_every: arguments.verify_every,
        seed: arguments.seed,
        modules: modules(&mix, &expected),
        entries: mix.entries().count() as u64,
        entry_bytes: mix.entries().map(|entry| entry.bytes.len() as u64).sum(),
        published,
        peers,
        redis,
        turnover,
    })
}

/// The runtime of all workers.
///
/// # Errors
///
/// If there are no threads.
pub fn client_runtime() -> Result<Runtime> {
    let builder = &mut Builder::new_multi_thread();
    let builder = builder.worker_threads(CLIENT_THREADS).enable_all();
    builder.build().context("no threads for the workers")
}

fn modules(mix: &Mix, expected: &[Expected]) -> Vec<ModuleFigures> {
    let mut users = HashMap::<_, u32>::new();
    let keys = mix.modules.iter().flat_map(|module| &module.keys);
    keys.for_each(|key| *users.entry(key).or_default() += 1);
    let figures = mix.modules.iter().zip(expected).map(|(module, expected)| ModuleFigures {
        name: module.name.clone(),
        wasm_bytes: module.wasm_bytes,
        keys: module.keys.len() as u64,
        absent_keys: (module.keys.len() as u64).saturating_sub(expected.entries()),
        shared_keys: module.keys.iter().filter(|key| users[key] > 1).count() as u64,
        coded_bytes: expected.coded_bytes(),
        entry_bytes: expected.entry_bytes(),
    });
    figures.collect()
}
