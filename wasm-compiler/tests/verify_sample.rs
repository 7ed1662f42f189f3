//! A compiler that checks a share of its hits finds wrong entries of every kind
//! of piece and replaces them, in a module and in a component; one that does not
//! links them.

use oracle::forged::other_code;
use oracle::same::{assert_same, stock};
use oracle::store::MemoryStore;
use oracle::testdata::file;
use stencil::{CacheKey, EntryBytes, MissReason, Tier};
use wasm_compiler::{CompileError, Compiler, VerifySample};
use wasmtime::Engine;

const ALL: VerifySample = VerifySample::one_in(1).unwrap();

/// A store in which every `nth` entry, by key, has another one's code, and those
/// keys with their right entries.
fn lying(store: &MemoryStore, nth: usize) -> Vec<(CacheKey, EntryBytes)> {
    let mut entries = store.entries();
    let mut right: Vec<_> = entries.iter().map(|(key, bytes)| (*key, bytes.clone())).collect();
    right.sort();
    let victims: Vec<_> = right.iter().step_by(nth).cloned().collect();
    for (key, bytes) in &victims {
        let others = right.iter().map(|(key, bytes)| (key, bytes));
        entries.insert(*key, other_code(key, bytes, others));
    }
    victims
}

#[track_caller]
fn check(input: &str) {
    let engine = Engine::default();
    let wasm = file(input);
    let expected = stock(&engine, &wasm).expect("Wasmtime takes it");
    let mut compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let store = MemoryStore::default();
    compiler.compile(&wasm, &store).expect("it compiles");
    let victims = lying(&store, 5);

    let (unaware, report) = compiler.compile(&wasm, &store).expect("nothing shows");
    assert_eq!((report.misses, report.verified), (0, 0), "{input}");
    assert_ne!(unaware, expected, "{input}: the entries do no harm");

    compiler.set_verify(Some(ALL.strict(true)));
    let strict = compiler.compile(&wasm, &store);
    let Err(CompileError::Different { differences, .. }) = strict else {
        panic!("{input}: a strict compile succeeds")
    };
    // Builtins' trampolines that this input does not need are not compiled.
    assert!(!differences.is_empty() && differences.len() <= victims.len(), "{input}");
    for wrong in &differences {
        let victim = victims.iter().find(|(key, _)| *key == wrong.key);
        let (_, right) = victim.expect("all others are right");
        assert_eq!((&wrong.compiled, wrong.tier), (right, Tier::Memory), "{}", wrong.symbol);
        assert_eq!(store.entries().get(&wrong.key), Some(right), "{}", wrong.symbol);
    }

    let victims = lying(&store, 3);
    compiler.set_verify(Some(ALL));
    let (found, report) = compiler.compile(&wasm, &store).expect("wrong entries are misses");
    assert_same(input, &wasm, &expected, &found);
    let wrong = report.differences.len() as u64;
    assert!(wrong > 0 && wrong <= victims.len() as u64, "{input}: {wrong}");
    assert_eq!((report.misses, report.rejected, report.codegen), (wrong, wrong, wrong), "{input}");
    assert_eq!(report.miss_reasons.get(&MissReason::WrongCode), Some(&wrong));
    assert_eq!(report.published.stored, wrong, "{input}");
    assert_eq!(report.lookups, report.hits.total() + report.misses, "{input}");
    let (found, report) = compiler.compile(&wasm, &store).expect("it compiles");
    assert_same(input, &wasm, &expected, &found);
    assert_eq!((report.misses, report.differences.len()), (0, 0), "{input}");
    store.assert_no_conflicts();
}

#[test]
fn wrong_entries_of_a_module_are_found() {
    check("wasm/ledger.wasm");
}

#[test]
fn wrong_entries_of_a_component_are_found() {
    check("components/composed.wat");
}

#[test]
fn another_seed_checks_others() {
    let sample = VerifySample::one_in(4).expect("it is not 0");
    let engine = Engine::default();
    let wasm = file("wasm/ledger.wasm");
    let mut compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let store = MemoryStore::default();
    compiler.compile(&wasm, &store).expect("it compiles");
    let mut verified = 0;
    for seed in 0..4 {
        compiler.set_verify(Some(sample.with_seed(seed)));
        let (_, report) = compiler.compile(&wasm, &store).expect("it compiles");
        let taken = store.entries().keys().filter(|key| sample.with_seed(seed).takes(key)).count();
        assert_eq!(report.verified, taken as u64);
        verified += taken;
    }
    assert_eq!(verified, store.entries().len(), "four quarters are the whole");
}
