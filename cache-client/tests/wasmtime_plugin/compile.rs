//! A module and a store -> Wasmtime's artifact, and how often the store hit.

use cache_client::wasmtime::{WasmtimeConfig, WasmtimeStats, WasmtimeStore};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use stencil::{CacheStore, PublishSummary};
use wasmtime::{Config, Engine};

pub const LEDGER: &[u8] = include_bytes!("../../../testdata/wasm/ledger.wasm");
/// The next build of the same program, with an edit.
pub const LEDGER_NEXT: &[u8] = include_bytes!("../../../testdata/wasm/ledger-next.wasm");

/// A module of some functions of which the one numbered `edited` is another one.
///
/// Stock's keys of larger functions depend on whether the one before was a hit,
/// so that even the third build of one module has new keys; those of these do
/// not.
pub fn simple(edited: u32) -> Vec<u8> {
    let function = |n: u32| {
        let value = if n == edited { n + 1000 } else { n };
        format!(
            "(func (export \"f{n}\") (param i32) (result i32) local.get 0 i32.const {value} i32.mul)"
        )
    };
    format!("(module {})", (0..20).map(function).collect::<String>()).into_bytes()
}

/// Compiles on one thread, since Wasmtime's keys depend on which functions one
/// thread compiles after each other.
pub fn compile(wasm: &[u8], store: Option<Arc<dyn wasmtime::CacheStore>>) -> Vec<u8> {
    let mut config = Config::new();
    config.parallel_compilation(false);
    if let Some(store) = store {
        config.enable_incremental_compilation(store).unwrap();
    }
    Engine::new(&config).unwrap().precompile_module(wasm).unwrap()
}

/// What one compile through the plugin did.
pub struct Compiled {
    pub cwasm: Vec<u8>,
    pub stats: WasmtimeStats,
    pub summary: PublishSummary,
}

/// Compiles as a new process would: with a new store over the tiers.
pub fn through(tiers: Arc<dyn CacheStore>, wasm: &[u8]) -> Compiled {
    with(WasmtimeConfig::new(tiers), wasm)
}

/// The same with a configuration.
pub fn with(config: WasmtimeConfig, wasm: &[u8]) -> Compiled {
    let store = Arc::new(WasmtimeStore::new(config));
    let prefetched = store.prefetch(b"ledger");
    let cwasm = compile(wasm, Some(store.clone()));
    let summary = prefetched.finish();
    Compiled { cwasm, stats: store.stats(), summary }
}

/// The store that the plugin is compared with.
#[derive(Debug, Default)]
pub struct MapStore {
    values: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    hits_and_gets: Mutex<(u64, u64)>,
}

impl MapStore {
    /// Hits and gets since the last call.
    pub fn take(&self) -> (u64, u64) {
        std::mem::take(&mut self.hits_and_gets.lock().unwrap())
    }
}

impl wasmtime::CacheStore for MapStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let value = self.values.lock().unwrap().get(key).cloned();
        let mut counts = self.hits_and_gets.lock().unwrap();
        counts.0 += u64::from(value.is_some());
        counts.1 += 1;
        value.map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.values.lock().unwrap().insert(key.to_vec(), value);
        true
    }
}
