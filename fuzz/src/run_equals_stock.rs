//! A module -> what its exports do, run from stock Wasmtime's code and from code that an edit of
//! the module, or the module before an edit, has left in the cache: the same results, traps, fuel
//! and memories.

mod observe;

use crate::hosts::{either, enriched, with_relocations};
use crate::tally::{Outcome, StencilsTally};
use arbitrary::{Arbitrary as _, Unstructured};
use generate::edit::Edit;
use generate::smith::Kind;
use observe::observe;
use oracle::hosts::{Host, Setting};
use oracle::stages::assert_warmed_by;
use std::sync::LazyLock;
use wasm_compiler::{Compiler, Stencils};
use wasmtime::{Engine, Module};

/// Of all executions in this process.
pub static TALLY: StencilsTally = StencilsTally::new();

static HOSTS: LazyLock<[Host; 2]> = LazyLock::new(|| {
    [Setting::Default, Setting::Unoptimised].map(|setting| {
        Host::new(setting, |config| {
            config.parallel_compilation(false).consume_fuel(true).max_wasm_stack(128 << 10);
        })
    })
});

/// What an execution is about.
struct Case {
    engine: &'static Engine,
    compiler: &'static Compiler,
    kind: Kind,
    edit: Edit,
    /// What arguments come from, and the kind of stencils.
    seed: u64,
}

/// # Panics
///
/// If the cached code did something else.
pub fn check(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let Ok(case) = choose(&mut choices) else { return };
    let outcome = run(&case, &mut choices).unwrap_or(Outcome::NoCase);
    TALLY.count(case.compiler.settings().stencils(), outcome);
}

fn choose(choices: &mut Unstructured<'_>) -> arbitrary::Result<Case> {
    let host = &HOSTS[usize::from(choices.ratio(1, 4)?)];
    let kind = *choices.choose(&[Kind::Default, Kind::Plain, Kind::Gc, Kind::Swarm])?;
    let edit = *choices.choose(&Edit::every())?;
    let seed = u64::arbitrary(choices)?;
    let compiler = host.compiler_with(either(seed as usize));
    Ok(Case { engine: &host.engine, compiler, kind, edit, seed })
}

fn run(case: &Case, choices: &mut Unstructured<'_>) -> arbitrary::Result<Outcome> {
    let Case { engine, compiler, kind, edit, seed } = *case;
    let wasm = enriched(compiler, seed, kind.open_module_from(choices)?);
    let (other, wasm) = match edit.apply(&wasm) {
        // Numbers at the borders of what can be an address are to be run, too.
        Some(edited) if Edit::CONSTANTS.contains(&edit) && seed & 2 != 0 => (wasm, edited),
        Some(edited) => (edited, wasm),
        None => (wasm.clone(), wasm),
    };
    let [other, wasm] = [other, wasm].map(|wasm| with_relocations(compiler, seed, wasm));
    let Some(warmed) = assert_warmed_by("to be run", engine, compiler, &other, &wasm) else {
        return Ok(Outcome::NoCase);
    };
    let stock = Module::new(engine, &wasm).expect("it was compiled before");
    // SAFETY: the artifact was made just now, by the compiler under test, for
    // this engine, and nobody could change it in between.
    let cached = unsafe { Module::deserialize(engine, &warmed.artifact) };
    let cached = cached.expect("Wasmtime loads it");
    let (mut expected, mut found) = (observe(&stock, seed), observe(&cached, seed));
    if compiler.settings().stencils() == Stencils::Relocatable {
        let same = before_overflow(&expected).min(before_overflow(&found));
        expected.truncate(same);
        found.truncate(same);
    }
    assert_eq!(expected, found, "{edit:?}");
    Ok(if warmed.from_other > 0 { Outcome::Hit } else { Outcome::Missed })
}

/// How many of the observations come before the stack is full. How far a recursion comes
/// depends on the size of frames, which is another one in relocatable code, and what is
/// observed afterwards on how far it came.
fn before_overflow(observed: &[String]) -> usize {
    let full = observed.iter().position(|line| line.contains("StackOverflow"));
    full.unwrap_or(observed.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke;
    use rayon::prelude::*;

    #[test]
    fn smoke() {
        smoke::inputs("run_equals_stock", 200, 4096).par_bridge().for_each(|input| check(&input));
        println!("{TALLY}");
        assert!(TALLY.hits_in_each(30.0), "{TALLY}");
    }
}
