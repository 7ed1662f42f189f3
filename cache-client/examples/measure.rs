//! A disk tier on this machine -> times for publish and lookup, and file size.
//!
//! `cargo run --release -p cache-client --example measure [DIR]`: publishes
//! 100,000 entries of 0.5 to 6 KB as modules of 19,000, then looks up all of
//! them in random order, and one module in publish order; each lookup by a
//! store that is opened anew. Prints the medians of five.

use cache_client::{DiskConfig, DiskStore};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::error::Error;
use std::time::{Duration, Instant};
use stencil::{CacheKey, CacheStore, Fingerprint, Lookup, NewEntry, StencilBuilder, entry};

const ENTRIES: u64 = 100_000;
const MODULE_ENTRIES: usize = 19_000;
const REPEATS: usize = 5;

fn new_entry(n: u64, random: &mut SmallRng) -> Result<NewEntry, Box<dyn Error>> {
    let key = CacheKey::from_bytes(*Fingerprint::of([("entry", &n.to_le_bytes()[..])]).as_bytes());
    let mut code = vec![0; random.random_range(500..6000)];
    random.fill(code.as_mut_slice());
    let stencil = StencilBuilder::new(code, 1, 0, 0);
    let bytes = entry::seal(&key, &stencil)?;
    Ok(NewEntry { key, bytes })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn lookups(config: &DiskConfig, keys: &[CacheKey]) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let store = DiskStore::open(config.clone());
        let start = Instant::now();
        let answers = store.lookup(keys);
        times.push(start.elapsed());
        let hits = answers.iter().filter(|a| matches!(a, Lookup::Hit(..))).count();
        if hits != keys.len() {
            return Err(format!("{hits} hits of {}: {:?}", keys.len(), store.problems()).into());
        }
    }
    Ok(median(times))
}

fn main() -> Result<(), Box<dyn Error>> {
    let kept = std::env::args_os().nth(1);
    let temporary = tempfile::tempdir()?;
    let dir = kept.map_or_else(|| temporary.path().join("cache"), Into::into);
    let config = DiskConfig::new(dir);
    let mut random = SmallRng::seed_from_u64(1);
    let entries = (0..ENTRIES).map(|n| new_entry(n, &mut random));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();

    let mut publishes = Vec::new();
    for module in entries.chunks(MODULE_ENTRIES) {
        let start = Instant::now();
        let summary = DiskStore::open(config.clone()).publish(module);
        publishes.push(start.elapsed());
        if summary.stored != module.len() as u64 {
            return Err(format!("{summary:?}").into());
        }
    }
    let mut keys: Vec<CacheKey> = entries.iter().map(|entry| entry.key).collect();
    let module = keys.get(..MODULE_ENTRIES).unwrap_or_default().to_vec();
    let absent: Vec<_> = (ENTRIES..ENTRIES + MODULE_ENTRIES as u64)
        .map(|n| {
            CacheKey::from_bytes(*Fingerprint::of([("entry", &n.to_le_bytes()[..])]).as_bytes())
        })
        .collect();
    keys.shuffle(&mut random);

    println!("{ENTRIES} entries, {:.1} MB", bytes as f64 / 1e6);
    println!("publish, in all                  {:?}", publishes.iter().sum::<Duration>());
    println!("publish, {MODULE_ENTRIES} entries          {:?}", median(publishes));
    println!("lookup, {MODULE_ENTRIES} in publish order  {:?}", lookups(&config, &module)?);
    println!("lookup, all in random order      {:?}", lookups(&config, &keys)?);
    let store = DiskStore::open(config);
    let start = Instant::now();
    store.lookup(&absent);
    println!("lookup, {MODULE_ENTRIES} absent            {:?}", start.elapsed());
    let start = Instant::now();
    let again = store.publish(entries.get(..MODULE_ENTRIES).unwrap_or_default());
    println!("publish, {} there already     {:?}", again.already_there, start.elapsed());
    println!("file                             {:.1} MB", store.stats().file_bytes as f64 / 1e6);
    let pruned = store.prune(Some(100 << 20));
    println!("after prune to 104.9 MB          {:.1} MB", pruned.file_bytes_after as f64 / 1e6);
    Ok(())
}
