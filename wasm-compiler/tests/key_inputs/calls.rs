//! D. Functions that are called directly: who is called is a parameter, how is in
//! the key. `components.rs` has the states of a component's imports.

use crate::check::{
    AARCH64, DEFAULT, X86_64, check_changes, check_finer, check_keeps, check_parameter,
    check_place, check_shared,
};

#[test]
fn a_callee_is_defined_or_imported() {
    let first =
        r#"(module (import "" "" (func $i)) (func $d (drop (i32.const 1))) (func (call $d)))"#;
    let second =
        r#"(module (import "" "" (func $i)) (func $d (drop (i32.const 1))) (func (call $i)))"#;
    check_changes(&DEFAULT, &first, &second, 1);
}

#[test]
fn signature_of_a_callee() {
    let module = |ty: &str| {
        format!(
            "(module (type $t (func (param {ty}) (result {ty})))
            (func $f (type $t) (local.get 0)) (func (type $t) (call $f (call $f (local.get 0)))))"
        )
    };
    check_changes(&DEFAULT, &module("i64"), &module("f64"), 1);
    // Where a result lies that nothing takes is not in the code.
    let module = |ty: &str| {
        format!("(module (func $f (result {ty}) ({ty}.const 1)) (func (drop (call $f))))")
    };
    check_finer(&DEFAULT, &module("i64"), &module("f64"), 1);
}

const CALLS: &str = r#"(module
    (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2))
    (func (result i32) CALL))"#;

#[test]
fn identity_of_a_callee() {
    let [a, b] = ["$a", "$b"].map(|callee| CALLS.replace("CALL", &format!("(call {callee})")));
    check_parameter(&DEFAULT, &a, &b, 0);
    let [a, b] =
        ["$a", "$b"].map(|callee| CALLS.replace("CALL", &format!("(return_call {callee})")));
    check_parameter(&DEFAULT, &a, &b, 0);
}

#[test]
fn a_function_that_calls_itself() {
    let module = |callee: &str| {
        format!(
            "(module (func $other (param i32) (result i32) (i32.const 1))
            (func $self (param i32) (result i32)
              (i32.mul (local.get 0) (call {callee} (i32.sub (local.get 0) (i32.const 1))))))"
        )
    };
    check_parameter(&DEFAULT, &module("$other"), &module("$self"), 0);
}

#[test]
fn which_calls_have_one_callee() {
    let [twice, both] = ["$a", "$b"]
        .map(|callee| CALLS.replace("CALL", &format!("(i32.sub (call $a) (call {callee}))")));
    check_changes(&DEFAULT, &twice, &both, 2);
    // In the other order it is the same function, with its parameters exchanged.
    let [ab, ba] = [("$a", "$b"), ("$b", "$a")].map(|(one, other)| {
        CALLS.replace("CALL", &format!("(i32.sub (call {one}) (call {other}))"))
    });
    check_parameter(&DEFAULT, &ab, &ba, 0);
}

#[test]
fn which_import_is_called() {
    let module = |functions: &str| {
        format!(r#"(module (import "" "a" (func $a)) (import "" "b" (func $b)) {functions})"#)
    };
    let [a, b] = ["(func (call $a))", "(func (call $b))"].map(module);
    check_parameter(&X86_64, &a, &b, 0);
    check_changes(&AARCH64, &a, &b, 0);
    check_shared(&a, &module("(func (call $a)) (func (call $b))"));
}

#[test]
fn which_calls_are_of_one_import() {
    let module = |first: &str, second: &str| {
        format!(
            r#"(module (import "" "a" (func $a)) (import "" "b" (func $b))
            (func (call {first}) (call {second})))"#
        )
    };
    check_changes(&X86_64, &module("$a", "$a"), &module("$a", "$b"), 0);
    check_parameter(&X86_64, &module("$a", "$b"), &module("$b", "$a"), 0);
}

/// Memories lie in front of functions in the VMContext, tables behind them.
#[test]
fn offsets_of_an_imported_callee() {
    check_place(r#"(module (import "" "f" (func $f)) FRONT (func (call $f)))"#, 0);
    let module =
        |front: &str| format!(r#"(module {front} (import "" "f" (func $f)) (func (call $f)))"#);
    let alone = module("");
    check_parameter(&X86_64, &alone, &module(r#"(import "" "m" (memory 1))"#), 0);
    // There is a trampoline for each type.
    check_parameter(&X86_64, &alone, &module(r#"(import "" "g" (func (param f32)))"#), 1);
    check_keeps(&X86_64, &alone, &module(r#"(import "" "t" (table 1 funcref))"#), 0);
}
