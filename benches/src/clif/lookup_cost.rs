//! The entries of a module -> what it costs to have a function instead of compiling it.
//!
//! A function's entry is looked up with all others or alone, in memory or on disk,
//! opened, and its relocations are gone through; and what it costs to keep it.

use crate::stage_inputs::{StageInputs, unsealed};
use anyhow::{Result, ensure};
use cache_client::{DiskConfig, DiskStore, MemoryStore};
use std::hint::black_box;
use std::time::Instant;
use stencil::{CacheStore, Lookup, NewEntry, entry};

/// Nanoseconds an entry; each is the shortest of some rounds over all entries.
#[derive(Clone, Copy, Debug)]
pub struct LookupCost {
    /// Entries.
    pub entries: usize,
    /// Their mean size in bytes.
    pub entry_bytes: u64,
    /// In memory, all in one batch.
    pub memory_batch: f64,
    /// On disk, all in one batch.
    pub disk_batch: f64,
    /// In memory, one after the other.
    pub memory_single: f64,
    /// On disk, one after the other.
    pub disk_single: f64,
    /// On disk, one that is not there, one after the other.
    pub disk_absent: f64,
    /// Opening, and going through the relocations.
    pub open: f64,
    /// Sealing.
    pub seal: f64,
    /// Publishing to disk, all in one batch.
    pub disk_publish: f64,
    /// Publishing to disk, one after the other.
    pub disk_publish_single: f64,
}

/// A disk's transactions take long; this many of them are enough.
const SINGLE_PUBLISHES: usize = 200;

/// Measures them; `rounds` of 0 are one.
///
/// # Errors
///
/// If the module does not compile or a store does not keep its entries.
pub fn measure(wasm: Vec<u8>, rounds: u32) -> Result<LookupCost> {
    let inputs = StageInputs::of(wasm)?;
    let entries = inputs.entries.as_slice();
    let keys: Vec<_> = entries.iter().map(|of| of.key).collect();
    let directory = tempfile::tempdir()?;
    let open = |name: &str| DiskStore::open(DiskConfig::new(directory.path().join(name)));
    let (memory, disk, empty) = (MemoryStore::new(u64::MAX), open("full"), open("empty"));
    for store in [&memory as &dyn CacheStore, &disk] {
        store.publish(entries);
        let all = store.lookup(&keys).iter().all(|answer| matches!(answer, Lookup::Hit(..)));
        ensure!(all, "a full store misses: {:?}", disk.problems());
    }
    empty.publish(&entries[..entries.len().min(1)]);
    let stencils = entries
        .iter()
        .map(|NewEntry { key, bytes }| Ok((*key, unsealed(&entry::open(key, bytes)?))))
        .collect::<Result<Vec<_>>>()?;

    let single = |store: &dyn CacheStore| {
        for key in &keys {
            black_box(store.lookup(std::slice::from_ref(key)));
        }
    };
    let few = &entries[..entries.len().min(SINGLE_PUBLISHES)];
    let each = |work: &mut dyn FnMut(u32)| each_of(keys.len(), rounds, work);
    Ok(LookupCost {
        entries: keys.len(),
        entry_bytes: inputs.entry_bytes() / (keys.len() as u64).max(1),
        memory_batch: each(&mut |_| drop(black_box(memory.lookup(&keys)))),
        disk_batch: each(&mut |_| drop(black_box(disk.lookup(&keys)))),
        memory_single: each(&mut |_| single(&memory)),
        disk_single: each(&mut |_| single(&disk)),
        disk_absent: each(&mut |_| single(&empty)),
        open: each(&mut |_| entries.iter().for_each(open_one)),
        seal: each(&mut |_| {
            for (key, stencil) in &stencils {
                let _ = black_box(entry::seal(key, stencil));
            }
        }),
        disk_publish: each(&mut |round| {
            let disk = open(&format!("round {round}"));
            black_box(disk.publish(entries));
        }),
        disk_publish_single: each_of(few.len(), rounds, &mut |round| {
            let disk = open(&format!("single {round}"));
            few.iter().for_each(|entry| drop(disk.publish(std::slice::from_ref(entry))));
        }),
    })
}

/// From which compile time on, in nanoseconds, each pays.
#[derive(Clone, Copy, Debug)]
pub struct BreakEven {
    /// Asking: what a hit saves, as often as there is one, is what asking costs.
    pub lookup_ns: f64,
    /// Keeping: what the first later hit saves, as often as there is one, is what it costs.
    pub publish_ns: f64,
}

impl LookupCost {
    /// If all are asked for and published in one batch.
    pub fn of_batch(&self, hit_rate: f64, key_share: f64) -> BreakEven {
        self.of(self.disk_batch, self.disk_batch, self.disk_publish, hit_rate, key_share)
    }

    /// If each is asked for and published alone.
    pub fn of_single(&self, hit_rate: f64, key_share: f64) -> BreakEven {
        let (hit, absent) = (self.disk_single, self.disk_absent);
        self.of(hit, absent, self.disk_publish_single, hit_rate, key_share)
    }

    /// `key_share` is what making the key takes of a compile.
    fn of(&self, hit: f64, absent: f64, publish: f64, rate: f64, key_share: f64) -> BreakEven {
        let asked = rate * hit + (1.0 - rate) * absent;
        BreakEven {
            lookup_ns: (asked + rate * self.open) / (rate - key_share),
            publish_ns: ((self.seal + publish) / rate + hit + self.open) / (1.0 - key_share),
        }
    }
}

fn open_one(NewEntry { key, bytes }: &NewEntry) {
    if let Ok(stencil) = entry::open(key, bytes) {
        for relocation in stencil.relocations() {
            black_box(relocation);
        }
    }
}

/// Nanoseconds for one of so many, of the shortest round.
fn each_of(count: usize, rounds: u32, work: &mut dyn FnMut(u32)) -> f64 {
    let mut shortest = f64::INFINITY;
    for round in 0..rounds.max(1) {
        let start = Instant::now();
        work(round);
        shortest = shortest.min(start.elapsed().as_secs_f64() * 1e9);
    }
    shortest / count as f64
}
