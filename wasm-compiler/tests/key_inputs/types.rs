//! C. Types: their content, their interned indices where the code holds them, and
//! which uses are one type.

use crate::check::{
    AARCH64, DEFAULT, Setup, X86_64, check_changes, check_finer, check_keeps, check_parameter,
};
use wasmtime::Collector;

/// Two modules that differ in one place of a text.
fn pair(text: &str, first: &str, second: &str) -> [String; 2] {
    [first, second].map(|part| text.replace("{}", part))
}

#[test]
fn content_of_a_called_type() {
    let text = "(module (type $t (func (param {}) (result {}))) (table 1 funcref)
        (func (type $t) (call_indirect (type $t) (local.get 0) (i32.const 0))))";
    let [integer, float] = pair(text, "i64", "f64");
    check_changes(&DEFAULT, &integer, &float, 0);
}

#[test]
fn content_of_a_block_type() {
    let text =
        "(module (type $t (func (result {}))) (func (type $t) (block (type $t) (unreachable))))";
    let [integer, float] = pair(text, "i32", "i64");
    check_finer(&DEFAULT, &integer, &float, 0);
    let text = "(module (global $g (mut {}) ({}.const 0)) (func (param i32) (global.set $g
        (if (result {}) (local.get 0) (then ({}.const 1)) (else ({}.const 2))))))";
    let [integer, float] = pair(text, "i32", "i64");
    check_changes(&DEFAULT, &integer, &float, 0);
}

/// Only the heap type of the local differs: one is traced by the collector.
#[test]
fn heap_type_of_a_local() {
    let text = "(module (import \"\" \"\" (func $f (result {})))
        (func (param i32) (result i32) (local {}) (local.set 1 (call $f)) (drop (call $f))
          (ref.is_null (local.get 1))))";
    let [traced, untraced] = pair(text, "anyref", "funcref");
    check_changes(&DEFAULT, &traced, &untraced, 0);
}

#[test]
fn nullability() {
    let text = "(module (type $s (struct (field i32)))
        (func (param {}) (result i32) (struct.get $s 0 (local.get 0))))";
    let [nullable, non_null] = pair(text, "(ref null $s)", "(ref $s)");
    check_finer(&DEFAULT, &nullable, &non_null, 0);
}

#[test]
fn type_of_a_select() {
    let text = "(module (table $t 4 {}) (func (param i32) (table.set $t (i32.const 0)
        (select (result {}) (table.get $t (i32.const 1)) (table.get $t (i32.const 2)) (local.get 0)))))";
    let [traced, untraced] = pair(text, "externref", "funcref");
    check_changes(&DEFAULT, &traced, &untraced, 0);
}

#[test]
fn type_of_a_null() {
    let text = "(module (table $t 4 (ref null {})) (func (param i32)
        (table.set $t (local.get 0) (ref.null {}))))";
    let [traced, untraced] = pair(text, "extern", "func");
    check_changes(&DEFAULT, &traced, &untraced, 0);
}

/// A module in which a type more moves the interned indices behind it.
fn moved(rest: &str) -> [String; 2] {
    ["", "(type (func (param f32 f32 f32)))"].map(|front| format!("(module {front} {rest})"))
}

/// A type's id lies at four times its index in the array of type ids: at 0 there
/// is no displacement, up to 124 it is a byte.
#[test]
fn interned_index_in_call_indirect() {
    let at = |index: usize| {
        let field = "(field i32)";
        let front = (1..=index).map(|fields| format!("(type (struct {}))", field.repeat(fields)));
        format!(
            "(module {} (type $t (func)) (table 1 funcref)
            (func (param i32) (call_indirect (type $t) (local.get 0))))",
            front.collect::<String>()
        )
    };
    check_changes(&X86_64, &at(0), &at(1), 0);
    check_parameter(&X86_64, &at(1), &at(2), 0);
    check_parameter(&X86_64, &at(2), &at(31), 0);
    check_changes(&X86_64, &at(31), &at(32), 0);
    check_parameter(&X86_64, &at(32), &at(33), 0);
    check_changes(&AARCH64, &at(1), &at(2), 0);
}

#[test]
fn interned_index_in_a_test() {
    let [first, second] = moved(
        "(type $s (struct (field i32))) (func (param anyref) (result i32) (ref.test (ref $s) (local.get 0)))",
    );
    check_changes(&DEFAULT, &first, &second, 0);
}

#[test]
fn interned_index_in_a_cast() {
    let [first, second] = moved(
        "(type $s (struct (field i32))) (func (param anyref) (drop (ref.cast (ref $s) (local.get 0))))",
    );
    check_changes(&DEFAULT, &first, &second, 0);
}

#[test]
fn interned_index_in_an_allocation() {
    let [first, second] = moved(
        "(type $s (struct (field i32))) (func (result anyref) (struct.new $s (i32.const 1)))",
    );
    check_changes(&DEFAULT, &first, &second, 0);
    let [first, second] = moved(
        "(type $a (array (mut i32))) (func (result anyref) (array.new $a (i32.const 1) (i32.const 2)))",
    );
    check_changes(&DEFAULT, &first, &second, 0);
}

#[test]
fn finality() {
    let text = "(module (type $t (sub {} (func))) (table 1 funcref)
        (func (param i32) (call_indirect (type $t) (local.get 0))))";
    let [is_final, open] = pair(text, "final", "");
    check_changes(&DEFAULT, &is_final, &open, 0);
}

#[test]
fn a_table_of_the_called_type() {
    let text = "(module (type $t (func)) (table 1 {}) (func (param i32) (call_indirect (type $t) (local.get 0))))";
    let [any, typed] = pair(text, "funcref", "(ref null $t)");
    check_changes(&DEFAULT, &any, &typed, 0);
}

#[test]
fn layout_of_a_struct() {
    let text = "(module (type $s (struct (field {}) (field (mut i32))))
        (func (param (ref $s)) (result i32) (struct.get $s 1 (local.get 0))))";
    let [narrow, wide] = pair(text, "i32", "i64");
    check_changes(&DEFAULT, &narrow, &wide, 0);
    let text = "(module (type $s (struct (field {})))
        (func (param (ref $s)) (result i32) (struct.get_u $s 0 (local.get 0))))";
    let [byte, half] = pair(text, "i8", "i16");
    check_changes(&DEFAULT, &byte, &half, 0);
}

#[test]
fn layout_of_an_array() {
    let text = "(module (type $a (array {}))
        (func (param (ref $a) i32) (result i32) (array.get_u $a (local.get 0) (local.get 1))))";
    let [byte, half] = pair(text, "i8", "i16");
    check_changes(&DEFAULT, &byte, &half, 0);
}

/// A collector with other object headers has another fingerprint.
#[test]
fn the_collector() {
    let wasm = wat::parse_str(
        "(module (type $s (struct (field i32)))
            (func (result anyref) (struct.new $s (i32.const 1))))",
    )
    .expect("it is a module");
    let store = oracle::store::MemoryStore::default();
    for collector in [Collector::Copying, Collector::DeferredReferenceCounting, Collector::Null] {
        let setup = Setup::new(|config| config.collector(collector));
        let compiled = setup.compile("collector", &wasm, &store);
        assert_eq!(compiled.report.hits.total(), 0, "{collector:?}");
    }
}

/// Types are numbered by first use: where a type lies is no input, if its index
/// is not in the code. The type that is added has a trampoline of its own.
#[test]
fn index_of_a_type_that_is_not_in_the_code() {
    let [first, second] = moved(
        "(type $t (func (param i32) (result i32)))
         (func $callee (type $t) (i32.add (local.get 0) (i32.const 1)))
         (func (result i32) (i32.const 1) (block (type $t)) (call $callee))",
    );
    check_keeps(&DEFAULT, &first, &second, 1);
}

/// Two uses of one type, or of two that are alike.
#[test]
fn which_uses_are_one_type() {
    let text = "(module (rec (type $a (sub (func))) (type $b (sub (func)))) (table 1 funcref)
        (func (param i32) (call_indirect (type $a) (local.get 0)) (call_indirect (type {}) (local.get 0))))";
    let [one, two] = pair(text, "$a", "$b");
    check_changes(&DEFAULT, &one, &two, 0);
}
