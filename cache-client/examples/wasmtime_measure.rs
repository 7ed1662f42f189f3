//! A module -> warm times of the plugin beside those of a map in memory.
//!
//! `cargo run --release -p cache-client --features wasmtime,remote --example
//! wasmtime_measure MODULE [ROUNDS] [SERVER]`: every way is filled by the same number of
//! compiles; then they are timed by turns, and the medians are printed. The disk
//! is opened anew for each compile, with a new store, as by a new process; so is
//! the server, without local tiers, and once more for a project that it has never
//! heard of. `finish` and the server's acknowledgement are timed with the compile.

use cache_client::remote::{BUDGET_MAX, RemoteConfig, RemoteStore, ServerConfig};
use cache_client::wasmtime::{self as plugin, WasmtimeConfig, WasmtimeStats, WasmtimeStore};
use cache_client::{DiskConfig, DiskStore, MemoryStore};
use proto::Namespace;
use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use stencil::CacheStore;
use wasmtime::{Config, Engine};

const ROUNDS: usize = 5;
/// Stock's keys settle over the first builds.
const FILLS: usize = 2;

/// What the plugin is compared with.
#[derive(Debug, Default)]
struct MapStore {
    values: RwLock<HashMap<Vec<u8>, Vec<u8>>>,
    gets: AtomicU64,
    hits: AtomicU64,
}

impl wasmtime::CacheStore for MapStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        let value = values.get(key)?.clone();
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(Cow::Owned(value))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        values.insert(key.to_vec(), value);
        true
    }
}

/// Time, hits and gets of one compile.
struct Run {
    time: Duration,
    hits: u64,
    gets: u64,
}

fn compile(wasm: &[u8], store: Option<Arc<dyn wasmtime::CacheStore>>) -> wasmtime::Result<()> {
    let mut config = Config::new();
    if let Some(store) = store {
        config.enable_incremental_compilation(store)?;
    }
    Engine::new(&config)?.precompile_module(wasm)?;
    Ok(())
}

fn without(wasm: &[u8]) -> wasmtime::Result<Run> {
    let start = Instant::now();
    compile(wasm, None)?;
    Ok(Run { time: start.elapsed(), hits: 0, gets: 0 })
}

fn through_map(wasm: &[u8], map: &Arc<MapStore>) -> wasmtime::Result<Run> {
    let start = Instant::now();
    compile(wasm, Some(map.clone()))?;
    let time = start.elapsed();
    Ok(Run {
        time,
        hits: map.hits.swap(0, Ordering::Relaxed),
        gets: map.gets.swap(0, Ordering::Relaxed),
    })
}

fn through_plugin(wasm: &[u8], tiers: impl Fn() -> Arc<dyn CacheStore>) -> wasmtime::Result<Run> {
    let start = Instant::now();
    let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(tiers())));
    let prefetched = store.prefetch(b"module");
    let prefetch = start.elapsed();
    compile(wasm, Some(store.clone()))?;
    let compiled = start.elapsed();
    prefetched.finish();
    let time = start.elapsed();
    let WasmtimeStats { gets, prefetched_entries, .. } = store.stats();
    eprintln!(
        "    prefetch {prefetch:.1?} ({prefetched_entries} entries), finish {:.1?}, {:?}",
        time - compiled,
        store.stats().misses
    );
    Ok(Run { time, hits: store.stats().hits(), gets })
}

fn through_server(wasm: &[u8], url: &str, project: &str) -> Result<Run, Box<dyn Error>> {
    let start = Instant::now();
    let namespace = Namespace::new(project, plugin::fingerprint(&[]))?;
    let server = ServerConfig::new(url);
    let remote =
        Arc::new(RemoteStore::open(RemoteConfig { server, namespace, budget: BUDGET_MAX })?);
    let run = through_plugin(wasm, || remote.clone())?;
    remote.flush();
    remote.problems().iter().for_each(|problem| eprintln!("    {problem}"));
    Ok(Run { time: start.elapsed(), ..run })
}

fn median(runs: &mut [Run]) -> Option<&Run> {
    runs.sort_unstable_by_key(|run| run.time);
    runs.get(runs.len() / 2)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let module = arguments.next().ok_or("usage: wasmtime_measure MODULE [ROUNDS]")?;
    let rounds = arguments.next().and_then(|n| n.to_str()?.parse().ok()).unwrap_or(ROUNDS);
    let server = arguments.next().map(|url| url.to_string_lossy().into_owned());
    let wasm = std::fs::read(module)?;
    let directory = tempfile::tempdir()?;
    let cache = directory.path().join("cache");
    let map = Arc::new(MapStore::default());
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    let disk = || -> Arc<dyn CacheStore> { Arc::new(DiskStore::open(DiskConfig::new(&cache))) };

    let project = format!("measure-{}", std::process::id());
    let local = ["without", "map", "memory", "disk"];
    let remote = ["server", "first"].into_iter().filter(|_| server.is_some());
    let mut ways: Vec<(&str, Vec<Run>)> =
        local.into_iter().chain(remote).map(|name| (name, Vec::new())).collect();
    for round in 0..FILLS + rounds {
        for (name, runs) in &mut ways {
            if ["without", "first"].contains(name) && round < FILLS {
                continue; // Nothing to fill.
            }
            let run = match *name {
                "without" => without(&wasm)?,
                "map" => through_map(&wasm, &map)?,
                "memory" => through_plugin(&wasm, || memory.clone())?,
                "disk" => through_plugin(&wasm, disk)?,
                name => {
                    let url = server.as_deref().unwrap_or_default();
                    let project = match name {
                        "server" => project.clone(),
                        _ => format!("{project}-{round}"),
                    };
                    through_server(&wasm, url, &project)?
                }
            };
            eprintln!("{round} {name}: {:.1?}, {} of {}", run.time, run.hits, run.gets);
            if round >= FILLS {
                runs.push(run);
            }
        }
    }
    let mut median_of = |name: &str| {
        let way = ways.iter_mut().find(|(way, _)| *way == name);
        way.and_then(|(_, runs)| Some(median(runs)?.time)).ok_or("no rounds")
    };
    let (cold, map) = (median_of("without")?.as_secs_f64(), median_of("map")?.as_secs_f64());
    for (name, runs) in &mut ways {
        if let Some(Run { time, hits, gets }) = median(runs) {
            let seconds = time.as_secs_f64();
            let (of_map, of_cold) = (seconds / map, 100.0 * seconds / cold);
            println!(
                "{name:8} {time:9.1?}  {of_map:5.2} x map  {of_cold:5.1} % of without  \
                 {hits} of {gets} found"
            );
        }
    }
    Ok(())
}
