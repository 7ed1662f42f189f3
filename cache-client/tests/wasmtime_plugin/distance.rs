//! How often the tiers are called, near and far.

use crate::compile::{LEDGER, LEDGER_NEXT, compile, simple, through};
use crate::tiers::Watched;
use cache_client::MemoryStore;
use cache_client::wasmtime::{PluginMiss, WasmtimeConfig, WasmtimeStore};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stencil::CacheStore;

const FAR: Duration = Duration::from_millis(20);

fn memory() -> Arc<dyn CacheStore> {
    Arc::new(MemoryStore::new(u64::MAX))
}

#[test]
fn a_warm_compile_makes_two_lookups_and_no_publish() {
    let memory = memory();
    let cold = through(memory.clone(), &simple(0));
    let watched = Arc::new(Watched::new(memory));
    let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(watched.clone())));
    let prefetched = store.prefetch(b"ledger");
    assert_eq!(watched.lookups().len(), 2);
    assert_eq!(watched.lookups().last(), Some(&(cold.stats.inserts as usize)));
    compile(&simple(0), Some(store.clone()));
    prefetched.finish();
    assert_eq!(watched.lookups().len(), 2);
    assert_eq!(watched.publishes(), [0; 0]);
}

#[test]
fn a_cold_compile_publishes_in_batches() {
    let watched = Arc::new(Watched::new(memory()));
    let stats = through(watched.clone(), LEDGER).stats;
    let publishes = watched.publishes();
    assert_eq!(publishes.iter().sum::<usize>() as u64, stats.inserts + 1, "and the manifest");
    assert_eq!(publishes.last(), Some(&1));
    // A batch a second, if the machine is slow.
    let seconds = stats.compiling.as_secs() as usize;
    assert!(publishes.len() <= 3 + 2 * seconds, "{publishes:?}");
}

/// In this much time with a far store this many single keys may be asked for.
fn asks_max(elapsed: Duration) -> u64 {
    // The first one finds out; then 2 % of the time.
    1 + (elapsed.as_millis() / 50 / FAR.as_millis()) as u64
}

#[test]
fn far_tiers_are_hardly_asked_after_a_prefetch() {
    let memory = memory();
    through(memory.clone(), LEDGER);
    for wasm in [LEDGER, LEDGER_NEXT] {
        let start = Instant::now();
        let stats = through(Arc::new(Watched::far(memory.clone(), FAR)), wasm).stats;
        assert!(stats.hits_prefetched > 0);
        assert!(stats.asked <= asks_max(start.elapsed()), "{stats:?}");
        assert!(stats.misses.contains_key(&PluginMiss::NotAsked), "{stats:?}");
    }
}

#[test]
fn far_tiers_are_hardly_asked_without_a_prefetch() {
    let memory = memory();
    through(memory.clone(), LEDGER);
    let far = Arc::new(Watched::far(memory, FAR));
    let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(far)));
    let start = Instant::now();
    let cwasm = compile(LEDGER, Some(store.clone()));
    let stats = store.stats();
    assert!(stats.asked <= asks_max(start.elapsed()), "{stats:?}");
    assert!(stats.asked >= 1);
    assert!(cwasm == compile(LEDGER, None));
}
