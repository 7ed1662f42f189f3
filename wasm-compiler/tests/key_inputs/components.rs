//! D. Components: what is known of a core module's imports. In all pairs the core
//! modules are the same to the byte, only the wiring differs; `$main` is the last
//! of them.
//!
//! The states that no component can put its own functions into, intrinsics by
//! value, are held by a test beside the key's builder,
//! `src/split/known_imports.rs`.

use crate::check::{DEFAULT, check_changes, check_keeps, check_parameter};
use crate::relocatable::RELOCATABLE;
use oracle::same::assert_same;
use oracle::store::MemoryStore;
use oracle::testdata::file;

/// The piece of `$main`'s function.
const MAIN: usize = 2;

/// Three core modules; `$main` imports two functions. `$again` hands the function
/// on that it imports.
fn component(wiring: &str) -> String {
    format!(
        r#"(component
          (import "h" (func $host (result u32)))
          (core func $lowered (canon lower (func $host)))
          (core module $a (func (export "f") (result i32) (i32.const 1)))
          (core module $b (func (export "f") (result i32) (i32.const 2)))
          (core module $again (import "" "f" (func $f (result i32))) (export "f" (func $f)))
          (core module $main
            (import "x" "f" (func $f (result i32))) (import "y" "f" (func $g (result i32)))
            (func (export "run") (result i32) (i32.sub (call $f) (call $g))))
          (core instance $a (instantiate $a))
          (core instance $a2 (instantiate $a))
          (core instance $b (instantiate $b))
          (core instance $again (instantiate $again (with "" (instance $a))))
          (core instance $host (export "f" (func $lowered)))
          {wiring})"#
    )
}

fn wired(x: &str, y: &str) -> String {
    component(&instance(x, y))
}

fn instance(x: &str, y: &str) -> String {
    format!(
        "(core instance (instantiate $main (with \"x\" (instance {x})) (with \"y\" (instance {y}))))"
    )
}

/// Called directly, by a relocation.
#[test]
fn which_function_a_known_import_is() {
    check_parameter(&DEFAULT, &wired("$a", "$b"), &wired("$b", "$a"), 0);
}

/// The context comes from the import in any case.
#[test]
fn which_instance_a_known_import_is_of() {
    check_keeps(&DEFAULT, &wired("$a", "$b"), &wired("$a2", "$b"), 0);
}

#[test]
fn two_known_imports_that_are_one_function() {
    check_changes(&DEFAULT, &wired("$a", "$b"), &wired("$a", "$a2"), MAIN);
}

#[test]
fn an_import_from_the_host() {
    check_changes(&DEFAULT, &wired("$a", "$b"), &wired("$host", "$b"), MAIN);
}

#[test]
fn an_import_that_is_handed_on() {
    check_changes(&DEFAULT, &wired("$a", "$b"), &wired("$again", "$b"), MAIN);
    // Both are unknown.
    check_keeps(&DEFAULT, &wired("$host", "$b"), &wired("$again", "$b"), 0);
}

/// What one instance knows, the others have not.
#[test]
fn a_second_instance_that_is_wired_differently() {
    let two = format!("{}{}", instance("$a", "$b"), instance("$b", "$b"));
    check_changes(&DEFAULT, &wired("$a", "$b"), &component(&two), MAIN);
    let two_alike = instance("$a", "$b").repeat(2);
    check_changes(&DEFAULT, &component(&two_alike), &component(&two), MAIN);
}

#[test]
fn a_module_that_is_exported() {
    let exported = format!("{} (export \"main\" (core module $main))", instance("$a", "$b"));
    check_changes(&DEFAULT, &wired("$a", "$b"), &component(&exported), MAIN);
}

/// In a plain module nothing is known, as in a component that has not wired it.
#[test]
fn a_module_outside_of_a_component() {
    let alone = r#"(module
        (import "x" "f" (func $f (result i32))) (import "y" "f" (func $g (result i32)))
        (func (export "run") (result i32) (i32.sub (call $f) (call $g))))"#;
    // The functions of `$a` and `$b`; all else is in the module.
    let report = check_keeps(&DEFAULT, &alone, &wired("$host", "$host"), 2);
    assert_ne!(report[0], report[1]);
}

/// Made by Wasmtime, for one component; so are the component's own trampolines.
#[test]
fn adapters_and_trampolines_are_never_cached() {
    let store = MemoryStore::default();
    let wasm = file("components/composed.wat");
    let cold = DEFAULT.compile("cold", &wasm, &store).report;
    let warm = DEFAULT.compile("warm", &wasm, &store).report;
    assert!(cold.uncached > 0);
    assert_eq!((warm.uncached, warm.misses), (cold.uncached, 0));
}

/// From the 257th module on alias regions have the names of other modules' regions.
#[test]
fn more_modules_than_alias_regions_tell_apart() {
    const MODULES: usize = 260;
    let module = |number: usize| {
        format!(
            "(core module (memory 1) (func (result i32) (i32.load offset={number} (i32.const 0))))"
        )
    };
    let modules: String = (0..MODULES).map(module).collect();
    let wasm = wat::parse_str(format!("(component {modules})")).expect("it is a component");
    let report = DEFAULT.compile("many modules", &wasm, &MemoryStore::default()).report;
    assert_eq!((report.functions, report.uncached), (MODULES as u64, MODULES as u64 - 256));
}

/// Regions of memory of later modules may merge, which no key tells: their functions have none, and
/// each is compiled by itself.
#[test]
fn functions_of_modules_that_have_no_key() {
    let empty = "(core module)".repeat(256);
    let module =
        |body: &str| format!(r#"(core module (memory 1) (func (export "f") (result i32) {body}))"#);
    let [first, second] =
        [module("(i32.load (i32.const 2000))"), module("i32.const 2000 i32.load8_u")];
    let wasm = wat::parse_str(format!("(component {empty} {first} {second})"));
    let wasm = wasm.expect("it is a component");
    let compiled = RELOCATABLE.compile("without keys", &wasm, &MemoryStore::default());
    let stock = RELOCATABLE.engine().precompile_component(&wasm).expect("Wasmtime takes it");
    assert_same("without keys", &wasm, &stock, &compiled.artifact);
}
