//! Functions of a real program -> keys, entries and code, beside Cranelift's own.

use anyhow::Result;
use benches::clif::staged::{Staged, split_and_key};
use benches::clif::{front_end_ir, timed};
use cranelift_codegen::Context;
use cranelift_codegen::incremental_cache::compute_cache_key;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use stencil::clif::{Splitter, fingerprint};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/wasm/ledger.wasm");

fn main() -> Result<()> {
    let front_end = front_end_ir(&std::fs::read(MODULE)?)?;
    let isa = timed::host_isa()?;
    let fingerprint = fingerprint(&*isa);
    let staged = front_end.functions.iter();
    let staged = staged.map(|of| Staged::of(&*isa, &fingerprint, &of.function));
    let staged = staged.collect::<Result<Vec<_>>>()?;

    let mut criterion = Criterion::default().configure_from_args();
    let functions = Throughput::Elements(staged.len() as u64);

    let mut group = criterion.benchmark_group("clif key");
    group.throughput(functions.clone());
    let mut splitter = Splitter::new();
    group.bench_function("split + key", |bencher| {
        bencher.iter(|| {
            for of in &staged {
                black_box(split_and_key(&mut splitter, &fingerprint, of.original));
            }
        });
    });
    group.bench_function("compute_cache_key", |bencher| {
        bencher.iter(|| {
            for of in &staged {
                black_box(compute_cache_key(&*isa, of.original));
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("clif hit");
    group.throughput(functions.clone());
    group.bench_function("open + finalize", |bencher| {
        bencher.iter(|| staged.iter().for_each(|of| drop(black_box(of.open_and_finalize()))));
    });
    group.bench_function("try_finish_recompile", |bencher| {
        bencher.iter(|| staged.iter().for_each(|of| drop(black_box(of.finish_recompile()))));
    });
    group.finish();

    let mut group = criterion.benchmark_group("clif compile");
    group.throughput(functions).sample_size(10);
    let mut context = Context::new();
    group.bench_function("original, with a clone", |bencher| {
        bencher.iter(|| {
            for of in &staged {
                context.clear();
                context.func = of.original.clone();
                let _ = black_box(context.compile(&*isa, &mut Default::default()));
            }
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
