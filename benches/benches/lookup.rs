//! The keys of a module -> its entries: one batch, from each local tier.

use anyhow::{Result, ensure};
use benches::stage_inputs::StageInputs;
use cache_client::{DiskConfig, DiskStore, MemoryStore};
use criterion::{BatchSize, Criterion, Throughput};
use stencil::{CacheStore, Lookup};

fn main() -> Result<()> {
    let inputs = StageInputs::load()?;
    // A compile may look up what it then does not need; that is never published.
    let keys: Vec<_> = inputs.entries.iter().map(|entry| entry.key).collect();
    let memory = MemoryStore::new(u64::MAX);
    let directory = tempfile::tempdir()?;
    let open = || DiskStore::open(DiskConfig::new(directory.path().join("cache")));
    let disk = open();
    for store in [&memory as &dyn CacheStore, &disk] {
        store.publish(&inputs.entries);
        let all = store.lookup(&keys).iter().all(|answer| matches!(answer, Lookup::Hit(..)));
        ensure!(all, "a full store misses: {:?}", disk.problems());
    }

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("memory", |bencher| bencher.iter(|| memory.lookup(&keys)));
    group.bench_function("disk", |bencher| bencher.iter(|| disk.lookup(&keys)));
    // What a new process pays: the files are opened by the first lookup.
    group.bench_function("disk, first", |bencher| {
        bencher.iter_batched(
            open,
            |disk| {
                let answers = disk.lookup(&keys);
                (disk, answers)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
