//! D. Globals.

use crate::check::{DEFAULT, check_changes, check_finer, check_keeps};

#[test]
fn type_of_a_global() {
    let module = |ty: &str| {
        format!(
            "(module (global $a (mut {ty}) ({ty}.const 1)) (global $b (mut {ty}) ({ty}.const 1))
            (func (global.set $b (global.get $a))))"
        )
    };
    check_changes(&DEFAULT, &module("i32"), &module("i64"), 0);
}

#[test]
fn mutability() {
    // A constant is in the code, what can change is loaded.
    let module = |ty: &str| {
        format!("(module (global $g {ty} (i32.const 1)) (func (result i32) (global.get $g)))")
    };
    check_changes(&DEFAULT, &module("i32"), &module("(mut i32)"), 0);
    // What an immutable import is, is not known.
    let module = |ty: &str| {
        format!(r#"(module (import "" "" (global $g {ty})) (func (result i32) (global.get $g)))"#)
    };
    check_finer(&DEFAULT, &module("i32"), &module("(mut i32)"), 0);
}

#[test]
fn imported_or_defined() {
    let first = "(module (global $g (mut i32) (i32.const 1)) (func (result i32) (global.get $g)))";
    let second =
        r#"(module (import "" "" (global $g (mut i32))) (func (result i32) (global.get $g)))"#;
    check_changes(&DEFAULT, &first, &second, 0);
}

#[test]
fn offset_in_the_vmcontext() {
    let module = |global: &str| {
        format!(
            "(module (global $a (mut i32) (i32.const 1)) (global $b (mut i32) (i32.const 1))
            (func (result i32) (global.get {global})))"
        )
    };
    check_changes(&DEFAULT, &module("$a"), &module("$b"), 0);
    let module = |front: &str| {
        format!(
            r#"(module {front} (global $g (mut i32) (i32.const 1)) (func (result i32) (global.get $g)))"#
        )
    };
    let alone = module("");
    check_changes(&DEFAULT, &alone, &module("(global i32 (i32.const 1))"), 0);
    check_changes(&DEFAULT, &alone, &module(r#"(import "" "f" (func (param f32)))"#), 0);
    check_changes(&DEFAULT, &alone, &module("(table 1 funcref)"), 0);
    let imported = |front: &str| {
        format!(
            r#"(module (import "" "g" (global $g (mut i32))) {front} (func (result i32) (global.get $g)))"#
        )
    };
    check_changes(&DEFAULT, &imported(""), &imported(r#"(import "" "t" (table 1 funcref))"#), 0);
    // Tables that are defined lie behind globals that are imported.
    check_keeps(&DEFAULT, &imported(""), &imported("(table 1 funcref)"), 0);
}

fn constant(ty: &str, value: &str, front: &str) -> String {
    format!("(module {front} (global $g {ty} {value}) (func (result {ty}) (global.get $g)))")
}

#[test]
fn value_of_a_constant() {
    for (ty, one, other) in [
        ("i32", "(i32.const 1)", "(i32.const 2)"),
        ("i64", "(i64.const 1)", "(i64.const 2)"),
        ("f32", "(f32.const 0)", "(f32.const -0)"),
        ("f64", "(f64.const nan)", "(f64.const nan:0x4)"),
        ("v128", "(v128.const i64x2 1 2)", "(v128.const i64x2 2 1)"),
    ] {
        check_changes(&DEFAULT, &constant(ty, one, ""), &constant(ty, other, ""), 0);
    }
}

#[test]
fn place_of_a_constant() {
    let moved = constant("i32", "(i32.const 1)", "(global (mut i64) (i64.const 5))");
    check_keeps(&DEFAULT, &constant("i32", "(i32.const 1)", ""), &moved, 0);
}

/// A value that is computed when the module starts is loaded.
#[test]
fn a_constant_that_is_computed() {
    let simple = constant("i32", "(i32.const 3)", "");
    let front = r#"(import "" "" (global $i i32))"#;
    let computed = constant("i32", "(i32.add (global.get $i) (i32.const 1))", front);
    check_changes(&DEFAULT, &simple, &computed, 0);
}

#[test]
fn initial_value_of_a_mutable_global() {
    let module = |value: u32| {
        format!(
            "(module (global $g (mut i32) (i32.const {value})) (func (result i32) (global.get $g)))"
        )
    };
    check_keeps(&DEFAULT, &module(1), &module(2), 0);
}

/// See `memories::exported`.
#[test]
fn exported() {
    let module = |export: &str| {
        format!(
            r#"(module (global $g {export} (mut i32) (i32.const 1))
            (global $h (export "h") (mut i32) (i32.const 1))
            (func (result i32) (global.get $g) (global.set $h (i32.const 5)) (i32.sub (global.get $g))))"#
        )
    };
    check_changes(&DEFAULT, &module(""), &module(r#"(export "g")"#), 0);
}
