//! The checks behind the fuzz targets: bytes -> a claim about the cache that they are to break.
//!
//! Each module is one target: `check` takes a fuzzer's input, `smoke` runs a
//! bounded number of inputs as an ordinary test. `fuzz_targets/` hands the
//! bytes over and does nothing else.
pub mod clif_cache;
pub mod entry_decode;
#[cfg(test)]
mod seeds;
pub mod tally;

/// Random inputs for a smoke, of up to `len_max` bytes, the same each time.
#[cfg(test)]
fn inputs(count: u64, len_max: usize) -> impl Iterator<Item = Vec<u8>> {
    use rand::rngs::SmallRng;
    use rand::{Rng as _, RngExt as _, SeedableRng as _};
    (0..count).map(move |seed| {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut bytes = vec![0; random.random_range(0..=len_max)];
        random.fill_bytes(&mut bytes);
        bytes
    })
}
