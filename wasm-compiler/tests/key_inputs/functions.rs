//! D. `ref.func`: the runtime is handed the function's index.

use crate::check::{DEFAULT, check_changes, check_keeps};

#[test]
fn raw_index_of_a_function_that_is_referred_to() {
    let module = |function: &str| {
        format!(
            "(module (func $f) (func $g (drop (i32.const 1))) (elem declare func $f $g)
            (func (result funcref) (ref.func {function})))"
        )
    };
    check_changes(&DEFAULT, &module("$f"), &module("$g"), 2);
    let behind = "(module (func (drop (i32.const 2))) (func $f) (func $g (drop (i32.const 1)))
        (elem declare func $f $g) (func (result funcref) (ref.func $f)))";
    let store = oracle::store::MemoryStore::default();
    let wasm = |text: &str| wat::parse_str(text).expect("it is a module");
    let first = DEFAULT.compile("first", &wasm(&module("$f")), &store);
    let second = DEFAULT.compile("second", &wasm(behind), &store);
    assert_ne!(first.keys[2], second.keys[3]);
}

/// What the function is, is no input.
#[test]
fn body_of_a_function_that_is_referred_to() {
    let module = |body: &str| {
        format!(
            "(module (func $f {body}) (elem declare func $f) (func (result funcref) (ref.func $f)))"
        )
    };
    check_keeps(&DEFAULT, &module(""), &module("(drop (i32.const 1))"), 1);
}
