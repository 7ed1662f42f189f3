//! D. Tables.

use crate::check::{DEFAULT, X86_64, check_changes, check_keeps, check_parameter, check_place};

/// A module with tables, and a function that reads the table `$t`.
fn reading(tables: &str) -> String {
    format!("(module {tables} (func (param i32) (result funcref) (table.get $t (local.get 0))))")
}

#[test]
fn index_type() {
    let module = |ty: &str| {
        format!(
            "(module (table $t {ty} 1 2 externref) (table $u {ty} 1 2 externref)
              (func (drop (table.get $t (table.size $u)))))"
        )
    };
    check_changes(&DEFAULT, &module("i32"), &module("i64"), 0);
}

#[test]
fn element_type() {
    let module = |ty: &str| {
        format!(
            "(module (table $t 9 {ty}) (func (param i32 i32) (table.set $t (local.get 0) (table.get $t (local.get 1)))))"
        )
    };
    check_changes(&DEFAULT, &module("funcref"), &module("externref"), 0);
}

#[test]
fn size_of_a_table_that_cannot_grow() {
    check_changes(
        &DEFAULT,
        &reading("(table $t 5 5 funcref)"),
        &reading("(table $t 6 6 funcref)"),
        0,
    );
}

#[test]
fn whether_it_can_grow() {
    check_changes(
        &DEFAULT,
        &reading("(table $t 5 5 funcref)"),
        &reading("(table $t 5 6 funcref)"),
        0,
    );
}

#[test]
fn limits_of_a_table_that_can_grow() {
    let first = reading("(table $t 5 8 funcref)");
    for other in ["(table $t 4 8 funcref)", "(table $t 5 9 funcref)", "(table $t 5 funcref)"] {
        check_keeps(&DEFAULT, &first, &reading(other), 0);
    }
}

#[test]
fn imported_or_defined() {
    let imported = reading(r#"(import "" "" (table $t 5 funcref))"#);
    check_changes(&DEFAULT, &reading("(table $t 5 funcref)"), &imported, 0);
}

/// Memories and functions in front move the table; its index is the same.
#[test]
fn offsets_in_the_vmcontext() {
    check_place(&reading("FRONT (table $t 5 funcref)"), 0);
    check_place(&reading(r#"(import "" "t" (table $t 5 funcref)) FRONT"#), 0);
    let module = |front: &str| reading(&format!("{front} (table $t 5 funcref)"));
    check_parameter(&X86_64, &module(""), &module(r#"(import "" "f" (func (param f32)))"#), 1);
}

/// The runtime is handed the number of the table among those that are defined.
#[test]
fn defined_index_of_a_table_that_grows() {
    let module = |table: &str| {
        format!(
            "(module (table $a 1 externref) (table $b 1 externref) (func (result i32)
            (table.grow {table} (ref.null extern) (i32.const 1))))"
        )
    };
    check_changes(&DEFAULT, &module("$a"), &module("$b"), 0);
}

/// The slow path of a table that is filled lazily is handed its index.
#[test]
fn raw_index_for_lazy_filling() {
    let module = |table: &str| {
        format!(
            "(module (type $f (func)) (table $a 9 funcref) (table $b 9 funcref)
            (func (param i32) (call_indirect {table} (type $f) (local.get 0))))"
        )
    };
    check_changes(&DEFAULT, &module("$a"), &module("$b"), 0);
    let first = reading("(table $t 9 funcref)");
    check_changes(&DEFAULT, &first, &reading("(table 9 externref) (table $t 9 funcref)"), 0);
}

/// See `memories::exported`.
#[test]
fn exported() {
    let module = |export: &str| {
        format!(
            r#"(module (table $t {export} 9 9 externref) (table $u (export "u") 9 9 externref)
            (func (param externref) (result externref externref)
              (table.get $t (i32.const 1))
              (table.set $u (i32.const 1) (local.get 0))
              (table.get $t (i32.const 1))))"#
        )
    };
    check_changes(&DEFAULT, &module(""), &module(r#"(export "t")"#), 0);
}
