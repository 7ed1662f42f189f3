//! A module or component, and an edit of it -> the edit's artifact, compiled on what the original
//! has left in the cache: Wasmtime's bytes, or with relocatable stencils those of no cache.

use crate::hosts::{self, Chosen, enriched, with_relocations};
use crate::tally::{Outcome, StencilsTally};
use arbitrary::{Arbitrary, Unstructured};
use generate::component::Component;
use generate::edit::Edit;
use generate::mutate::mutate;
use oracle::stages::assert_warmed_by;
use oracle::testdata::text_files;
use std::sync::LazyLock;

/// Of all executions in this process.
pub static TALLY: StencilsTally = StencilsTally::new();

/// Modules written by hand, so that what wasm-smith seldom makes is edited too.
static TEXTS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| text_files("wat").into_iter().map(|(_, wasm)| wasm).collect());

#[derive(Arbitrary)]
enum Change {
    /// Something is put in, moved or changed.
    Edit,
    /// The edit is taken back: what was put in is removed.
    Undo,
    /// Whatever wasm-mutate thinks of.
    Mutate,
    /// Wasm-mutate, and then an edit.
    Both,
}

/// # Panics
///
/// If an artifact is not Wasmtime's, or with relocatable stencils not what it is without a cache.
pub fn check(input: &[u8]) {
    hosts::execute(input, &TALLY, run);
}

fn run(chosen: &Chosen, choices: &mut Unstructured<'_>) -> arbitrary::Result<Outcome> {
    let Chosen { engine, compiler, kind } = *chosen;
    let (what, base, edited) = if choices.ratio(1, 8)? {
        let component = Component::new(choices)?;
        ("rewired".to_owned(), component.wasm(), component.rewired(choices)?.wasm())
    } else {
        let change = Change::arbitrary(choices)?;
        let edit = *choices.choose(&Edit::every())?;
        let seed = u64::arbitrary(choices)?;
        let wasm = match choices.ratio(1, 6)? {
            true => choices.choose(&TEXTS)?.clone(),
            false => kind.module_from(choices)?,
        };
        let wasm = enriched(compiler, seed, wasm);
        let edited = match change {
            Change::Edit | Change::Undo => edit.apply(&wasm),
            Change::Mutate => mutate(&wasm, seed),
            Change::Both => mutate(&wasm, seed).and_then(|mutant| edit.apply(&mutant)),
        };
        let Some(edited) = edited else {
            return Ok(Outcome::NoCase);
        };
        let [wasm, edited] = [wasm, edited].map(|wasm| with_relocations(compiler, seed, wasm));
        match change {
            Change::Undo => (format!("{edit:?} undone"), edited, wasm),
            _ => (format!("{edit:?}"), wasm, edited),
        }
    };
    let warmed = assert_warmed_by(&what, engine, compiler, &base, &edited);
    Ok(match warmed {
        None => Outcome::NoCase,
        Some(warmed) if warmed.from_other > 0 => Outcome::Hit,
        Some(_) => Outcome::Missed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke;
    use rayon::prelude::*;

    #[test]
    fn smoke() {
        smoke::inputs("module_edit", 300, 4096).par_bridge().for_each(|input| check(&input));
        println!("{TALLY}");
        assert!(TALLY.hits_in_each(30.0), "{TALLY}");
    }
}
