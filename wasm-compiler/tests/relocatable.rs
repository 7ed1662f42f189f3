//! Relocatable stencils: the bytes are the same however they come about, and a function
//! is found again when data has moved.

#![cfg(target_arch = "x86_64")]

use generate::edit::{Constants, Edit};
use generate::smith::Kind;
use oracle::stages::{assert_stages, assert_warmed, assert_warmed_by};
use oracle::store::MemoryStore;
use oracle::testdata::{file, text_files};
use rayon::prelude::*;
use std::collections::BTreeMap;
use stencil::entry;
use wasm_compiler::{Compiler, NoCache, Report, Settings, Stencils, VerifySample};
use wasmtime::{Config, Engine};

const SMITH_MODULES: u64 = 150;

/// All that is off by default, so that every text file is taken.
fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true).wasm_branch_hinting(true);
    config.shared_memory(true);
    Engine::new(&config).expect("the configuration is sound")
}

fn compiler(engine: &Engine, stencils: Stencils) -> Compiler {
    let settings = Settings::from_engine(engine).expect("it compiles").with_stencils(stencils);
    Compiler::new(settings).expect("Wasmtime has taken the settings")
}

/// One that checks the code of all functions, and compiles all hits again.
fn checking(engine: &Engine) -> Compiler {
    let mut compiler = compiler(engine, Stencils::Relocatable);
    let all = VerifySample::one_in(1).expect("it is a share");
    compiler.set_verify(Some(all.strict(true)));
    compiler
}

/// What is compiled: written by hand, a program, generated.
fn modules() -> Vec<(String, Vec<u8>)> {
    let mut modules = text_files("wat");
    modules.extend(text_files("components"));
    for name in ["ledger", "ledger-next"] {
        modules.push((name.to_owned(), file(&format!("wasm/{name}.wasm"))));
    }
    let kinds = Kind::ALL.into_iter().cycle();
    let generated = (0..SMITH_MODULES).zip(kinds).filter_map(|(seed, kind)| {
        Some((format!("{kind:?} module of seed {seed}"), kind.module(seed)?))
    });
    modules.extend(generated);
    modules
}

#[test]
fn off_cold_and_warm_give_the_same_bytes() {
    let engine = engine();
    let compiler = checking(&engine);
    let compiled = modules().into_par_iter().filter(|(name, wasm)| {
        let store = MemoryStore::default();
        let stages = assert_stages(name, &engine, &compiler, &store, wasm);
        store.assert_no_conflicts();
        stages.is_some()
    });
    assert!(compiled.count() > 150, "few modules are taken");
}

#[test]
fn an_edit_gives_the_same_bytes_on_what_the_original_has_left() {
    let engine = engine();
    let compiler = checking(&engine);
    let pairs = modules().into_par_iter().step_by(4).flat_map_iter(|(name, wasm)| {
        Edit::ALL.into_iter().filter_map(move |edit| {
            Some((format!("{edit:?} of {name}"), wasm.clone(), edit.apply(&wasm)?))
        })
    });
    let found = pairs.filter_map(|(what, wasm, edited)| {
        Some(assert_warmed_by(&what, &engine, &compiler, &wasm, &edited)?.from_other)
    });
    assert!(found.sum::<u64>() > 3_000, "little is found");
}

/// Of an edit: hits with exact and with relocatable stencils.
type Found = BTreeMap<Edit, [u64; 2]>;

/// Constants and offsets on either side of each border of what is a parameter, equal ones and
/// different ones.
#[test]
fn other_constants_give_the_same_bytes_on_what_the_original_has_left() {
    let engine = engine();
    let compilers = [Stencils::Exact, Stencils::Relocatable].map(|kind| compiler(&engine, kind));
    let mut modules = text_files("wat");
    modules.push(("ledger".to_owned(), file("wasm/ledger.wasm")));
    let pairs = modules.par_iter().flat_map(|(name, wasm)| {
        let stores = compilers.each_ref().map(|compiler| {
            let store = MemoryStore::default();
            // What Wasmtime refuses is refused when it is edited as well.
            drop(compiler.compile(wasm, &store));
            store
        });
        Edit::CONSTANTS.into_par_iter().filter_map(move |edit| {
            let stores = stores.each_ref().map(MemoryStore::fork);
            Some((edit, format!("{edit:?} of {name}"), stores, edit.apply(wasm)?))
        })
    });
    let found = pairs.map(|(edit, what, stores, edited)| {
        let mut found = [0; 2];
        for ((compiler, store), found) in compilers.iter().zip(&stores).zip(&mut found) {
            let warmed = assert_warmed(&what, &engine, compiler, store, &edited);
            *found = warmed.map_or(0, |warmed| warmed.from_other);
        }
        Found::from([(edit, found)])
    });
    let found = found.reduce(Found::new, |mut all, some| {
        for (edit, [exact, relocatable]) in some {
            let sum = all.entry(edit).or_default();
            *sum = [sum[0] + exact, sum[1] + relocatable];
        }
        all
    });
    found.iter().for_each(|(edit, hits)| println!("{edit:?}: {hits:?}"));
    assert_eq!(found.len(), Edit::CONSTANTS.len(), "an edit never applied");
    assert!(found.values().all(|[exact, _]| *exact > 0), "{found:?}");
    for edit in [Edit::Constants(Constants::Mirrored), Edit::HalvedAddresses] {
        let [exact, relocatable] = found[&edit];
        assert!(relocatable > exact + 20, "{edit:?}: {relocatable} hits, {exact} exact ones");
    }
}

#[test]
fn most_is_found_of_the_next_release() {
    let engine = Engine::default();
    let wasm = file("wasm/ledger.wasm");
    // Static data has moved.
    let next = file("wasm/ledger-next.wasm");
    let misses = |stencils| {
        let compiler = compiler(&engine, stencils);
        let store = MemoryStore::default();
        compiler.compile(&wasm, &store).expect("it compiles");
        compiler.compile(&next, &store).expect("it compiles").1.misses
    };
    let (relocatable, exact) = (misses(Stencils::Relocatable), misses(Stencils::Exact));
    assert!(exact > 100, "no data has moved");
    assert!(relocatable < exact / 4, "{relocatable} misses, {exact} with exact stencils");
}

#[test]
fn neither_kind_finds_the_others_entries() {
    let engine = Engine::default();
    let wasm = file("wasm/ledger.wasm");
    let store = MemoryStore::default();
    let compile = |stencils| -> Report {
        compiler(&engine, stencils).compile(&wasm, &store).expect("it compiles").1
    };
    let exact = compile(Stencils::Exact);
    let relocatable = compile(Stencils::Relocatable);
    assert_eq!(relocatable.misses, exact.misses);
    assert_eq!(store.entries().len() as u64, exact.codegen + relocatable.codegen);
}

/// Whoever compiles a function makes the same entry of it: checked by compiling all hits
/// again.
#[test]
fn an_entry_is_the_same_from_either_release() {
    let engine = Engine::default();
    let compiler = checking(&engine);
    let store = MemoryStore::default();
    compiler.compile(&file("wasm/ledger.wasm"), &store).expect("it compiles");
    let (_, report) = compiler
        .compile(&file("wasm/ledger-next.wasm"), &store)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(report.verified > 600, "{} verified", report.verified);
}

#[test]
fn code_with_constants_as_parameters_is_understood() {
    let engine = Engine::default();
    let compiler = checking(&engine);
    let store = MemoryStore::default();
    let wasm = file("wasm/ledger.wasm");
    compiler.compile(&wasm, &store).expect("it compiles");
    let markers =
        store.entries().iter().filter(|(key, bytes)| entry::is_marker(key, bytes)).count();
    assert_eq!(markers, 0);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let engine = Engine::default();
    let compiler = compiler(&engine, Stencils::Relocatable);
    let wasm = file("wasm/ledger.wasm");
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let compile = || compiler.compile(&wasm, &NoCache).expect("it compiles").0;
        pool.expect("the system has threads").install(compile)
    };
    assert!(on(1) == on(4), "the bytes depend on the number of threads");
}
