//! A module -> its compile times with stock Wasmtime, cold and warm, through the
//! tiers.
//!
//! `cargo run --release -p cache-client --features wasmtime,remote --example
//! wasmtime_plugin [MODULE] [SERVER]`: compiles the module twice, as two machines would
//! that share a server: each with an empty directory, tiers and a store of its
//! own. Without a server they share the directory, as two processes would.

use cache_client::remote::{BUDGET_MAX, RemoteConfig, RemoteStore, ServerConfig};
use cache_client::wasmtime::{self as plugin, WasmtimeConfig, WasmtimeStats, WasmtimeStore};
use cache_client::{DiskConfig, DiskStore, MemoryStore, TieredStore};
use proto::Namespace;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stencil::CacheStore;
use wasmtime::{Config, Engine};

const MEMORY_BYTES: u64 = 256 << 20;

/// The server's tier.
fn remote(url: &str) -> Result<Arc<RemoteStore>, Box<dyn Error>> {
    let namespace = Namespace::new("plugin", plugin::fingerprint(&[]))?;
    let server = ServerConfig::new(url);
    Ok(Arc::new(RemoteStore::open(RemoteConfig { server, namespace, budget: BUDGET_MAX })?))
}

fn compile(
    cache: &Path,
    server: Option<&str>,
    module: &Path,
    wasm: &[u8],
) -> Result<(Duration, WasmtimeStats), Box<dyn Error>> {
    let start = Instant::now();
    let remote = server.map(remote).transpose()?;
    let mut tiers: Vec<Arc<dyn CacheStore>> = vec![
        Arc::new(MemoryStore::new(MEMORY_BYTES)),
        Arc::new(DiskStore::open(DiskConfig::new(cache))),
    ];
    tiers.extend(remote.iter().map(|remote| remote.clone() as Arc<dyn CacheStore>));
    let tiers = Arc::new(TieredStore::new(tiers));

    let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(tiers)));
    let mut config = Config::new();
    config.enable_incremental_compilation(store.clone())?;
    let engine = Engine::new(&config)?;
    let prefetched = store.prefetch(module.as_os_str().as_encoded_bytes());
    engine.precompile_module(wasm)?;
    prefetched.finish();
    if let Some(remote) = remote {
        remote.flush();
        remote.problems().iter().for_each(|problem| eprintln!("warning: {problem}"));
    }
    Ok((start.elapsed(), store.stats()))
}

fn print(name: &str, time: Duration, stats: &WasmtimeStats) {
    let rate = 100.0 * stats.hits() as f64 / stats.gets.max(1) as f64;
    println!(
        "{name}: {time:.0?}, {} of {} functions found ({rate:.1} %)",
        stats.hits(),
        stats.gets
    );
    println!(
        "  prefetched {}, held {}, asked {} in {:.1?}",
        stats.hits_prefetched, stats.hits_held, stats.asked, stats.asking
    );
    for (reason, count) in &stats.misses {
        println!("  not found, {reason}: {count}");
    }
    let published = &stats.published;
    println!(
        "  published {} ({} bytes), there already {}, conflicts {}, refused {}",
        published.stored,
        published.stored_bytes,
        published.already_there,
        stats.conflicts(),
        published.refused.values().chain(stats.inserts_refused.values()).sum::<u64>()
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(2);
    let module = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/wasm/ledger.wasm")),
        PathBuf::from,
    );
    let wasm = std::fs::read(&module)?;
    let directory = tempfile::tempdir()?;
    for name in ["first", "second"] {
        let cache = directory.path().join(if server.is_some() { name } else { "shared" });
        let (time, stats) = compile(&cache, server.as_deref(), &module, &wasm)?;
        print(name, time, &stats);
    }
    Ok(())
}
