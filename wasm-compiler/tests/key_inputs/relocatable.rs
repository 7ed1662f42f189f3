//! The checks of relocatable stencils: what is found is what is compiled without a
//! cache, and does what Wasmtime's own code does.

use crate::check::{Input, Setup, check_changes, check_kept_by_layout, check_parameter, x86_64};
use oracle::store::MemoryStore;
use std::sync::LazyLock;
use wasmtime::{Config, Engine, Instance, Module, Store, Trap, Val, ValType};

/// Wasmtime's defaults, for a target whose code is understood.
pub static RELOCATABLE: LazyLock<Setup> = LazyLock::new(|| relocatable(|config| config));

/// [`RELOCATABLE`] with fuel.
pub static COUNTS_FUEL: LazyLock<Setup> =
    LazyLock::new(|| relocatable(|config| config.consume_fuel(true)));

/// [`RELOCATABLE`] with epochs.
pub static LOOKS_AT_EPOCHS: LazyLock<Setup> =
    LazyLock::new(|| relocatable(|config| config.epoch_interruption(true)));

/// [`RELOCATABLE`] with other settings.
pub fn relocatable(configure: impl FnOnce(&mut Config) -> &mut Config) -> Setup {
    x86_64(configure).into_relocatable()
}

/// The inputs differ in a number that is a parameter: either is found when the other one
/// has been compiled, and both do what they should.
#[track_caller]
pub fn check_number(setup: &Setup, first: &impl Input, second: &impl Input) {
    let artifacts = check_parameter(setup, first, second, 0);
    check_runs(setup, &first.wasm(), &artifacts[0]);
    check_runs(setup, &second.wasm(), &artifacts[1]);
    let artifacts = check_parameter(setup, second, first, 0);
    check_runs(setup, &second.wasm(), &artifacts[0]);
    check_runs(setup, &first.wasm(), &artifacts[1]);
}

/// The inputs differ in something that is in the key of their first function and changes
/// its code. On one store, in either order, both do what they should.
#[track_caller]
pub fn check_in_key(setup: &Setup, first: &impl Input, second: &impl Input) {
    check_changes(setup, first, second, 0);
    check_runs_on_one_store(setup, first, second);
}

/// Where a number of the first function stands in its code is not understood: there is code
/// for each number, which does what it should.
#[track_caller]
pub fn check_kept(setup: &Setup, first: &impl Input, second: &impl Input) {
    check_kept_by_layout(setup, first, second);
    check_runs_on_one_store(setup, first, second);
}

/// On one store, in either order, both inputs do what they should.
#[track_caller]
pub fn check_runs_on_one_store(setup: &Setup, first: &impl Input, second: &impl Input) {
    let (first, second) = (first.wasm(), second.wasm());
    for pair in [[&first, &second], [&second, &first]] {
        let store = MemoryStore::default();
        for wasm in pair {
            let artifact = setup.compile("on what the other has left", wasm, &store).artifact;
            check_runs(setup, wasm, &artifact);
        }
    }
}

/// An artifact does what Wasmtime's own does.
#[track_caller]
fn check_runs(setup: &Setup, wasm: &[u8], artifact: &[u8]) {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return;
    }
    let engine = setup.engine();
    let expected = Module::new(engine, wasm).expect("Wasmtime compiles it");
    // SAFETY: the artifact was made just now, by the compiler under test, for this engine,
    // and nobody could change it in between.
    let found = unsafe { Module::deserialize(engine, artifact) }.expect("Wasmtime loads it");
    assert_eq!(outcomes(engine, &found), outcomes(engine, &expected));
}

const ARGUMENTS: &[i32] = &[0, 1, 7, 70_000, 1 << 20, -1];

/// What a call has, where the configuration counts it: too little, and enough.
const FUEL: &[u64] = &[1, 2, 3, 4, 5, 6, 8, 10, 1_000_000];

/// What a module's function `run` gives, called with each of the arguments, and the fuel that is left.
/// All words of its memory `m` are different.
fn outcomes(engine: &Engine, module: &Module) -> Vec<String> {
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(1);
    // An error says that it is not counted.
    let fuel = if store.set_fuel(1_000_000).is_ok() { FUEL } else { &[0] };
    let instance = Instance::new(&mut store, module, &[]).expect("it has no imports");
    if let Some(memory) = instance.get_memory(&mut store, "m") {
        let words = memory.data_mut(&mut store).chunks_exact_mut(4);
        for (at, word) in words.enumerate() {
            word.copy_from_slice(&(at as u32).wrapping_mul(0x9e37_79b1).to_le_bytes());
        }
    }
    let run = instance.get_func(&mut store, "run").expect("it is exported");
    let ty = run.ty(&store);
    let mut outcome = |argument: i32, fuel: u64| {
        let value = |ty: ValType| match ty {
            ValType::I32 => Val::I32(argument),
            _ => Val::I64(i64::from(argument)),
        };
        let arguments: Vec<Val> = ty.params().map(value).collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        let _ = store.set_fuel(fuel);
        let outcome = match run.call(&mut store, &arguments, &mut results) {
            Ok(()) => format!("{results:?}"),
            Err(error) => format!("{:?}", error.downcast::<Trap>().expect("it is a trap")),
        };
        format!("{outcome}, fuel {:?}", store.get_fuel().ok())
    };
    let calls = ARGUMENTS.iter().flat_map(|argument| fuel.iter().map(|fuel| (*argument, *fuel)));
    calls.map(|(argument, fuel)| outcome(argument, fuel)).collect()
}
