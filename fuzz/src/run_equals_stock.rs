//! A module -> what its exports do, run from stock Wasmtime's code and from code that an edit of
//! the module, or the module before an edit, has left in the cache: the same results, traps, fuel
//! and memories.

mod observe;

use crate::hosts::{ADDRESSES, either, enriched, with_relocations};
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

/// Steps of all calls where no fuel is counted.
const STEPS: u32 = 2_000;

/// The hosts' settings, and whether fuel is counted in any case.
const SETTINGS: [(Setting, bool); 5] = [
    (Setting::Default, true),
    (Setting::Unoptimised, true),
    (Setting::Checked, true),
    (Setting::Proposals, true),
    (Setting::Default, false),
];

static HOSTS: LazyLock<[Host; 5]> = LazyLock::new(|| {
    SETTINGS.map(|(setting, counts_fuel)| {
        Host::new(setting, |config| {
            config.parallel_compilation(false).max_wasm_stack(128 << 10);
            // Which NaN comes of two is another one in relocatable code.
            config.consume_fuel(counts_fuel).cranelift_nan_canonicalization(true);
        })
    })
});

/// What an execution is about.
struct Case {
    engine: &'static Engine,
    compiler: &'static Compiler,
    kind: Kind,
    /// Whether the host ends its calls, and not the module itself.
    counts_fuel: bool,
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
    let unoptimised = usize::from(choices.ratio(1, 4)?);
    let kind = *choices.choose(&[Kind::Default, Kind::Plain, Kind::Gc, Kind::Swarm])?;
    let edit = *choices.choose(&Edit::every())?;
    let seed = u64::arbitrary(choices)?;
    let (host, kind) = match seed >> 5 & 7 {
        0..4 => (unoptimised, kind),
        4 => (2, kind),
        5 => (3, Kind::Proposals),
        _ => (4, kind),
    };
    let (_, counts_fuel) = SETTINGS[host];
    let host = &HOSTS[host];
    let compiler = host.compiler_with(either(seed as usize));
    Ok(Case { engine: &host.engine, compiler, kind, counts_fuel, edit, seed })
}

fn run(case: &Case, choices: &mut Unstructured<'_>) -> arbitrary::Result<Outcome> {
    let Case { engine, compiler, kind, counts_fuel, edit, seed } = *case;
    let (wasm, runs_edited) = match counts_fuel {
        true => (enriched(compiler, seed, kind.open_module_from(choices)?), seed & 2 != 0),
        false => {
            // With other constants a module may not end by itself.
            let wasm = kind.ending_module_from(choices, STEPS)?;
            (enriched(compiler, seed & !ADDRESSES, wasm), false)
        }
    };
    let (other, wasm) = match edit.apply(&wasm) {
        Some(edited) if runs_edited => (wasm, edited),
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
