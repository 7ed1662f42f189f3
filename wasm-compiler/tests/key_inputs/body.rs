//! B. The function: its body, its own signature, its branch hints; and where it
//! lies, which is a parameter.

use crate::check::{DEFAULT, Setup, check_changes, check_finer, check_keeps, check_parameter};
use wasm_encoder::{
    CodeSection, CustomSection, Function, FunctionSection, Module, TypeSection, ValType,
};

/// Two modules with one function each, whose bodies are given.
fn bodies(first: &str, second: &str) -> [String; 2] {
    [first, second].map(|body| {
        format!("(module (memory 1) (func (param i32 i32) (result i32) (local i32) {body}))")
    })
}

/// A module with one function of no parameters that gives an `i32`, with its
/// groups of locals and the raw bytes of its operators.
fn raw(locals: &[(u32, ValType)], operators: &[u8]) -> Vec<u8> {
    raw_behind(&[], locals, operators)
}

/// The same, behind a custom section with these bytes.
fn raw_behind(data: &[u8], locals: &[(u32, ValType)], operators: &[u8]) -> Vec<u8> {
    let mut function = Function::new(locals.iter().copied());
    function.raw(operators.iter().copied());
    let (mut types, mut functions, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], [ValType::I32]);
    functions.function(0);
    code.function(&function);
    let mut module = Module::new();
    module.section(&CustomSection { name: "custom".into(), data: data.into() });
    module.section(&types).section(&functions).section(&code);
    module.finish()
}

#[test]
fn operators() {
    let [add, sub] =
        bodies("(i32.add (local.get 0) (local.get 1))", "(i32.sub (local.get 0) (local.get 1))");
    check_changes(&DEFAULT, &add, &sub, 0);
}

#[test]
fn order_of_operators() {
    let [first, second] =
        bodies("(i32.sub (local.get 0) (local.get 1))", "(i32.sub (local.get 1) (local.get 0))");
    check_changes(&DEFAULT, &first, &second, 0);
}

#[test]
fn constants() {
    let [one, two] = bodies("(i32.const 1)", "(i32.const 2)");
    check_changes(&DEFAULT, &one, &two, 0);
    let [zero, negative_zero] =
        bodies("(i32.reinterpret_f32 (f32.const 0))", "(i32.reinterpret_f32 (f32.const -0))");
    check_changes(&DEFAULT, &zero, &negative_zero, 0);
}

#[test]
fn branch_targets() {
    let [inner, outer] = ["0", "1"].map(|depth| {
        format!(
            "(module (memory 1) (func (param i32)
                (block (block (br_if {depth} (local.get 0)) (i32.store (i32.const 0) (i32.const 1)))
                       (i32.store (i32.const 4) (i32.const 2)))))"
        )
    });
    check_changes(&DEFAULT, &inner, &outer, 0);
}

#[test]
fn offset_of_an_access() {
    let [near, far] =
        bodies("(i32.load offset=4 (local.get 0))", "(i32.load offset=8 (local.get 0))");
    check_changes(&DEFAULT, &near, &far, 0);
}

// A hint that Wasmtime does not take.
#[test]
fn alignment_of_an_access() {
    let [aligned, unaligned] =
        bodies("(i32.load align=4 (local.get 0))", "(i32.load align=1 (local.get 0))");
    check_finer(&DEFAULT, &aligned, &unaligned, 0);
}

#[test]
fn types_of_locals() {
    let [narrow, wide] = ["i32", "i64"].map(|ty| {
        format!("(module (global $g (mut {ty}) ({ty}.const 7)) (func (local {ty}) (global.set $g (local.get 0))))")
    });
    check_changes(&DEFAULT, &narrow, &wide, 0);
}

#[test]
fn groups_of_locals() {
    let operators = [0x20, 0, 0x0b]; // local.get 0
    let one = raw(&[(2, ValType::I32)], &operators);
    let two = raw(&[(1, ValType::I32), (1, ValType::I32)], &operators);
    check_changes(&DEFAULT, &one, &two, 0);
}

#[test]
fn own_signature() {
    let module = |ty: &str| format!("(module (func (param {ty}) (result {ty}) (local.get 0)))");
    check_changes(&DEFAULT, &module("i64"), &module("f64"), 0);
    // Parameters that nothing reads move those behind them.
    let first = "(module (func (param i32) (result i32) (i32.const 1)))";
    let second = "(module (func (param i32 i32) (result i32) (i32.const 1)))";
    check_finer(&DEFAULT, &first, &second, 0);
}

#[test]
fn own_index() {
    let first = "(module (func (result i32) i32.const 1) (func (result i32) i32.const 2))";
    let second = "(module (func (result i32) i32.const 3)
        (func (result i32) i32.const 1) (func (result i32) i32.const 2))";
    check_parameter(&DEFAULT, &first, &second, 1);
}

#[test]
fn own_name() {
    let module = |name: &str| format!("(module (func ${name} (result i32) (i32.const 1)))");
    check_parameter(&DEFAULT, &module("name"), &module("other"), 0);
}

#[test]
fn source_base() {
    let operators = [0x20, 0, 0x0b]; // local.get 0
    let [near, far] =
        [1, 1000].map(|len| raw_behind(&vec![7; len], &[(1, ValType::I32)], &operators));
    check_parameter(&DEFAULT, &near, &far, 0);
}

/// The source map's offsets move though the operators are the same.
#[test]
fn lengths_of_operators() {
    // i32.const 5, i32.const 6, i32.div_u; the first one in one byte or three.
    let short = raw(&[], &[0x41, 5, 0x41, 6, 0x6e, 0x0b]);
    let long = raw(&[], &[0x41, 0x85, 0x80, 0, 0x41, 6, 0x6e, 0x0b]);
    check_parameter(&DEFAULT, &short, &long, 0);
}

/// A function more in front makes `call 127` a `call 128`, which is a byte longer.
#[test]
fn a_callees_index_that_grows_by_a_byte() {
    let module = |in_front: usize| {
        let front: String =
            (0..in_front).map(|n| format!("(func (result i32) i32.const {n})")).collect();
        format!(
            "(module {front} (func $callee (param i32)) (func (call $callee (i32.const 1)) (call $callee (i32.const 2))))"
        )
    };
    check_parameter(&DEFAULT, &module(127), &module(128), 1);
}

fn hinted(hint: &str) -> String {
    format!(
        "(module (memory 1) (func (param i32) (result i32)
            local.get 0 {hint} if i32.const 0 i32.const 1 i32.store else i32.const 4 i32.const 2 i32.store end
            (i32.load (i32.const 8))))"
    )
}

const UNLIKELY: &str = r#"(@metadata.code.branch_hint "\00")"#;
const LIKELY: &str = r#"(@metadata.code.branch_hint "\01")"#;

#[test]
fn branch_hints() {
    check_changes(&DEFAULT, &hinted(UNLIKELY), &hinted(LIKELY), 0);
    // One of the two is as without a hint.
    check_changes(&DEFAULT, &hinted(""), &hinted(UNLIKELY), 0);
}

#[test]
fn branch_hints_that_are_off() {
    let off = Setup::new(|config| config.wasm_branch_hinting(false));
    check_keeps(&off, &hinted(UNLIKELY), &hinted(LIKELY), 0);
    check_keeps(&off, &hinted(""), &hinted(UNLIKELY), 0);
}

#[test]
fn branch_hints_of_another_function() {
    let with = |hint: &str| {
        let other = hinted(hint);
        let other = other.trim_start_matches("(module (memory 1)");
        format!(
            "(module (memory 1) (func (param i32) (result i32) (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))) {other}"
        )
    };
    check_keeps(&DEFAULT, &with(UNLIKELY), &with(LIKELY), 1);
}

/// What the facts do not cover is compiled afresh, beside what they do.
#[test]
fn stack_switching() {
    let setup = Setup::new(|config| config.wasm_stack_switching(true));
    let wasm = oracle::testdata::file("wat/stack-switching.wat");
    let store = oracle::store::MemoryStore::default();
    let cold = setup.compile("cold", &wasm, &store).report;
    let warm = setup.compile("warm", &wasm, &store).report;
    assert!(cold.uncached > 0 && cold.misses > 0);
    assert_eq!((warm.uncached, warm.misses), (cold.uncached, 0));
}
