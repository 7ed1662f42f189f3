//! A module -> its artifact: all functions in memory, and for comparison none.

use anyhow::{Result, ensure};
use benches::stage_inputs::StageInputs;
use cache_client::MemoryStore;
use criterion::{Criterion, Throughput};
use stencil::CacheStore as _;
use wasm_compiler::NoCache;

/// A compile without a cache takes long; this many are enough to tell it from a
/// warm one.
const COLD_SAMPLES: usize = 10;

fn main() -> Result<()> {
    let StageInputs { wasm, compiler, entries, .. } = StageInputs::load()?;
    let memory = MemoryStore::new(u64::MAX);
    memory.publish(&entries);
    let (_, report) = compiler.compile(&wasm, &memory)?;
    ensure!(report.misses == 0, "the full store misses {} pieces", report.misses);

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("compile");
    group.throughput(Throughput::Bytes(wasm.len() as u64));
    group.bench_function("warm", |bencher| bencher.iter(|| compiler.compile(&wasm, &memory)));
    group.sample_size(COLD_SAMPLES);
    group.bench_function("no cache", |bencher| bencher.iter(|| compiler.compile(&wasm, &NoCache)));
    group.finish();
    criterion.final_summary();
    Ok(())
}
