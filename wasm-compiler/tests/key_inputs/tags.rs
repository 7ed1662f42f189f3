//! D. Tags: what is thrown, and what is caught.

use crate::check::{DEFAULT, check_changes, check_keeps, check_place};

#[test]
fn signature_of_a_tag() {
    let module = |ty: &str| {
        format!(
            "(module (type $t (func (param {ty}))) (tag $e (type $t))
            (func (type $t) (throw $e (local.get 0))))"
        )
    };
    check_changes(&DEFAULT, &module("i32"), &module("i64"), 0);
}

/// Where a payload lies, by what lies in front of it.
#[test]
fn layout_of_an_exception() {
    let module = |ty: &str| {
        format!(
            "(module (tag $e (param {ty} i32)) (func $f (call $f)) (func (result i32) (local i32)
            (block $l (result {ty} i32) (try_table (catch $e $l) (call $f)) (unreachable))
            (local.set 0) (drop) (local.get 0)))"
        )
    };
    check_changes(&DEFAULT, &module("i32"), &module("i64"), 1);
}

#[test]
fn interned_index_of_an_exception() {
    let module = |front: &str| {
        format!("(module {front} (tag $e (param i32)) (func (param i32) (throw $e (local.get 0))))")
    };
    check_changes(&DEFAULT, &module(""), &module("(type (func (param f32 f32 f32)))"), 0);
}

#[test]
fn imported_or_defined() {
    let body = "(func (param i32) (throw $e (local.get 0)))";
    let defined = format!("(module (tag $e (param i32)) {body})");
    let imported = format!(r#"(module (import "" "" (tag $e (param i32))) {body})"#);
    check_changes(&DEFAULT, &defined, &imported, 0);
}

#[test]
fn raw_index() {
    let throw = |tag: &str| {
        format!(
            "(module (tag $a (param i32)) (tag $b (param i32)) (func (param i32) (throw {tag} (local.get 0))))"
        )
    };
    check_changes(&DEFAULT, &throw("$a"), &throw("$b"), 0);
    let catch = |tag: &str| {
        format!("(module (tag $a (param i32)) (tag $b (param i32)) (func $f (call $f)) (func (result i32)
            (block $l (result i32) (try_table (catch {tag} $l) (call $f)) (unreachable))))")
    };
    check_changes(&DEFAULT, &catch("$a"), &catch("$b"), 1);
}

#[test]
fn offsets_of_an_imported_tag() {
    check_place(
        r#"(module (import "" "e" (tag $e (param i32))) FRONT (func (param i32) (throw $e (local.get 0))))"#,
        0,
    );
}

/// A tag of the module is known by its number: where it lies is no input.
#[test]
fn place_of_a_defined_tag() {
    let module = |front: &str| {
        format!("(module {front} (tag $e (param i32)) (func (param i32) (throw $e (local.get 0))))")
    };
    check_keeps(&DEFAULT, &module(""), &module("(global (mut i32) (i32.const 1))"), 0);
}
