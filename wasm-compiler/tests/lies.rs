//! Entries with a whole seal that this compiler would not have made. Those that
//! cannot be linked once failed the build, each time anew; they are misses.

use oracle::same::{assert_same, stock};
use oracle::store::MemoryStore;
use oracle::testdata::file;
use std::borrow::Cow;
use stencil::compiled::{RelocationTarget, StencilRelocation};
use stencil::{
    CacheKey, CacheStore, CalleeIndex, EntryBytes, ExternalName, Lookup, MissReason,
    StencilBuilder, entry,
};
use wasm_compiler::Compiler;
use wasmtime::{Config, Engine};

/// Answers with entries that have one more relocation, the one given.
struct Liar<'a> {
    store: &'a MemoryStore,
    relocation: StencilRelocation,
}

impl Liar<'_> {
    fn lie(&self, key: &CacheKey, bytes: &EntryBytes) -> EntryBytes {
        let stencil = entry::open(key, bytes).expect("it is sound");
        let mut code = stencil.code().to_vec();
        code.resize(code.len() + 8, 0);
        let (callees, sources) = (stencil.callee_count(), stencil.source_count());
        let mut forged = StencilBuilder::new(code, stencil.alignment(), callees, sources);
        forged.relocation(self.relocation);
        entry::seal(key, &forged).expect("it is small")
    }
}

impl CacheStore for Liar<'_> {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let mut answers = self.store.lookup(keys);
        for (key, answer) in keys.iter().zip(&mut answers) {
            if let Lookup::Hit(bytes, _) = answer {
                *bytes = self.lie(key, bytes);
            }
        }
        answers
    }
}

#[track_caller]
fn check(target: &str, relocation: StencilRelocation) {
    let mut config = Config::new();
    config.target(target).expect("it is in this build");
    let engine = Engine::new(&config).expect("its settings fit");
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let wasm = file("wasm/ledger.wasm");
    let store = MemoryStore::default();
    let (_, cold) = compiler.compile(&wasm, &store).expect("it compiles");
    let liar = Liar { store: &store, relocation };
    let (found, report) = compiler.compile(&wasm, &liar).expect("a lie is a miss");
    assert_same(target, &wasm, &stock(&engine, &wasm).expect("Wasmtime takes it"), &found);
    assert_eq!(report.rejected, cold.misses, "{relocation:?}");
    assert_eq!(report.miss_reasons.get(&MissReason::BadEntry), Some(&cold.misses));
    assert_eq!(report.bypass_reason, None);
    store.assert_no_conflicts();
}

const X86_CALL: u8 = 0;
const ARM_CALL: u8 = 1;

fn relocation(kind: u8, addend: i64, index: u32) -> StencilRelocation {
    // The builtins' namespace is made up of high bits; this one is nobody's.
    let target = RelocationTarget::Fixed(ExternalName { namespace: 0x7777_0000, index });
    StencilRelocation { offset: 0, kind, addend, target }
}

#[test]
fn unknown_functions_are_not_linked() {
    check("x86_64-unknown-linux-gnu", relocation(X86_CALL, -4, 3));
    check("aarch64-unknown-linux-gnu", relocation(ARM_CALL, 0, 3));
}

#[test]
fn other_relocations_are_not_linked() {
    for (kind, addend) in [(9, -4), (ARM_CALL, 0), (X86_CALL, 5)] {
        check("x86_64-unknown-linux-gnu", relocation(kind, addend, 0));
    }
    for (kind, addend) in [(200, 0), (X86_CALL, -4), (ARM_CALL, 4)] {
        check("aarch64-unknown-linux-gnu", relocation(kind, addend, 0));
    }
}

#[test]
fn callees_beyond_the_parameters_are_not_linked() {
    let target = RelocationTarget::Callee(CalleeIndex(1_000_000));
    let relocation = StencilRelocation { offset: 0, kind: X86_CALL, addend: -4, target };
    check("x86_64-unknown-linux-gnu", relocation);
}

/// A sound entry that does not fit stayed where it was, as a conflict, and was
/// missed by every compile.
#[test]
fn an_entry_that_does_not_fit_is_replaced() {
    let engine = Engine::default();
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let wasm = file("wasm/ledger.wasm");
    let store = MemoryStore::default();
    let (expected, cold) = compiler.compile(&wasm, &store).expect("it compiles");
    let relocation = relocation(X86_CALL, -4, 3);
    let liar = Liar { store: &MemoryStore::default(), relocation };
    store.entries().iter_mut().for_each(|(key, bytes)| *bytes = liar.lie(key, bytes));
    let (found, report) = compiler.compile(&wasm, &store).expect("a lie is a miss");
    assert_same("misfits", &wasm, &expected, &found);
    assert_eq!((report.rejected, report.conflicts), (cold.misses, 0));
    let (found, report) = compiler.compile(&wasm, &store).expect("it compiles");
    assert_same("replaced", &wasm, &expected, &found);
    assert_eq!(report.misses, 0, "{:?}", report.miss_reasons);
}
