//! Stencils of a module <-> entries: all of them sealed, all of them opened.

use anyhow::Result;
use benches::stage_inputs::{StageInputs, unsealed};
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use stencil::{NewEntry, entry};

fn main() -> Result<()> {
    let inputs = StageInputs::load()?;
    let open = |NewEntry { key, bytes }| Ok((key, unsealed(&entry::open(&key, &bytes)?)));
    let stencils = inputs.entries.iter().cloned().map(open).collect::<Result<Vec<_>>>()?;

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("entry");
    group.throughput(Throughput::Bytes(inputs.entry_bytes()));
    group.bench_function("seal", |bencher| {
        bencher.iter(|| {
            for (key, stencil) in &stencils {
                let _ = black_box(entry::seal(key, stencil));
            }
        });
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| {
            for NewEntry { key, bytes } in &inputs.entries {
                let _ = black_box(entry::open(key, bytes));
            }
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
