//! What reaches no function's code: all that was compiled before is found again.
//! `body.rs` has a function's own index, name and place, `calls.rs` the identity of
//! its callees, `segments.rs` the contents of segments.

use crate::check::{DEFAULT, check_keeps, check_parameter};

/// A module that uses something of each kind, and what is to be put into it: in
/// front of the functions, and behind them.
fn module(front: &str, behind: &str) -> String {
    format!(
        r#"(module
          (type (func)) (type (func (param i32))) (type (func (result i32)))
          (type (func (param i32) (result i32)))
          (import "host" "call" (func $import (param i32)))
          (memory 1) (table $t 4 4 funcref) (global $g (mut i32) (i32.const 1))
          (elem (i32.const 0) func $first)
          {front}
          (func $first (result i32) (i32.load (global.get $g)))
          (func $second (param i32) (result i32)
            (call $import (local.get 0))
            (i32.store (i32.const 8) (call_indirect (result i32) (local.get 0)))
            (i32.add (call $first) (call $first)))
          {behind})"#
    )
}

#[test]
fn function_indices() {
    let added = "(func (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))";
    check_parameter(&DEFAULT, &module("", ""), &module(added, ""), 1);
    check_parameter(&DEFAULT, &module("", ""), &module("", added), 1);
}

#[test]
fn names() {
    let renamed = module("", "").replace("$first", "$fst").replace("$second", "$snd");
    check_parameter(&DEFAULT, &module("", ""), &renamed, 0);
    let renamed = module("", "").replace("(module", "(module $named");
    check_keeps(&DEFAULT, &module("", ""), &renamed, 0);
    let renamed = module("", "").replace("\"host\"", "\"another\"").replace("\"call\"", "\"name\"");
    check_keeps(&DEFAULT, &module("", ""), &renamed, 0);
}

#[test]
fn other_bodies() {
    let edited = module("", "").replace("(global.get $g)", "(i32.const 64)");
    check_parameter(&DEFAULT, &module("", ""), &edited, 1);
}

/// A large function in front moves all that is behind.
#[test]
fn text_layout() {
    let large: String =
        (0..200).map(|n| format!("(i32.store (i32.const {n}) (i32.const {n}))")).collect();
    check_parameter(&DEFAULT, &module("", ""), &module(&format!("(func {large})"), ""), 1);
}

#[test]
fn contents_of_segments() {
    let data = r#"(data (i32.const 0) "data")"#;
    check_keeps(
        &DEFAULT,
        &module("", data),
        &module("", &data.replace("data\"", "other data\"")),
        0,
    );
    let elements = "(elem (i32.const 1) func $first $import)";
    check_keeps(
        &DEFAULT,
        &module("", elements),
        &module("", &elements.replace("$import", "$first")),
        0,
    );
}

/// The export of a function that escapes already; and of one that does not, which
/// needs one trampoline more.
#[test]
fn exports_of_functions() {
    let exported = r#"(export "first" (func $first))"#;
    check_keeps(&DEFAULT, &module("", ""), &module("", exported), 0);
    check_keeps(
        &DEFAULT,
        &module("", exported),
        &module("", &exported.replace("first\"", "f\"")),
        0,
    );
    let exported = r#"(export "second" (func $second))"#;
    check_parameter(&DEFAULT, &module("", ""), &module("", exported), 1);
}

/// But of entities that no function uses.
#[test]
fn exports_of_other_entities() {
    let unused = "(memory $unused 1) (global $other (mut i32) (i32.const 0))";
    let exported = r#"(export "m" (memory $unused)) (export "g" (global $other))"#;
    check_keeps(&DEFAULT, &module(unused, ""), &module(unused, exported), 0);
}

#[test]
fn custom_sections() {
    for place in ["(before first)", "(before code)", "(after last)"] {
        let section = format!(r#"(@custom "producers of all kinds" {place} "some bytes")"#);
        check_keeps(&DEFAULT, &module("", ""), &module("", &section), 0);
    }
}

#[test]
fn start_functions() {
    let start = "(func $start) (start $start)";
    check_keeps(&DEFAULT, &module("", "(func $start)"), &module("", start), 0);
}

#[test]
fn values_of_globals_that_are_loaded() {
    let other = module("", "").replace("(mut i32) (i32.const 1)", "(mut i32) (i32.const 5)");
    check_keeps(&DEFAULT, &module("", ""), &other, 0);
}

/// Where they move nothing that is used.
#[test]
fn entities_that_nothing_uses() {
    for (unused, added) in [
        // Each type of functions has a trampoline.
        ("(type (func (param f32 f64)))", 1),
        (r#"(data "passive")"#, 0),
        ("(global i64 (i64.const 1))", 0),
    ] {
        check_keeps(&DEFAULT, &module("", ""), &module("", unused), added);
    }
}
