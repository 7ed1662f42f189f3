//! D. Memories that a function accesses, measures or grows.

use crate::check::{
    AARCH64, CHECKED, DEFAULT, Setup, X86_64, check_changes, check_finer, check_keeps,
    check_parameter, check_place, x86_64,
};
use wasmtime::OptLevel;

/// A module with memories, and a function that accesses the first one.
fn accessing(memories: &str) -> String {
    format!("(module {memories} (func (param i32) (result i32) (i32.load (local.get 0))))")
}

#[test]
fn index_type() {
    let module = |ty: &str| {
        format!("(module (memory {ty} 1 2) (func (result i32) (i32.load (memory.size))))")
    };
    check_changes(&DEFAULT, &module("i32"), &module("i64"), 0);
}

#[test]
fn shared() {
    check_changes(&DEFAULT, &accessing("(memory 1 2)"), &accessing("(memory 1 2 shared)"), 0);
}

#[test]
fn page_size() {
    let module = |size: u32| {
        format!(
            "(module (memory 65536 131072 (pagesize {size})) (func (result i32) (memory.size)))"
        )
    };
    let pages = "(module (memory 1 2) (func (result i32) (memory.size)))";
    check_changes(&DEFAULT, &module(1), &pages, 0);
    // The same bytes, in pages that the host cannot protect.
    let bytes = "(memory 65536 131072 (pagesize 1))";
    check_changes(&DEFAULT, &accessing(bytes), &accessing("(memory 1 2)"), 0);
}

#[test]
fn imported_or_defined() {
    let imported = accessing(r#"(import "" "" (memory 1 2))"#);
    check_changes(&DEFAULT, &accessing("(memory 1 2)"), &imported, 0);
}

/// A defined memory is in the VMContext itself, unless it is shared: then there is a
/// pointer, and those behind it move.
#[test]
fn owned_or_not() {
    let owned = accessing("(memory 1 2) (memory 1 2)");
    let not = accessing("(memory 1 2) (memory 1 2 shared)");
    check_changes(&DEFAULT, &owned, &accessing("(memory 1 2 shared) (memory 1 2)"), 0);
    // A pointer for each defined memory lies in front, whatever it points to.
    check_keeps(&DEFAULT, &owned, &not, 0);
    let second = |first: &str| {
        format!(
            "(module {first} (memory $m 1 2) (func (param i32) (result i32) (i32.load $m (local.get 0))))"
        )
    };
    check_parameter(&X86_64, &second("(memory 1 2)"), &second("(memory 1 2 shared)"), 0);
    check_changes(&AARCH64, &second("(memory 1 2)"), &second("(memory 1 2 shared)"), 0);
}

#[test]
fn which_memory() {
    let module = |memory: &str| {
        format!(
            "(module (memory $a 1) (memory $b 1) (func (param i32) (result i32) (i32.load {memory} (local.get 0))))"
        )
    };
    check_parameter(&X86_64, &module("$a"), &module("$b"), 0);
    check_changes(&AARCH64, &module("$a"), &module("$b"), 0);
}

/// Accesses the memory `$m`.
const READING: &str = "(func (param i32) (result i32) (i32.load $m (local.get 0)))";

#[test]
fn offsets_in_the_vmcontext() {
    check_place(&format!("(module FRONT (memory $m 1) {READING})"), 0);
    check_place(&format!("(module FRONT (memory $m 1 1 shared) {READING})"), 0);
    let imported = |front: usize| {
        let front = r#"(import "" "" (memory 1))"#.repeat(front);
        format!(r#"(module {front} (import "" "m" (memory $m 1)) {READING})"#)
    };
    // At 48, 72, 144 and 168.
    check_parameter(&X86_64, &imported(0), &imported(1), 0);
    check_parameter(&X86_64, &imported(4), &imported(5), 0);
    check_changes(&X86_64, &imported(0), &imported(4), 0);
    check_changes(&AARCH64, &imported(0), &imported(1), 0);
    // Functions lie behind memories, and have trampolines.
    let before = format!(r#"(module (import "" "m" (memory $m 1)) {READING})"#);
    let function = r#"(import "" "f" (func (param f32)))"#;
    let behind = format!(r#"(module (import "" "m" (memory $m 1)) {function} {READING})"#);
    check_keeps(&X86_64, &before, &behind, 1);
}

/// The base is within the reach of one byte, the length behind it is not.
#[test]
fn one_that_lies_across_the_reach_of_a_byte() {
    let checked = x86_64(|config| {
        config.signals_based_traps(false).memory_guard_size(0);
        config.memory_reservation(1 << 20)
    });
    let at = |start: usize| {
        let front = "(memory 1 1 shared)".repeat((start - 56) / 8);
        format!("(module {front} (memory $m 1) {READING})")
    };
    check_parameter(&checked, &at(104), &at(112), 0);
    check_changes(&checked, &at(112), &at(120), 0);
    check_changes(&checked, &at(120), &at(128), 0);
    check_parameter(&checked, &at(128), &at(136), 0);
}

#[test]
fn whether_it_may_move() {
    let reserved = Setup::new(|config| config.memory_reservation(1 << 20));
    let module = |max: u32| {
        format!(
            "(module (memory 1 {max}) (func (param i32) (i32.store (local.get 0) (i32.const 1))
            (i32.store offset=64 (local.get 0) (i32.const 2))))"
        )
    };
    check_changes(&reserved, &module(16), &module(17), 0);
}

/// What lies beyond the maximum traps without a look at the index.
#[test]
fn maximum() {
    let module = |max: u32| {
        format!(
            "(module (memory 1 {max}) (func (param i32) (result i32) (i32.load offset=131072 (local.get 0))))"
        )
    };
    check_changes(&DEFAULT, &module(2), &module(3), 0);
    check_finer(&DEFAULT, &accessing("(memory 1 3)"), &accessing("(memory 1 4)"), 0);
}

#[test]
fn minimum_that_is_the_maximum() {
    check_changes(&CHECKED, &accessing("(memory 2 2)"), &accessing("(memory 1 2)"), 0);
    check_changes(&CHECKED, &accessing("(memory 2 2)"), &accessing("(memory 3 3)"), 0);
}

#[test]
fn minimum_of_a_checked_access() {
    let module = |min: u32| {
        format!(
            "(module (memory {min} 9) (func (param i32) (result i32) (i32.load offset=70000 (local.get 0))))"
        )
    };
    check_changes(&CHECKED, &module(1), &module(2), 0);
    let at_a_constant = |min: u32| {
        format!("(module (memory {min} 9) (func (result i32) (i32.load (i32.const 70000))))")
    };
    check_changes(&CHECKED, &at_a_constant(1), &at_a_constant(2), 0);
}

/// 128 MiB are more than the guard region: the check is not elided, although it
/// is elided for smaller offsets.
#[test]
fn minimum_of_an_access_beyond_the_guard() {
    let module = |min: u32| {
        format!(
            "(module (memory {min} 9000) (func (result i32) (i32.load offset=134217728 (i32.const 0))))"
        )
    };
    // The check that is left is always passed, which only the optimiser finds out.
    let unoptimised = Setup::new(|config| config.cranelift_opt_level(OptLevel::None));
    check_changes(&unoptimised, &module(1), &module(4096), 0);
    check_finer(&DEFAULT, &module(1), &module(4096), 0);
}

#[test]
fn minimum_of_an_elided_access() {
    check_keeps(&DEFAULT, &accessing("(memory 1 9)"), &accessing("(memory 2 9)"), 0);
    check_keeps(&DEFAULT, &accessing("(memory 1)"), &accessing("(memory 7)"), 0);
}

/// The runtime is handed the number of the memory among those that are defined.
#[test]
fn defined_index_of_a_memory_that_grows() {
    let module = |memory: &str| {
        format!(
            "(module (memory $a 1) (memory $b 1) (func (result i32) (memory.grow {memory} (i32.const 1))))"
        )
    };
    check_changes(&DEFAULT, &module("$a"), &module("$b"), 0);
    let grows = "(func (result i32) (memory.grow $m (i32.const 1)))";
    let first = format!("(module (memory $m 1) {grows})");
    let behind = format!("(module (memory 1) (memory $m 1) {grows})");
    check_changes(&DEFAULT, &first, &behind, 0);
}

#[test]
fn index_of_a_memory_that_is_waited_on() {
    for operator in [
        "(memory.atomic.notify MEMORY (i32.const 0) (i32.const 1))",
        "(memory.atomic.wait32 MEMORY (i32.const 0) (i32.const 1) (i64.const 1))",
        "(memory.atomic.wait64 MEMORY (i32.const 0) (i64.const 1) (i64.const 1))",
    ] {
        let module = |memory: &str| {
            let operator = operator.replace("MEMORY", memory);
            format!(
                "(module (memory $a 1 2 shared) (memory $b 1 2 shared) (func (result i32) {operator}))"
            )
        };
        check_changes(&DEFAULT, &module("$a"), &module("$b"), 0);
    }
}

/// An exported memory has the alias region of all that are exported or imported:
/// a store to one of them forgets what was loaded from another.
#[test]
fn exported() {
    let module = |export: &str| {
        format!(
            r#"(module (memory $m {export} 1) (memory $n (export "n") 1)
            (func (result i32) (i32.load $m (i32.const 0)) (i32.store $n (i32.const 0) (i32.const 1))
              (i32.sub (i32.load $m (i32.const 0)))))"#
        )
    };
    check_changes(&DEFAULT, &module(""), &module(r#"(export "m")"#), 0);
}

/// The initial contents reach no function, nor does the number of segments.
#[test]
fn contents() {
    let [first, second] = [
        r#"(data (i32.const 8) "one")"#,
        r#"(data (i32.const 8) "data") (data (i32.const 64) "more")"#,
    ]
    .map(|data| accessing(&format!("(memory 1) {data}")));
    check_keeps(&DEFAULT, &first, &second, 0);
}
