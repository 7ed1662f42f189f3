//! Components have Wasmtime's bytes, and the core modules in them share their
//! functions with the same modules outside.

mod common {
    pub mod adapted;
}

use common::adapted::component_of;
use oracle::same::{assert_same, stock};
use oracle::stages::assert_stages;
use oracle::store::MemoryStore;
use oracle::testdata::{file, text_files};
use wasm_compiler::{Compiler, Report};
use wasmtime::{Config, Engine};

fn engines() -> Vec<(&'static str, Engine)> {
    let mut checked = Config::new();
    checked.consume_fuel(true).epoch_interruption(true).signals_based_traps(false);
    let mut arm = Config::new();
    arm.target("aarch64-unknown-linux-gnu").expect("the tests' build has this backend");
    [("default", Config::new()), ("checked", checked), ("aarch64", arm)]
        .map(|(name, config)| (name, Engine::new(&config).expect("the configuration is sound")))
        .into()
}

#[test]
fn components_have_wasmtimes_bytes() {
    let mut components = text_files("components");
    components.push(("ledger".to_owned(), component_of(&file("wasm/ledger.wasm"))));
    for (configuration, engine) in engines() {
        let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
        let store = MemoryStore::default();
        for (name, wasm) in &components {
            let what = format!("{name}, {configuration}");
            let same = assert_stages(&what, &engine, &compiler, &store, wasm);
            let (_, cold) = same.unwrap_or_else(|| panic!("{what}: Wasmtime refuses it"));
            println!(
                "{what}: {} functions, {} lookups, {} hits when cold, {} uncached",
                cold.functions,
                cold.lookups,
                cold.hits.total(),
                cold.uncached
            );
            assert!(cold.functions > 0, "{what} has no functions");
        }
        store.assert_no_conflicts();
    }
}

struct Sharing {
    engine: Engine,
    compiler: Compiler,
    store: MemoryStore,
}

impl Sharing {
    fn new() -> Self {
        let engine = Engine::default();
        let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
        Self { engine, compiler, store: MemoryStore::default() }
    }

    fn compile(&self, what: &str, wasm: &[u8]) -> Report {
        let expected = stock(&self.engine, wasm).expect("Wasmtime takes it");
        let (found, report) = self.compiler.compile(wasm, &self.store).expect("it compiles");
        assert_same(what, wasm, &expected, &found);
        println!(
            "{what}: {} of {} lookups hit ({:.1} %), {} of {} code bytes",
            report.hits.total(),
            report.lookups,
            100.0 * report.hit_rate(),
            report.hit_code_bytes,
            report.code_bytes
        );
        report
    }
}

#[test]
fn a_module_compiled_before_hits_inside_of_a_component() {
    let sharing = Sharing::new();
    let wasm = file("wasm/ledger.wasm");
    let alone = sharing.compile("ledger, first", &wasm);
    let inside = sharing.compile("ledger's component, after it", &component_of(&wasm));
    // Its imports are known in the component, so those who call them differ; and
    // the component has the adapter's functions besides.
    let same = inside.hits.total() as f64 / alone.functions as f64;
    assert!(same > 0.9, "only {same:.2} of the functions were found again");
    sharing.store.assert_no_conflicts();
}

#[test]
fn a_component_compiled_before_has_the_modules_functions() {
    let sharing = Sharing::new();
    let wasm = file("wasm/ledger.wasm");
    sharing.compile("ledger's component, first", &component_of(&wasm));
    let alone = sharing.compile("ledger, after it", &wasm);
    assert!(alone.hit_rate() > 0.8, "only {:.2} were found again", alone.hit_rate());

    let next = file("wasm/ledger-next.wasm");
    let report = sharing.compile("ledger-next's component, after both", &component_of(&next));
    assert!(report.hit_rate() > 0.5, "only {:.2} were found again", report.hit_rate());
    sharing.store.assert_no_conflicts();
}

#[test]
fn one_module_twice_in_a_component_is_compiled_once() {
    // The two modules differ in a custom section only.
    let wasm = wat::parse_str(
        r#"(component
            (core module
              (func $square (param i32) (result i32)
                (i32.mul (local.get 0) (local.get 0)))
              (func (param i32) (result i32) (call $square (call $square (local.get 0)))))
            (core module
              (@custom "other" "module")
              (func $cube (param i32) (result i32)
                (i32.mul (local.get 0) (local.get 0)))
              (func (param i32) (result i32) (call $cube (call $cube (local.get 0))))))"#,
    )
    .expect("it is a component");
    let report = Sharing::new().compile("two modules", &wasm);
    // A builtin's trampoline is looked up as well.
    assert_eq!((report.functions, report.hits.total()), (4, 2));
    assert_eq!(report.codegen, report.lookups - 2);
}
