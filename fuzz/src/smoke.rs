//! The name of a target -> the inputs of its run as a test: those that are kept for it, and random
//! ones, the same each time.

use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use std::fs;
use std::path::Path;

/// The target's files, and `count` random inputs of up to `len_max` bytes; or
/// the one file that `FUZZ_INPUT` names, a crash for instance.
pub fn inputs(
    target: &str,
    count: u64,
    len_max: usize,
) -> Box<dyn Iterator<Item = Vec<u8>> + Send> {
    if let Some(path) = std::env::var_os("FUZZ_INPUT") {
        return Box::new(std::iter::once(fs::read(path).unwrap()));
    }
    Box::new(kept(target).into_iter().chain(random(count, len_max)))
}

/// Random inputs of up to `len_max` bytes.
pub fn random(count: u64, len_max: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |seed| {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut input = vec![0; random.random_range(0..=len_max)];
        random.fill_bytes(&mut input);
        input
    })
}

/// What is kept of a target's inputs, those of crashes that were mended too, by name.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for kind in ["seeds", "corpus"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
        paths.extend(fs::read_dir(directory).into_iter().flatten().map(|it| it.unwrap().path()));
    }
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}
