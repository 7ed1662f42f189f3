//! Two modules -> the second one's artifact without a cache, cold, warm, and on what the first
//! one has left: Wasmtime's bytes each time, or with relocatable stencils the same ones.

use crate::hosts::{self, Chosen};
use crate::tally::{Outcome, StencilsTally};
use arbitrary::Unstructured;
use oracle::stages::{assert_stages, assert_warmed_by};
use oracle::store::MemoryStore;

/// Of all executions in this process.
pub static TALLY: StencilsTally = StencilsTally::new();

/// # Panics
///
/// If an artifact is not Wasmtime's, or with relocatable stencils not what it is without a cache.
pub fn check(input: &[u8]) {
    hosts::execute(input, &TALLY, run);
}

fn run(chosen: &Chosen, choices: &mut Unstructured<'_>) -> arbitrary::Result<Outcome> {
    let Chosen { engine, compiler, kind } = *chosen;
    // Wasm-smith would use up all choices for the first module.
    let (first, second) = {
        let len = choices.len() / 2;
        (choices.bytes(len)?, choices.bytes(choices.len())?)
    };
    let other = kind.module_from(&mut Unstructured::new(first))?;
    let wasm = kind.module_from(&mut Unstructured::new(second))?;
    let store = MemoryStore::default();
    if assert_stages("generated", engine, compiler, &store, &wasm).is_none() {
        return Ok(Outcome::NoCase);
    }
    Ok(match assert_warmed_by("warmed by another", engine, compiler, &other, &wasm) {
        Some(warmed) if warmed.from_other > 0 => Outcome::Hit,
        _ => Outcome::Missed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke;
    use rayon::prelude::*;

    #[test]
    fn smoke() {
        smoke::inputs("module_equals_stock", 150, 4096)
            .par_bridge()
            .for_each(|input| check(&input));
        println!("{TALLY}");
        assert!(TALLY.hits_in_each(20.0), "{TALLY}");
    }
}
