//! The plugin hits where a map in this process's memory would, and Wasmtime
//! writes what it writes without a cache.
//!
//! Method: the same sequence of compiles through both. For the plugin each one
//! is a new process: a new store, and for the disk a new tier as well.

use crate::compile::{LEDGER, LEDGER_NEXT, MapStore, compile, through};
use cache_client::wasmtime::{WasmtimeConfig, WasmtimeStore};
use cache_client::{DiskConfig, DiskStore, MemoryStore};
use std::sync::Arc;
use stencil::CacheStore;

#[track_caller]
fn check(tiers: &dyn Fn() -> Arc<dyn CacheStore>) {
    let map = Arc::new(MapStore::default());
    for (nth, wasm) in [LEDGER, LEDGER, LEDGER_NEXT, LEDGER].into_iter().enumerate() {
        compile(wasm, Some(map.clone()));
        let (hits, gets) = map.take();
        let compiled = through(tiers(), wasm);
        let stats = &compiled.stats;
        assert_eq!((stats.hits(), stats.gets), (hits, gets), "compile {nth}: {stats:?}");
        assert_eq!(stats.misses(), gets - hits);
        assert_eq!(stats.inserts, gets - hits);
        assert_eq!(stats.conflicts(), 0);
        assert!(compiled.summary.refused.is_empty(), "{:?}", compiled.summary);
        assert!(compiled.cwasm == compile(wasm, None), "compile {nth}: other bytes than stock's");
    }
}

#[test]
fn memory_hits_where_a_map_does() {
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    check(&|| memory.clone());
}

#[test]
fn disk_hits_where_a_map_does() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("cache");
    check(&|| Arc::new(DiskStore::open(DiskConfig::new(dir.clone()))));
}

#[test]
fn an_edited_module_finds_what_its_last_build_used() {
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    through(memory.clone(), LEDGER);
    let stats = through(memory, LEDGER_NEXT).stats;
    assert!(stats.hits_prefetched > 0 && stats.misses() > 0, "{stats:?}");
    assert_eq!(stats.hits_asked, 0, "{stats:?}");
}

#[test]
fn without_prefetch_near_tiers_are_asked_for_every_key() {
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    let map = Arc::new(MapStore::default());
    for wasm in [LEDGER, LEDGER, LEDGER_NEXT] {
        compile(wasm, Some(map.clone()));
        let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(memory.clone())));
        assert!(compile(wasm, Some(store.clone())) == compile(wasm, None));
        store.flush();
        let stats = store.stats();
        assert_eq!((stats.hits_asked + stats.hits_held, stats.gets), map.take(), "{stats:?}");
    }
}

#[test]
fn dropping_the_store_publishes_what_it_took() {
    let memory = Arc::new(MemoryStore::new(u64::MAX));
    let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(memory.clone())));
    compile(LEDGER, Some(store.clone()));
    let inserts = store.stats().inserts;
    drop(store);
    assert_eq!(memory.size().0, inserts);
}

#[test]
fn many_threads_get_the_bytes_that_one_gets() {
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    for _ in 0..3 {
        let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(memory.clone())));
        let mut config = wasmtime::Config::new();
        config.enable_incremental_compilation(store.clone()).unwrap();
        let prefetched = store.prefetch(b"ledger");
        let engine = wasmtime::Engine::new(&config).unwrap();
        assert!(engine.precompile_module(LEDGER).unwrap() == compile(LEDGER, None));
        assert_eq!(prefetched.finish().conflicts, 0);
    }
}
