//! Seeds, a corpus and random bytes -> a bounded run of a target, as a test.

use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rayon::prelude::*;
use std::fs;
use std::path::Path;

/// Runs `check` on the target's files and on `count` random inputs of up to
/// `len_max` bytes, the same each time.
pub fn run(target: &str, check: fn(&[u8]), count: u64, len_max: usize) {
    // One input, a crash for instance.
    if let Some(path) = std::env::var_os("FUZZ_INPUT") {
        return check(&fs::read(path).unwrap());
    }
    let files = files(target);
    assert!(!files.is_empty(), "{target} has no seeds");
    files.par_iter().for_each(|input| check(input));
    (0..count).into_par_iter().for_each(|seed| {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut input = vec![0; random.random_range(0..=len_max)];
        random.fill_bytes(&mut input);
        check(&input);
    });
}

/// What is kept of a target's inputs, those of crashes that were mended too.
fn files(target: &str) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for directory in ["seeds", "corpus"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory).join(target);
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries {
            inputs.push(fs::read(entry.unwrap().path()).unwrap());
        }
    }
    inputs
}
