//! The other pieces: trampolines depend on a signature or a builtin, and a
//! module's startup on nearly everything, so that it is never cached.

use crate::check::{DEFAULT, Setup, check_changes, check_keeps, check_parameter};
use oracle::store::MemoryStore;

/// One function, whose trampoline from the host is piece 1.
fn exporting(ty: &str, body: &str) -> String {
    format!(r#"(module (func (export "f") {ty} {body}))"#)
}

#[test]
fn from_the_host_by_signature() {
    let integer = exporting("(param i32)", "");
    check_changes(&DEFAULT, &integer, &exporting("(param i64)", ""), 1);
    check_changes(&DEFAULT, &integer, &exporting("(param i32 i32)", ""), 1);
    check_changes(&DEFAULT, &integer, &exporting("(param i32) (result i32)", "(i32.const 1)"), 1);
}

/// Another callee is a parameter: only the function itself misses.
#[test]
fn from_the_host_by_callee() {
    let first = exporting("(param i32)", "(drop (local.get 0))");
    check_keeps(&DEFAULT, &first, &exporting("(param i32)", "(drop (i32.const 1))"), 1);
    let two = r#"(module (func $f (param i32)) (func $g (param i32) (drop (i32.const 1))) (export "" (func FUNCTION)))"#;
    let [f, g] = ["$f", "$g"].map(|function| two.replace("FUNCTION", function));
    check_parameter(&DEFAULT, &f, &g, 0);
}

/// One import, whose trampoline to the host is the only piece.
fn importing(ty: &str) -> String {
    format!(r#"(module (import "" "f" (func {ty})))"#)
}

#[test]
fn to_the_host_by_signature() {
    check_changes(&DEFAULT, &importing("(param i32)"), &importing("(param f32)"), 0);
    check_changes(&DEFAULT, &importing("(param i32)"), &importing("(result i32)"), 0);
}

#[test]
fn to_the_host_by_import() {
    let other =
        r#"(module (import "other" "name" (func (param f64))) (import "" "" (func (param i32))))"#;
    check_keeps(&DEFAULT, &importing("(param i32)"), &other, 1);
}

/// The two kinds of trampoline of one signature are two pieces.
#[test]
fn direction() {
    let both = r#"(module (import "" "" (func (param i32))) (func (export "") (param i32)))"#;
    let store = MemoryStore::default();
    let wasm = wat::parse_str(both).expect("it is a module");
    let compiled = DEFAULT.compile("both", &wasm, &store);
    assert_eq!((compiled.report.misses, compiled.report.hits.total()), (3, 0));
}

const GROWS: &str = "(module (memory 1) (func (result i32) (memory.grow (i32.const 1))))";

#[test]
fn to_a_builtin_by_builtin() {
    let fills = "(module (table 1 externref) (func (result i32)
        (table.grow (ref.null extern) (i32.const 1))))";
    let store = MemoryStore::default();
    let compile = |text: &str| {
        let wasm = wat::parse_str(text).expect("it is a module");
        DEFAULT.compile(text, &wasm, &store).report
    };
    // The function, its builtin and the one that raises traps.
    assert_eq!(compile(GROWS).misses, 3);
    // Another function and builtin; traps are raised as before.
    let report = compile(fills);
    assert!(report.misses >= 2 && report.hits.total() >= 1, "{report:?}");
    // Another function with the same builtins.
    let report = compile(&GROWS.replace("(i32.const 1)", "(i32.const 2)"));
    assert_eq!((report.misses, report.hits.total()), (1, 2));
}

#[test]
fn to_a_builtin_by_fingerprint() {
    let epochs = Setup::new(|config| config.epoch_interruption(true));
    let wasm = wat::parse_str(GROWS).expect("it is a module");
    let store = MemoryStore::default();
    DEFAULT.compile("default", &wasm, &store);
    assert_eq!(epochs.compile("epochs", &wasm, &store).report.hits.total(), 0);
}

/// Its two pieces are compiled each time; the rest hits.
#[test]
fn module_startup_is_never_cached() {
    let module = |value: u32| {
        format!(
            r#"(module (import "" "" (global $i i32))
            (global $g (mut i32) (i32.add (global.get $i) (i32.const {value})))
            (func $start (global.set $g (i32.const 2))) (start $start))"#
        )
    };
    let store = MemoryStore::default();
    // The start function, and a trampoline for its type.
    for (value, misses) in [(1, 2), (1, 0), (2, 0)] {
        let wasm = wat::parse_str(module(value)).expect("it is a module");
        let report = DEFAULT.compile("startup", &wasm, &store).report;
        assert_eq!((report.uncached, report.misses), (2, misses), "value {value}");
    }
    let plain = wat::parse_str("(module (func))").expect("it is a module");
    assert_eq!(DEFAULT.compile("plain", &plain, &store).report.uncached, 0);
}
