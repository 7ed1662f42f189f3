//! A data directory -> how fast it takes entries and gives them out.
//!
//! ```text
//! cargo run --release -p cache-server --example measure_storage -- DIR [ENTRIES]
//! ```

use bytes::Bytes;
use cache_server::storage::{Next, PackStorage, Storage as _, StorageConfig, StoredEntry};
use proto::coding::Encoder;
use proto::{Coded, Namespace};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::thread;
use std::time::{Duration, Instant};
use stencil::{CacheKey, Fingerprint};

/// Entries of one module.
const MODULE: usize = 13_000;
/// Entries of one chunk of a publish: about 512 KiB.
const CHUNK: usize = 300;
const PUBLISHERS: usize = 8;

fn entry(random: &mut StdRng) -> Option<StoredEntry> {
    let mut key = [0; 32];
    random.fill(&mut key);
    let len = match random.random_range(0..8) {
        0 => random.random_range(2000..10_000),
        _ => random.random_range(100..2000),
    };
    let mut data = vec![0; len];
    random.fill(data.as_mut_slice());
    data.resize(2 * len, 0);
    let coded: Coded = Encoder::new().encode(&Bytes::from(data)).ok()?;
    Some(StoredEntry { key: CacheKey::from_bytes(key), coded })
}

fn lookup(storage: &PackStorage, namespace: &Namespace, keys: &[CacheKey], what: &str) {
    let mut bytes = 0;
    let start = Instant::now();
    let counts = storage.lookup(namespace, keys, &mut |_, coded| {
        bytes += coded.data.len();
        Next::More
    });
    let time = start.elapsed();
    println!(
        "lookup {what:16} {time:8.1?}  {} of {} hits, {} hot, {} MB/s",
        counts.hits,
        counts.keys,
        counts.hot_hits,
        per_second(bytes, time)
    );
}

fn per_second(bytes: usize, time: Duration) -> u64 {
    (bytes as f64 / 1e6 / time.as_secs_f64()) as u64
}

fn run(dir: &str, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let namespace = Namespace::new("measure", Fingerprint::from_bytes([1; 32]))?;
    let config = StorageConfig::new(dir);
    let storage = PackStorage::open(config.clone())?;
    let mut random = StdRng::seed_from_u64(rand::random());
    let entries: Vec<StoredEntry> = (0..count).filter_map(|_| entry(&mut random)).collect();
    let bytes: usize = entries.iter().map(|entry| entry.coded.data.len()).sum();
    println!("{count} entries of {} bytes", bytes / count.max(1));
    let start = Instant::now();
    for chunk in entries.chunks(CHUNK) {
        storage.publish(&namespace, chunk.to_vec(), false)?;
    }
    let time = start.elapsed();
    let commits = count.div_ceil(CHUNK) as u32;
    println!(
        "publish {time:.1?}  {} MB/s, {:.1?} a commit",
        per_second(bytes, time),
        time / commits
    );
    let start = Instant::now();
    for chunk in entries.chunks(CHUNK) {
        storage.publish(&namespace, chunk.to_vec(), false)?;
    }
    println!("publish again {:.1?}", start.elapsed());
    // Keys of all over the packs, as another version of a module asks for.
    let step = (entries.len() / MODULE).max(1);
    let spread: Vec<CacheKey> = entries.iter().step_by(step).take(MODULE).map(|e| e.key).collect();
    let module: Vec<CacheKey> = entries.iter().take(MODULE).map(|entry| entry.key).collect();
    drop(storage);
    let start = Instant::now();
    let storage = PackStorage::open(config)?;
    println!("open {:.1?}", start.elapsed());
    lookup(&storage, &namespace, &module, "cold");
    lookup(&storage, &namespace, &module, "hot");
    lookup(&storage, &namespace, &spread, "cold, spread");
    lookup(&storage, &namespace, &spread, "hot, spread");
    let stats = storage.stats();
    println!(
        "disk {:.3} bytes a stored byte; table {} bytes an entry",
        stats.disk_bytes as f64 / stats.stored_bytes as f64,
        stats.table_bytes / stats.entries.max(1)
    );
    let more: Vec<StoredEntry> = (0..count).filter_map(|_| entry(&mut random)).collect();
    let start = Instant::now();
    let storage = &storage;
    thread::scope(|scope| {
        for part in more.chunks(more.len().div_ceil(PUBLISHERS)) {
            let namespace = &namespace;
            scope.spawn(move || {
                for chunk in part.chunks(CHUNK) {
                    if let Err(error) = storage.publish(namespace, chunk.to_vec(), false) {
                        eprintln!("{error}");
                    }
                }
            });
        }
    });
    let speed = per_second(bytes, start.elapsed());
    println!("publish from {PUBLISHERS} threads {:.1?}  {speed} MB/s", start.elapsed());
    storage.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(dir) = arguments.next() else {
        eprintln!("usage: measure_storage DIR [ENTRIES]");
        return Ok(());
    };
    let count = arguments.next().map_or(Ok(MODULE), |count| count.parse())?;
    run(&dir, count)
}
