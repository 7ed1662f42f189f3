//! The role of the least that a warm compile can cost: the same bytes read,
//! hashed and written, and nothing done with them.
//!
//! The bytes written are as many as the artifact has, but those of the cache:
//! to read the artifact itself would cost another read.

use crate::input::read;
use crate::roles::ms_since;
use crate::{artifact, cache_directory};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Instant;

/// What the process says of itself, in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FloorReport {
    /// Reading the input.
    pub read_ms: f64,
    /// SHA-256 of the input, on one thread.
    pub sha256_ms: f64,
    /// Reading the cache.
    pub cache_ms: f64,
    /// Writing the output.
    pub write_ms: f64,
    /// Of the input, in hexadecimal digits: so that nothing is left out.
    pub sha256: String,
}

/// Reads, hashes and writes.
pub(crate) fn play(
    input: &Path,
    output: &Path,
    output_bytes: u64,
    cache_dir: &Path,
) -> Result<FloorReport> {
    let start = Instant::now();
    let wasm = read(input)?;
    let read_ms = ms_since(start);

    let start = Instant::now();
    let digest = Sha256::digest(&wasm);
    let sha256_ms = ms_since(start);

    let start = Instant::now();
    let mut cached = Vec::new();
    for file in cache_directory::files(cache_dir)? {
        cached.push(read(&file)?);
    }
    let cache_ms = ms_since(start);

    let start = Instant::now();
    artifact::write(output, repeat(cached.iter().chain([&wasm]), output_bytes))?;
    let write_ms = ms_since(start);
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FloorReport { read_ms, sha256_ms, cache_ms, write_ms, sha256 })
}

/// The parts, again and again, `total` bytes in all; nothing if there are none.
fn repeat<'a>(
    parts: impl Iterator<Item = &'a Vec<u8>> + Clone,
    total: u64,
) -> impl Iterator<Item = &'a [u8]> {
    let mut left = usize::try_from(total).unwrap_or(usize::MAX);
    parts.filter(|part| !part.is_empty()).cycle().map_while(move |part| {
        let taken = left.min(part.len());
        left -= taken;
        (taken > 0).then(|| &part[..taken])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_as_many_bytes_as_asked_for_are_written() {
        let parts = [vec![1; 10], vec![], vec![2; 5]];
        for total in [0, 1, 10, 14, 15, 16, 100] {
            let bytes: usize = repeat(parts.iter(), total).map(<[u8]>::len).sum();
            assert_eq!(bytes as u64, total);
        }
        assert_eq!(repeat([].iter(), 7).count(), 0);
    }
}
