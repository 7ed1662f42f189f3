//! Configurations that the key does not cover are compiled without the cache:
//! nothing is looked up or published, and the report says why.

use object::{Object as _, ObjectSymbol as _, SymbolKind};
use oracle::same::{assert_same, stock};
use oracle::store::MemoryStore;
use oracle::testdata::{file, text_files};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use stencil::{CacheKey, CacheStore, Lookup, MissReason, NewEntry, PublishSummary};
use wasm_compiler::{Compiler, Settings};
use wasm_encoder::{NameSection, Section as _};
use wasmtime::{Config, Engine, Inlining};

/// A store that fails the test that uses it.
#[derive(Default)]
struct Unwanted {
    asked: Mutex<bool>,
}

impl CacheStore for Unwanted {
    fn get(&self, _: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
        *self.asked.lock().expect("nothing panics in here") = true;
        None
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        *self.asked.lock().expect("nothing panics in here") = true;
        false
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        *self.asked.lock().expect("nothing panics in here") = true;
        vec![Lookup::Miss(MissReason::Absent); keys.len()]
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        *self.asked.lock().expect("nothing panics in here") = true;
        PublishSummary::refused(MissReason::Io, entries.len() as u64)
    }
}

fn compiler(configure: impl FnOnce(&mut Config) -> &mut Config) -> (Engine, Compiler) {
    let mut config = Config::new();
    configure(&mut config);
    let engine = Engine::new(&config).expect("the configuration is sound");
    let settings = Settings::from_engine(&engine).expect("it compiles");
    let compiler = Compiler::new(settings).expect("Wasmtime has these settings");
    (engine, compiler)
}

/// The pieces of an artifact, but for the builtin trampolines: which of those
/// are needed comes out of the compile.
fn pieces(artifact: &[u8]) -> u64 {
    let file = object::File::parse(artifact).expect("it is an ELF file");
    let is_piece = |name: &str| {
        !name.starts_with("wasmtime_builtin") && !name.starts_with("wasmtime_patchable_builtin")
    };
    let symbols = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    symbols.filter(|symbol| symbol.name().is_ok_and(is_piece)).count() as u64
}

/// All modules have names: in debug info, Wasmtime numbers those that have none,
/// in the order in which the process compiles them.
fn inputs() -> Vec<(String, Vec<u8>)> {
    let mut modules = text_files("wat");
    modules.push(("ledger".to_owned(), file("wasm/ledger.wasm")));
    for (name, wasm) in &mut modules {
        let mut names = NameSection::new();
        names.module(name);
        names.append_to(wasm);
    }
    let mut inputs = text_files("components");
    inputs.append(&mut modules);
    inputs
}

/// Compiles everything that the engine takes, all of it past the cache.
fn assert_bypasses((engine, compiler): (Engine, Compiler), reason: &str) {
    let mut failed = Vec::new();
    let mut compiled = 0;
    for (name, wasm) in inputs() {
        let Ok(expected) = stock(&engine, &wasm) else {
            continue;
        };
        compiled += 1;
        let check = || {
            let what = format!("{name}, {reason}");
            let store = Unwanted::default();
            let (found, report) = compiler.compile(&wasm, &store).expect("Wasmtime compiles it");
            assert_eq!(report.bypass_reason, Some(reason), "{what}");
            assert_eq!(report.bypassed, pieces(&expected), "{what}");
            assert_eq!((report.lookups, report.misses, report.codegen), (0, 0, 0), "{what}");
            assert_eq!(report.hits.total(), 0, "{what}");
            assert!(!*store.asked.lock().expect("nothing panicked in there"), "{what}: asked");
            assert_same(&what, &wasm, &expected, &found);
        };
        if catch_unwind(AssertUnwindSafe(check)).is_err() {
            failed.push(name);
        }
    }
    println!("{reason}: {compiled} inputs");
    assert!(compiled > 25, "Wasmtime takes {compiled} inputs only");
    assert!(failed.is_empty(), "{reason}: {failed:?}");
}

#[test]
fn native_debug_info() {
    assert_bypasses(compiler(|config| config.debug_info(true)), "native debug info");
}

#[test]
fn guest_debugging() {
    assert_bypasses(compiler(|config| config.guest_debug(true)), "guest debugging");
}

// Failed while the bypass did not inline, as stock Wasmtime does.
#[test]
fn inlining() {
    assert_bypasses(compiler(|config| config.compiler_inlining(Inlining::Yes)), "inlining");
}

// Between modules: components have what to inline.
#[test]
fn inlining_between_modules() {
    let compiler = compiler(|config| config.compiler_inlining(Inlining::InterModule));
    assert_bypasses(compiler, "inlining");
}

#[test]
fn inlining_between_modules_and_with_gc() {
    let compiler = compiler(|config| config.compiler_inlining(Inlining::InterModuleAndIntraGc));
    assert_bypasses(compiler, "inlining");
}

// Fails today with native debug info: Wasmtime numbers modules without a name in
// there, and the probe has none, so its two artifacts have two numbers.
#[test]
fn engines_are_taken() {
    type Configure = fn(&mut Config) -> &mut Config;
    let configurations: [(&str, Configure); 3] = [
        ("native debug info", |config| config.debug_info(true)),
        ("guest debugging", |config| config.guest_debug(true)),
        ("inlining", |config| config.compiler_inlining(Inlining::Yes)),
    ];
    let mut refused = Vec::new();
    for (name, configure) in configurations {
        let mut config = Config::new();
        configure(&mut config);
        let engine = Engine::new(&config).expect("the configuration is sound");
        if let Err(error) = Compiler::for_engine(&engine) {
            refused.push(format!("{name}: {error}"));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn covered_configurations_are_not_bypassed() {
    let (engine, compiler) = compiler(|config| config);
    assert_eq!(compiler.settings().uncovered(), None);
    let wasm = file("wat/calls.wat");
    let expected = stock(&engine, &wasm).expect("it is a module");
    let store = MemoryStore::default();
    let (found, report) = compiler.compile(&wasm, &store).expect("it compiles");
    assert_same("calls", &wasm, &expected, &found);
    assert_eq!((report.bypassed, report.bypass_reason), (0, None));
    assert!(report.lookups > 0 && !store.entries().is_empty());
    store.assert_no_conflicts();
}

// Refused, with Wasmtime to blame, while only System V's unwind information was
// known and other targets were not bypassed.
#[test]
fn windows() {
    for target in ["x86_64-pc-windows-msvc", "aarch64-pc-windows-msvc"] {
        let compiler = compiler(|config| config.target(target).expect("it is in this build"));
        assert_bypasses(compiler, "Windows' unwind information");
    }
}

#[test]
fn pulley() {
    let compiler = compiler(|config| config.target("pulley64").expect("it is in this build"));
    assert_bypasses(compiler, "Pulley");
}
