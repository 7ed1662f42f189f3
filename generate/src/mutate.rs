//! A module and a seed -> a mutant of it by wasm-mutate.

use wasm_mutate::WasmMutate;

/// How much work a mutation may be; its rewriting of expressions can take seconds.
const FUEL: u64 = 200;

/// A valid module that differs from this one; `None` where wasm-mutate finds none.
pub fn mutate(wasm: &[u8], seed: u64) -> Option<Vec<u8>> {
    let mut mutator = WasmMutate::default();
    mutator.seed(seed).fuel(FUEL).preserve_semantics(false);
    mutator.run(wasm).ok()?.next()?.ok()
}
