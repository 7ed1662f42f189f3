//! The role of Wasmtime's own incremental cache: several inputs in one process,
//! since its store is this process's memory.
//!
//! Each compile has an engine of its own; they share the store.

use crate::input::read;
use crate::roles::ms_since;
use crate::roles::stock;
use crate::{artifact, blob, child};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use wasmtime::{Config, Engine};

/// What the process says of one compile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IncrementalReport {
    /// Making the engine and compiling, in milliseconds.
    pub compile_ms: f64,
    /// User and system time of all threads for it, in milliseconds.
    pub cpu_ms: f64,
    /// Functions and trampolines that were asked for.
    pub lookups: u64,
    /// Those that were there.
    pub hits: u64,
    /// Machine code in bytes, of all that were asked for.
    pub code_bytes: u64,
    /// Machine code in bytes, of those that were there.
    pub hit_code_bytes: u64,
    /// The process's peak so far.
    pub peak_rss_bytes: u64,
}

/// A map that counts.
#[derive(Debug, Default)]
struct CountingStore {
    values: RwLock<HashMap<Vec<u8>, Vec<u8>>>,
    lookups: AtomicU64,
    hits: AtomicU64,
    hit_code_bytes: AtomicU64,
    new_code_bytes: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn take(counter: &AtomicU64) -> u64 {
    counter.swap(0, Ordering::Relaxed)
}

impl wasmtime::CacheStore for CountingStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        add(&self.lookups, 1);
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        let value = values.get(key)?.clone();
        add(&self.hits, 1);
        add(&self.hit_code_bytes, blob::code_bytes(&value).unwrap_or(0));
        Some(Cow::Owned(value))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        add(&self.new_code_bytes, blob::code_bytes(&value).unwrap_or(0));
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        values.insert(key.to_vec(), value);
        true
    }
}

impl CountingStore {
    /// The counts since the last call.
    fn report(&self, compile_ms: f64, cpu_ms: f64) -> IncrementalReport {
        let hit_code_bytes = take(&self.hit_code_bytes);
        IncrementalReport {
            compile_ms,
            cpu_ms,
            lookups: take(&self.lookups),
            hits: take(&self.hits),
            code_bytes: hit_code_bytes + take(&self.new_code_bytes),
            hit_code_bytes,
            peak_rss_bytes: child::own_peak_rss_bytes(),
        }
    }
}

/// Where the artifact of the n-th input goes.
pub fn output_of(output: &Path, nth: usize) -> PathBuf {
    output.join(format!("{nth}.cwasm"))
}

/// Compiles the inputs in their order.
pub(crate) fn play(output: &Path, inputs: &[PathBuf]) -> Result<Vec<IncrementalReport>> {
    let store = Arc::new(CountingStore::default());
    let mut reports = Vec::new();
    for (nth, input) in inputs.iter().enumerate() {
        let wasm = read(input)?;
        let (start, cpu) = (Instant::now(), child::own_cpu());
        let cwasm = stock::compile(&engine(&store)?, &wasm, input)?;
        let (compile_ms, cpu) = (ms_since(start), child::own_cpu().saturating_sub(cpu));
        reports.push(store.report(compile_ms, cpu.as_secs_f64() * 1e3));
        artifact::write(&output_of(output, nth), [cwasm.as_slice()])?;
    }
    Ok(reports)
}

fn engine(store: &Arc<CountingStore>) -> Result<Engine> {
    let mut config = Config::new();
    let store: Arc<dyn wasmtime::CacheStore> = store.clone();
    let engine =
        config.enable_incremental_compilation(store).and_then(|config| Engine::new(config));
    engine.map_err(anyhow::Error::from).context("Wasmtime's incremental cache cannot be had")
}
