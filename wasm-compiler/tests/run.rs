//! Stock Wasmtime loads what came out of a warm cache, and it does what the same
//! module does when Wasmtime compiles it.

mod common {
    pub mod adapted;
}

use common::adapted::component_of;
use oracle::store::MemoryStore;
use oracle::testdata::{file, text_files};
use std::collections::{BTreeMap, BTreeSet};
use wasm_compiler::{Compiler, Settings, Stencils};
use wasmtime::component::{Component, Linker as ComponentLinker, ResourceTable};
use wasmtime::{Collector, Config, Engine, Instance, Linker, Module, Store, Val};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// The kinds of stencils that there are for the targets of this machine.
const KINDS: &[Stencils] = match cfg!(target_arch = "x86_64") {
    true => &[Stencils::Exact, Stencils::Relocatable],
    false => &[Stencils::Exact],
};

/// The artifact of a compile in which all lookups hit.
fn warm(engine: &Engine, wasm: &[u8], stencils: Stencils) -> Vec<u8> {
    let settings = Settings::from_engine(engine).expect("it compiles").with_stencils(stencils);
    let compiler = Compiler::new(settings).expect("Wasmtime has taken the settings");
    let store = MemoryStore::default();
    compiler.compile(wasm, &store).expect("it compiles");
    let (artifact, report) = compiler.compile(wasm, &store).expect("it compiles");
    assert_eq!(report.misses, 0, "{:?}", report.miss_reasons);
    store.assert_no_conflicts();
    artifact
}

fn warm_module(engine: &Engine, wasm: &[u8], stencils: Stencils) -> Module {
    let artifact = warm(engine, wasm, stencils);
    // SAFETY: the artifact was made just now, by the compiler under test, for
    // this engine, and nobody could change it in between.
    unsafe { Module::deserialize(engine, &artifact) }.expect("Wasmtime loads it")
}

fn warm_component(engine: &Engine, wasm: &[u8], stencils: Stencils) -> Component {
    let artifact = warm(engine, wasm, stencils);
    // SAFETY: as in `warm_module`.
    unsafe { Component::deserialize(engine, &artifact) }.expect("Wasmtime loads it")
}

/// What a program writes, and its exit code.
type Outcome = (String, i32);

const OUTPUT_MAX: usize = 1 << 20;

fn text(pipe: &MemoryOutputPipe) -> String {
    String::from_utf8(pipe.contents().to_vec()).expect("the program writes text")
}

fn run_program(engine: &Engine, module: &Module) -> Outcome {
    let output = MemoryOutputPipe::new(OUTPUT_MAX);
    let wasi = WasiCtxBuilder::new().stdout(output.clone()).arg("ledger").build_p1();
    let mut linker = Linker::<WasiP1Ctx>::new(engine);
    p1::add_to_linker_sync(&mut linker, |wasi| wasi).expect("nothing is there yet");
    let mut store = Store::new(engine, wasi);
    let instance = linker.instantiate(&mut store, module).expect("its imports are WASI's");
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").expect("it is a command");
    let code = match start.call(&mut store, ()) {
        Ok(()) => 0,
        Err(error) => error.downcast::<I32Exit>().expect("it does not trap").0,
    };
    drop(store);
    (text(&output), code)
}

#[test]
fn a_program_does_the_same_from_a_warm_cache() {
    let engine = Engine::default();
    for (path, release) in [
        ("wasm/ledger.wasm", "ledger release 1\n"),
        ("wasm/ledger-next.wasm", "ledger release 2\n"),
    ] {
        let wasm = file(path);
        let expected =
            run_program(&engine, &Module::new(&engine, &wasm).expect("Wasmtime compiles it"));
        assert_eq!(expected.1, 0, "{path}: {}", expected.0);
        assert!(expected.0.starts_with(release), "{path}: {}", expected.0);
        for stencils in KINDS {
            let found = run_program(&engine, &warm_module(&engine, &wasm, *stencils));
            assert_eq!(found, expected, "{path}, {stencils:?}");
        }
    }
}

/// A component's own view of the system.
struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn run_command(engine: &Engine, component: &Component) -> Outcome {
    let output = MemoryOutputPipe::new(OUTPUT_MAX);
    let wasi = WasiCtxBuilder::new().stdout(output.clone()).arg("ledger").build();
    let mut linker = ComponentLinker::<Host>::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("nothing is there yet");
    let mut store = Store::new(engine, Host { wasi, table: ResourceTable::new() });
    let command = Command::instantiate(&mut store, component, &linker);
    let command = command.expect("its imports are WASI's");
    let code = match command.wasi_cli_run().call_run(&mut store) {
        Ok(Ok(())) => 0,
        Ok(Err(())) => 1,
        Err(error) => error.downcast::<I32Exit>().expect("it does not trap").0,
    };
    drop(store);
    (text(&output), code)
}

#[test]
fn a_program_does_the_same_as_a_component() {
    let engine = Engine::default();
    let wasm = component_of(&file("wasm/ledger.wasm"));
    let stock = Component::new(&engine, &wasm).expect("Wasmtime compiles it");
    let expected = run_command(&engine, &stock);
    assert_eq!(expected.1, 0, "{}", expected.0);
    assert!(expected.0.contains("266 checks passed, 0 failed"), "{}", expected.0);
    for stencils in KINDS {
        let component = warm_component(&engine, &wasm, *stencils);
        assert_eq!(run_command(&engine, &component), expected, "{stencils:?}");
    }
}

#[test]
fn components_do_what_they_should() {
    let engine = Engine::default();
    let expected = BTreeMap::from([
        ("adapters", 23_157_040),
        ("composed", 7_206_042),
        ("resources", 216),
        ("twice", 102_151),
    ])
    .into_iter()
    .map(|(name, result)| (name.to_owned(), result))
    .collect::<BTreeMap<_, _>>();
    for stencils in KINDS {
        assert_eq!(results_of_components(&engine, *stencils), expected, "{stencils:?}");
    }
}

/// What each component gives.
fn results_of_components(engine: &Engine, stencils: Stencils) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for (name, wasm) in text_files("components") {
        let component = warm_component(engine, &wasm, stencils);
        let mut store = Store::new(engine, ());
        let instance = ComponentLinker::new(engine)
            .instantiate(&mut store, &component)
            .expect("it imports nothing");
        let run = instance.get_typed_func::<(), (u32,)>(&mut store, "run").expect("it has a run");
        let (result,) = run.call(&mut store, ()).expect("it does not trap");
        found.insert(name, result);
    }
    found
}

/// One line of `expected.txt`.
struct Expectation<'a> {
    file: &'a str,
    export: &'a str,
    ty: &'a str,
    value: &'a str,
}

fn expectations(text: &str) -> Vec<Expectation<'_>> {
    let line = |line| {
        let mut words = str::split_whitespace(line);
        let mut word = || words.next().expect("a line has four words");
        Expectation { file: word(), export: word(), ty: word(), value: word() }
    };
    // Components are in the list as well; those have a test of their own.
    text.lines().filter(|line| line.starts_with("wat/")).map(line).collect()
}

/// Calls one export in a fresh instance, and gives its result as the list does.
fn call(engine: &Engine, module: &Module, export: &str) -> (String, String) {
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, module, &[]).expect("it imports nothing");
    let function = instance.get_func(&mut store, export).expect("the list names exports");
    let ty = function.ty(&store).results().next().expect("all give something").to_string();
    let mut results = [Val::I32(0)];
    let value = match function.call(&mut store, &[], &mut results) {
        Err(_) => "trap".to_owned(),
        Ok(()) => match results[0] {
            Val::I32(value) => value.to_string(),
            Val::I64(value) => value.to_string(),
            ref other => format!("{other:?}"),
        },
    };
    (ty, value)
}

fn assert_expectations(configure: impl FnOnce(&mut Config)) {
    let mut config = Config::new();
    config.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true).wasm_branch_hinting(true);
    config.shared_memory(true);
    configure(&mut config);
    let engine = Engine::new(&config).expect("the configuration is sound");
    for stencils in KINDS {
        assert_list(&engine, *stencils);
    }
}

fn assert_list(engine: &Engine, stencils: Stencils) {
    let list = include_str!("../../testdata/wat/expected.txt");
    let expectations = expectations(list);
    let mut modules = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut traps = 0;
    for Expectation { file: path, export, ty, value } in &expectations {
        let warm = || warm_module(engine, &file(path), stencils);
        let module = modules.entry(*path).or_insert_with(warm);
        let found = call(engine, module, export);
        traps += usize::from(found.1 == "trap");
        if (found.0.as_str(), found.1.as_str()) != (*ty, *value) {
            wrong.push(format!("{path} {export}: {found:?}, not {ty} {value}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(expectations.len() > 200 && traps > 20, "the list is not what it was");
    println!("{} calls in {} modules, {traps} traps", expectations.len(), modules.len());

    // No module that could run is left out.
    let listed: BTreeSet<String> =
        modules.keys().map(|path| path["wat/".len()..path.len() - ".wat".len()].into()).collect();
    let silent: Vec<String> = text_files("wat")
        .into_iter()
        .map(|(name, _)| name)
        .filter(|n| !listed.contains(n))
        .collect();
    assert_eq!(silent, ["empty", "imports", "only-imports", "stack-switching"]);
}

#[test]
fn functions_give_what_they_should() {
    assert_expectations(|_| {});
}

#[test]
fn functions_give_what_they_should_with_explicit_checks() {
    assert_expectations(|config| {
        config.signals_based_traps(false).memory_reservation(0).table_lazy_init(false);
        config.collector(Collector::DeferredReferenceCounting);
    });
}
