//! D. Data and element segments. Their slots are in the key, their contents are
//! not; but what lies in front of the slots in the VMContext moves them.

use crate::check::{DEFAULT, Setup, check_changes, check_keeps};
use oracle::store::MemoryStore;

/// A module whose function copies from a data segment.
fn copying(segment: &str, rest: &str) -> String {
    format!(
        "(module (memory 1) {rest}
        (func (param i32) (memory.init {segment} (local.get 0) (i32.const 0) (i32.const 1))))"
    )
}

const PASSIVE: &str = r#"(data $a "aaaa") (data $b "bbbb")"#;

#[test]
fn slot_of_a_data_segment() {
    check_changes(&DEFAULT, &copying("$a", PASSIVE), &copying("$b", PASSIVE), 0);
    let dropping = |segment: &str| format!("(module {PASSIVE} (func (data.drop {segment})))");
    check_changes(&DEFAULT, &dropping("$a"), &dropping("$b"), 0);
}

#[test]
fn active_or_passive_data() {
    let active = r#"(data $a (i32.const 0) "aaaa") (data $b "bbbb")"#;
    check_changes(&DEFAULT, &copying("$a", PASSIVE), &copying("$a", active), 0);
}

/// All bases lie in front of all lengths, so that a segment behind counts.
#[test]
fn offsets_of_a_data_segment() {
    let more = format!(r#"{PASSIVE} (data "more")"#);
    check_changes(&DEFAULT, &copying("$a", PASSIVE), &copying("$a", &more), 0);
    let global = format!("{PASSIVE} (global (mut i32) (i32.const 1))");
    check_changes(&DEFAULT, &copying("$a", PASSIVE), &copying("$a", &global), 0);
}

/// The slots of data lie behind the `VMFuncRef`s of all functions that escape:
/// the export of another function, which is no input anywhere else, moves them.
/// So does a start function, or what else needs code when the module starts.
#[test]
fn exports_in_front_of_a_data_segment() {
    let other = format!("{PASSIVE} (func $f)");
    let exported = format!(r#"{PASSIVE} (func $f (export "f"))"#);
    let started = format!("{PASSIVE} (func $f) (start $f)");
    check_changes(&DEFAULT, &copying("$a", &other), &copying("$a", &exported), 1);
    check_changes(&DEFAULT, &copying("$a", &other), &copying("$a", &started), 1);
}

/// An active segment takes a slot in front of the passive ones, as a part of its
/// memory's image.
#[test]
fn active_data_in_front_of_a_data_segment() {
    let active = format!(r#"{PASSIVE} (data (i32.const 0) "active")"#);
    check_changes(&DEFAULT, &copying("$a", PASSIVE), &copying("$a", &active), 0);
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
