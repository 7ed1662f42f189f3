//! A module -> its compile times with stock Wasmtime, cold and warm, through the
//! tiers.
//!
//! `cargo run --release -p cache-client --features wasmtime --example
//! wasmtime_plugin [MODULE]`: compiles the module twice, as two processes would
//! that share a cache directory: each with tiers and a store of its own.

use cache_client::wasmtime::{WasmtimeConfig, WasmtimeStats, WasmtimeStore};
use cache_client::{DiskConfig, DiskStore, MemoryStore, TieredStore};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stencil::CacheStore;
use wasmtime::{Config, Engine};

const MEMORY_BYTES: u64 = 256 << 20;

/// The tiers of one machine, nearest first. A server's tier goes last.
fn tiers(cache: &Path) -> Arc<dyn CacheStore> {
    let memory = Arc::new(MemoryStore::new(MEMORY_BYTES));
    let disk = Arc::new(DiskStore::open(DiskConfig::new(cache)));
    Arc::new(TieredStore::new(vec![memory, disk]))
}

fn compile(
    cache: &Path,
    module: &Path,
    wasm: &[u8],
) -> Result<(Duration, WasmtimeStats), Box<dyn Error>> {
    let start = Instant::now();
    let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(tiers(cache))));
    let mut config = Config::new();
    config.enable_incremental_compilation(store.clone())?;
    let engine = Engine::new(&config)?;
    let prefetched = store.prefetch(module.as_os_str().as_encoded_bytes());
    engine.precompile_module(wasm)?;
    prefetched.finish();
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
    let module = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/wasm/ledger.wasm")),
        PathBuf::from,
    );
    let wasm = std::fs::read(&module)?;
    let directory = tempfile::tempdir()?;
    let cache = directory.path().join("cache");
    for name in ["first", "second"] {
        let (time, stats) = compile(&cache, &module, &wasm)?;
        print(name, time, &stats);
    }
    Ok(())
}
