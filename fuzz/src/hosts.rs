//! A fuzzer's first choices -> the configuration, the stencils and the kind of module of an
//! execution.

use crate::tally::{Outcome, StencilsTally};
use arbitrary::{Arbitrary as _, Unstructured};
use generate::edit::{Edit, Tables};
use generate::linked::linked;
use generate::smith::Kind;
use oracle::hosts::{Host, Setting};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use wasm_compiler::{Compiler, Stencils};
use wasmtime::Engine;

/// One thread each: an execution is too short to share.
static HOSTS: LazyLock<BTreeMap<Setting, Host>> = LazyLock::new(|| {
    let host = |setting| {
        let host = Host::new(setting, |config| {
            config.parallel_compilation(false);
        });
        (setting, host)
    };
    Setting::ALL.into_iter().map(host).collect()
});

/// What an execution is about.
pub struct Chosen {
    /// The judge.
    pub engine: &'static Engine,
    /// What is judged.
    pub compiler: &'static Compiler,
    /// What modules are made of.
    pub kind: Kind,
}

/// Runs one execution of an input, and counts it.
pub fn execute(
    input: &[u8],
    tally: &StencilsTally,
    run: impl FnOnce(&Chosen, &mut Unstructured<'_>) -> arbitrary::Result<Outcome>,
) {
    let mut choices = Unstructured::new(input);
    let Ok(chosen) = choose(&mut choices) else { return };
    let outcome = run(&chosen, &mut choices).unwrap_or(Outcome::NoCase);
    tally.count(chosen.compiler.settings().stencils(), outcome);
}

fn choose(choices: &mut Unstructured<'_>) -> arbitrary::Result<Chosen> {
    // One byte for both, so that inputs from when there was one kind of stencils mean what they
    // meant.
    let (stencils, kind) = {
        let byte = usize::from(u8::arbitrary(choices)?);
        (byte / Kind::ALL.len(), Kind::ALL[byte % Kind::ALL.len()])
    };
    let setting = match kind {
        Kind::Proposals => Setting::Proposals,
        // Most go where they are taken.
        _ if choices.ratio(3, 5)? => Setting::Default,
        _ => *choices.choose(&Setting::ALL)?,
    };
    let host = &HOSTS[&setting];
    Ok(Chosen { engine: &host.engine, compiler: host.compiler_with(either(stencils)), kind })
}

/// The kind of stencils that a number's lowest bit says.
pub fn either(number: usize) -> Stencils {
    if number.is_multiple_of(2) { Stencils::Exact } else { Stencils::Relocatable }
}

/// Where stencils are relocatable, the module with a linker's relocations, if two bits of the seed
/// say so: of all its numbers, or of every third.
pub fn with_relocations(compiler: &Compiler, seed: u64, wasm: Vec<u8>) -> Vec<u8> {
    let one_in = [None, None, Some(1), Some(3)][(seed >> 3 & 3) as usize];
    let one_in = one_in.filter(|_| compiler.settings().stencils() == Stencils::Relocatable);
    one_in.and_then(|one_in| linked(&wasm, one_in)).unwrap_or(wasm)
}

/// The bit of a seed that has addresses in the place of all constants.
pub const ADDRESSES: u64 = 4;

/// The module with what wasm-smith seldom makes, where a bit of the seed says so: tables that cannot
/// grow; and with relocatable stencils, addresses in the place of all constants.
pub fn enriched(compiler: &Compiler, seed: u64, wasm: Vec<u8>) -> Vec<u8> {
    let is_relocatable = compiler.settings().stencils() == Stencils::Relocatable;
    let edits = [
        (Edit::Differences, seed & ADDRESSES != 0 && is_relocatable),
        (Edit::Tables(Tables::Fixed), seed & 256 != 0),
    ];
    let wanted = edits.into_iter().filter(|(_, is_wanted)| *is_wanted);
    wanted.fold(wasm, |wasm, (edit, _)| edit.apply(&wasm).unwrap_or(wasm))
}
