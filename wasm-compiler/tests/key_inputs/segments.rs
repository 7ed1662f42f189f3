//! D. Data and element segments. Their slots are in the key, where the slots lie in
//! the VMContext is a parameter, and their contents are no input.

use crate::check::{
    AARCH64, DEFAULT, Setup, X86_64, check_changes, check_finer, check_keeps, check_parameter,
    check_place,
};
use oracle::store::MemoryStore;

/// A module whose function copies from a data segment.
fn copying(segment: &str, rest: &str) -> String {
    format!(
        "(module (memory 1) {rest}
        (func (param i32) (memory.init {segment} (local.get 0) (i32.const 0) (i32.const 1))))"
    )
}

const PASSIVE: &str = r#"(data $a "aaaa") (data $b "bbbb")"#;

/// Code reaches a slot by where it lies only; on a target whose code is not
/// understood its number and its place are one thing.
#[test]
fn slot_of_a_data_segment() {
    check_finer(&X86_64, &copying("$a", PASSIVE), &copying("$b", PASSIVE), 0);
    let dropping = |segment: &str| format!("(module {PASSIVE} (func (data.drop {segment})))");
    check_finer(&X86_64, &dropping("$a"), &dropping("$b"), 0);
    check_changes(&AARCH64, &dropping("$a"), &dropping("$b"), 0);
}

#[test]
fn active_or_passive_data() {
    let active = r#"(data $a (i32.const 0) "aaaa") (data $b "bbbb")"#;
    check_changes(&DEFAULT, &copying("$a", PASSIVE), &copying("$a", active), 0);
}

/// All bases lie in front of all lengths, so that a segment behind counts.
#[test]
fn offsets_of_a_data_segment() {
    check_place(&format!("(module FRONT {PASSIVE} (func (data.drop $b)))"), 0);
    check_place(&copying("$a", &format!("FRONT {PASSIVE}")), 0);
    let module = |rest: &str| far(&format!("{PASSIVE} {rest}"));
    check_parameter(&X86_64, &module(""), &module(r#"(data "more")"#), 0);
    check_parameter(&X86_64, &module(""), &module("(global (mut i32) (i32.const 1))"), 0);
}

/// A module that copies from a data segment, with all that it uses beyond the
/// reach of a byte.
fn far(rest: &str) -> String {
    copying("$a", &format!("{} {rest}", "(memory 1 1 shared)".repeat(20)))
}

/// The slots of data lie behind the `VMFuncRef`s of all functions that escape:
/// the export of another function moves them. So does a start function, or what else
/// needs code when the module starts. The function itself gets a trampoline.
#[test]
fn exports_in_front_of_a_data_segment() {
    let other = far(&format!("{PASSIVE} (func $f)"));
    let exported = far(&format!(r#"{PASSIVE} (func $f (export "f"))"#));
    let started = far(&format!("{PASSIVE} (func $f) (start $f)"));
    check_parameter(&X86_64, &other, &exported, 1);
    check_parameter(&X86_64, &other, &started, 0);
}

/// An active segment takes a slot in front of the passive ones, as a part of its
/// memory's image.
#[test]
fn active_data_in_front_of_a_data_segment() {
    let active = format!(r#"{PASSIVE} (data (i32.const 0) "active")"#);
    check_finer(&X86_64, &far(PASSIVE), &far(&active), 0);
}

/// `memory_guaranteed_dense_image_size` is in no artifact and not in the
/// fingerprint. It decides how many slots the active segments take: the slots are
/// in the key as they come out.
#[test]
fn size_of_images_in_front_of_a_data_segment() {
    let far_apart = format!(
        r#"(memory 9) {PASSIVE} (data (memory 1) (i32.const 0) "a")
        (data (memory 1) (i32.const 0x80000) "b")"#
    );
    let wasm = wat::parse_str(copying("$a", &far_apart)).expect("it is a module");
    let small = Setup::new(|config| config.memory_guaranteed_dense_image_size(1));
    let store = MemoryStore::default();
    let dense = DEFAULT.compile("one image", &wasm, &store);
    let sparse = small.compile("segments", &wasm, &store);
    assert_ne!(dense.artifact, sparse.artifact, "the setting changes nothing");
    assert_ne!(dense.keys[0], sparse.keys[0]);
    // They have one fingerprint: the builtins' trampolines are shared.
    assert_eq!(dense.keys.last(), sparse.keys.last());
}

#[test]
fn contents_of_data_segments() {
    let module = |a: &str, active: &str| {
        copying("$a", &format!(r#"(data $a "{a}") (data (i32.const 8) "{active}")"#))
    };
    check_keeps(&DEFAULT, &module("aaaa", "active"), &module("other and longer", "active"), 0);
    check_keeps(&DEFAULT, &module("aaaa", "active"), &module("aaaa", "other and longer"), 0);
}

/// A module whose function copies from an element segment.
fn filling(segment: &str, rest: &str) -> String {
    format!(
        "(module (table 9 9 funcref) (func $f) (func $g (drop (i32.const 1))) {rest}
        (func (param i32) (table.init {segment} (local.get 0) (i32.const 0) (i32.const 1))))"
    )
}

const ELEMENTS: &str = "(elem $a func $f) (elem $b func $g)";

#[test]
fn slot_of_an_element_segment() {
    check_changes(&DEFAULT, &filling("$a", ELEMENTS), &filling("$b", ELEMENTS), 2);
    let dropping = |segment: &str| {
        format!(
            "(module (func $f) (func $g (drop (i32.const 1))) {ELEMENTS} (func (elem.drop {segment})))"
        )
    };
    check_changes(&DEFAULT, &dropping("$a"), &dropping("$b"), 2);
}

#[test]
fn active_or_passive_elements() {
    let active = "(elem $a (i32.const 0) func $f) (elem $b func $g)";
    check_changes(&DEFAULT, &filling("$a", ELEMENTS), &filling("$a", active), 2);
}

#[test]
fn contents_of_element_segments() {
    let other = "(elem $a func $g $f $g) (elem $b func $f)";
    check_keeps(&DEFAULT, &filling("$a", ELEMENTS), &filling("$a", other), 0);
    let active = |functions: &str| {
        filling("$a", &format!("{ELEMENTS} (elem (i32.const 0) func {functions})"))
    };
    check_keeps(&DEFAULT, &active("$f"), &active("$g $f"), 0);
}
