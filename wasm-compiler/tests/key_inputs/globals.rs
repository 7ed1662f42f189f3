//! D. Globals.

use crate::check::{
    AARCH64, DEFAULT, X86_64, check_changes, check_finer, check_keeps, check_kept_by_layout,
    check_parameter, check_place, check_shared, x86_64,
};
use crate::relocatable::{RELOCATABLE, check_runs_on_one_store};
use wasmtime::Collector;

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

/// A module with a global, of which `GET` is the value.
const READING: &str = "(module FRONT (global $g (mut i32) (i32.const 1)) (func (result i32) GET))";

#[test]
fn offset_in_the_vmcontext() {
    check_place(&READING.replace("GET", "(global.get $g)"), 0);
    check_place(
        r#"(module (import "" "g" (global $g (mut i32))) FRONT
        (func (global.set $g (i32.add (global.get $g) (i32.const 1)))))"#,
        0,
    );
    // What else can lie in front.
    let module = |front: &str| READING.replace("GET", "(global.get $g)").replace("FRONT", front);
    let alone = module("");
    check_parameter(&X86_64, &alone, &module("(global i32 (i32.const 1))"), 0);
    check_parameter(&X86_64, &alone, &module("(table 1 funcref)"), 0);
    // There is a trampoline for each type.
    check_parameter(&X86_64, &alone, &module(r#"(import "" "f" (func (param f32)))"#), 1);
    let imported = |behind: &str| {
        format!(
            r#"(module (import "" "g" (global $g (mut i32))) {behind} (func (result i32) (global.get $g)))"#
        )
    };
    // Tables that are defined lie behind globals that are imported.
    check_keeps(&X86_64, &imported(""), &imported("(table 1 funcref)"), 0);
}

/// A module with two globals.
fn with_two(functions: &str) -> String {
    format!(
        "(module (global $a (mut i32) (i32.const 1)) (global $b (mut i32) (i32.const 1)) {functions})"
    )
}

#[test]
fn which_global() {
    let [a, b] = ["$a", "$b"].map(|global| format!("(func (result i32) (global.get {global}))"));
    check_parameter(&X86_64, &with_two(&a), &with_two(&b), 0);
    check_changes(&AARCH64, &with_two(&a), &with_two(&b), 0);
    check_shared(&with_two(&a), &with_two(&format!("{a} {b}")));
}

#[test]
fn which_accesses_are_of_one_global() {
    let copying = |to: &str, from: &str| {
        with_two(&format!("(func (global.set {to} (i32.mul (global.get {from}) (i32.const 3))))"))
    };
    check_changes(&X86_64, &copying("$a", "$a"), &copying("$a", "$b"), 0);
    check_parameter(&X86_64, &copying("$a", "$b"), &copying("$b", "$a"), 0);
}

/// More values live across the call than registers outlive it, so that the VMContext is
/// on the stack meanwhile.
#[test]
fn offset_behind_a_call() {
    let all: String = (0..16).map(|local| format!("(local.get {local}) i64.xor ")).collect();
    let module = |call: &str| {
        format!(
            r#"(module (import "" "f" (func $f)) FRONT (global $g (mut i64) (i64.const 1))
            (func (param {}) (result i64) {call} (global.get $g) {all}))"#,
            "i64 ".repeat(16)
        )
    };
    check_place(&module("(call $f)"), 0);
    check_place(&module("(block $l (try_table (catch_all $l) (call $f)))"), 0);
}

/// Results that have no register are returned through memory: its address takes
/// the first argument's register, which else is the VMContext's.
#[test]
fn offset_in_a_function_of_many_results() {
    let module = |front: &str, results: usize| {
        let others = "(local.get 0)".repeat(results - 1);
        let results = "i64 ".repeat(results);
        format!(
            "(module {front} (global $g (mut i64) (i64.const 1))
            (func (param i64) (result {results}) (global.get $g) {others}))"
        )
    };
    let front = "(global i64 (i64.const 0))";
    check_parameter(&X86_64, &module("", 8), &module(front, 8), 0);
    for results in [9, 10, 16] {
        check_kept_by_layout(&X86_64, &module("", results), &module(front, results));
    }
}

/// The address of a reference that is collected is computed by adding its offset,
/// as a constant: in the first module it is one value with the function's own.
#[test]
fn offset_of_a_collected_reference() {
    let module = |front: &str| {
        format!(
            "(module {front} (global $g (mut externref) (ref.null extern))
            (func (param externref i64) (result externref i64)
              (global.set $g (local.get 0))
              (local.set 1 (i64.add (local.get 1) (i64.const 48)))
              (global.get $g)
              (i64.xor (local.get 1) (i64.const 48))))"
        )
    };
    let [equal, moved] = ["", "(global i64 (i64.const 0))"].map(module);
    for collector in [Collector::Copying, Collector::DeferredReferenceCounting, Collector::Null] {
        let setup = x86_64(|config| config.collector(collector));
        check_changes(&setup, &equal, &moved, 0);
        check_changes(&setup, &moved, &equal, 0);
    }
    // Where an import is, is loaded first.
    let import = r#"(import "" "g" (global $g (mut externref))) FRONT"#;
    check_place(&format!("(module {import} (func (result externref) (global.get $g)))"), 0);
}

/// AVX-512 counts a displacement in units of the access's size if it can, so that
/// one byte reaches farther: the place alone does not tell the size of the field. Such
/// code is kept for each layout by itself.
#[test]
fn a_vector_that_avx512_takes_from_memory() {
    let setup = x86_64(|config| {
        for flag in ["has_avx512bitalg", "has_avx512vl"] {
            // SAFETY: nothing that is compiled here is run.
            unsafe {
                config.cranelift_flag_set(flag, "true");
            }
        }
        config
    });
    let behind = |globals: usize| {
        format!(
            "(module {} (global $g (mut v128) (v128.const i64x2 1 2)) (global $h (mut v128) (v128.const i64x2 1 2))
            (func (global.set $h (i8x16.popcnt (global.get $g)))))",
            "(global i64 (i64.const 0))".repeat(globals)
        )
    };
    // At 48, 64, 144, 160, 3248 and 3264.
    for (first, second) in [(0, 1), (6, 7), (200, 201), (6, 200), (200, 6)] {
        check_kept_by_layout(&setup, &behind(first), &behind(second));
    }
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

/// Whether a global is a constant is said before what follows for either.
#[test]
fn constant_in_front_of_what_looks_like_a_place() {
    // Written as: defined, with a place of four bytes; and twice the opcode of `nop`.
    const CONSTANT: u32 = 0x0101_0201;
    let module = |one: &str, other: &str| {
        let far = "(global i32 (i32.const 0))".repeat(16);
        format!(
            r#"(module {far}
            (global $constant i32 (i32.const {CONSTANT}))
            (global $computed i32 (i32.add (i32.const 1) (i32.const 2)))
            (func (export "run") (result i32) global.get ${one} global.get ${other} i32.sub))"#
        )
    };
    let first = module("constant", "computed nop nop");
    let second = module("computed nop nop", "constant");
    for setup in [&X86_64, &RELOCATABLE] {
        check_runs_on_one_store(setup, &first, &second);
    }
}
