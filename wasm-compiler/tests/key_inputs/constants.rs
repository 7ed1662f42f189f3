//! Constants of relocatable stencils: which of them are parameters, and what of them is
//! in the key.

use crate::check::{X86_64, check_changes, check_finer, check_parameter, functions};
use crate::relocatable::{
    COUNTS_FUEL, LOOKS_AT_EPOCHS, RELOCATABLE, check_in_key, check_kept, check_number,
    check_runs_on_one_store, relocatable,
};
use oracle::store::MemoryStore;
use wasmtime::OptLevel;

/// Uses of a constant `K`: those that have a form with an immediate operand, and others.
const USES: [&[&str]; 2] = [
    &[
        "(i32.add (local.get 0) K)",
        "(i32.sub K (local.get 0))",
        "(i32.eq (local.get 0) K)",
        "(i32.lt_u K (local.get 0))",
        "(select K (local.get 0) (local.get 0))",
        "(i32.load K)",
        "(i32.add (i32.load K) (i32.load8_u K))",
        "(i32.store (i32.const 8) K) (i32.load (i32.const 8))",
        "(i32.trunc_f64_s (f64.convert_i32_s K))",
        "(i32x4.extract_lane 1 (i32x4.splat K))",
    ],
    &[
        "(i32.wrap_i64 (i64.add (i64.extend_i32_u (local.get 0)) K))",
        "(i64.eq (i64.extend_i32_u (local.get 0)) K)",
        "(i64.lt_u K (i64.extend_i32_u (local.get 0)))",
        "(i32.wrap_i64 (select K (i64.const 5) (local.get 0)))",
        "(i64.store (i32.const 8) K) (i32.load (i32.const 12))",
        "(i32.trunc_sat_f64_s (f64.convert_i64_s K))",
    ],
];

const TYPES: [&str; 2] = ["i32", "i64"];

/// A module with a function of this body, and more.
fn module_with(more: &str, body: &str) -> String {
    format!(
        r#"(module {more} (memory $m (export "m") 3)
        (func (export "run") (param i32) (result i32) {body}))"#
    )
}

fn module(body: &str) -> String {
    module_with("", body)
}

fn using(uses: &str, ty: &str, value: i64) -> String {
    module(&uses.replace('K', &format!("({ty}.const {value})")))
}

fn adding(ty: &str, value: i64) -> String {
    using(USES[usize::from(ty == "i64")][0], ty, value)
}

#[test]
fn value_of_a_constant() {
    for (ty, uses) in TYPES.into_iter().zip(USES) {
        for uses in uses {
            check_number(&RELOCATABLE, &using(uses, ty, 16_384), &using(uses, ty, 2_147_483_647));
            check_number(&RELOCATABLE, &using(uses, ty, 70_000), &using(uses, ty, 80_004));
        }
    }
    // With exact stencils it is in the key.
    check_changes(&X86_64, &adding("i32", 70_000), &adding("i32", 80_004), 0);
}

#[test]
fn class_of_a_constant() {
    for (ty, select) in TYPES.into_iter().zip([USES[0][4], USES[1][3]]) {
        let module = |value| using(select, ty, value);
        let check = |one, other| check_in_key(&RELOCATABLE, &module(one), &module(other));
        check(1023, 1024);
        check(1022, 1023);
        check(0, 1024);
        check(-70_000, 70_000);
        check(-70_000, -80_000);
        check_number(&RELOCATABLE, &module(1024), &module(1025));
    }
    let (last, above) = (i64::from(i32::MAX), i64::from(i32::MAX) + 1);
    check_in_key(&RELOCATABLE, &adding("i32", last), &adding("i32", i64::from(i32::MIN)));
    check_in_key(&RELOCATABLE, &adding("i64", last), &adding("i64", above));
    check_in_key(&RELOCATABLE, &adding("i64", above), &adding("i64", above + 1));
}

/// The constants of a body from 1024 up are parameters, or only those from 16384 up.
#[track_caller]
fn check_least(least: i64, body: &str, ty: &str) {
    let module = |value| using(body, ty, value);
    check_in_key(&RELOCATABLE, &module(least - 2), &module(least - 1));
    check_in_key(&RELOCATABLE, &module(least - 1), &module(least));
    check_number(&RELOCATABLE, &module(least), &module(least + 1));
}

const LEAST: i64 = 1024;
const LEAST_OF_DISTANCES: i64 = 16_384;

/// Smaller ones are rather bounds.
#[test]
fn constant_that_is_compared() {
    for operator in ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"] {
        for operands in ["(local.get 0) K", "K (local.get 0)"] {
            let check = |body: String, ty| check_least(LEAST_OF_DISTANCES, &body, ty);
            check(format!("(i32.{operator} {operands})"), "i32");
            let wide = operands.replace("(local.get 0)", "(i64.extend_i32_u (local.get 0))");
            check(format!("(i64.{operator} {wide})"), "i64");
        }
    }
}

/// Smaller ones are rather distances, where what they are added to is an address itself.
#[test]
fn constant_that_is_added_to_an_address() {
    for accessed in [
        "(i32.load (local.get 0))",
        "(i32.load offset=1023 (local.get 0))",
        "(i32.load (i32.add (local.get 0) (i32.const 1023)))",
        "(i32.load (i32.add (i32.const -1023) (local.get 0)))",
        "(i32x4.extract_lane 0 (v128.load (local.get 0)))",
        "(i32.store8 (local.get 0) (i32.const 1)) (i32.const 0)",
    ] {
        for sum in ["(i32.add (local.get 0) K)", "(i32.add K (local.tee 0 (local.get 0)))"] {
            check_least(LEAST_OF_DISTANCES, &format!("(i32.sub {accessed} {sum})"), "i32");
            check_least(LEAST_OF_DISTANCES, &format!("(i32.sub {sum} {accessed})"), "i32");
        }
    }
    for not_accessed in [
        "(i32.load (i32.const 8))",
        "(i32.load offset=1024 (local.get 0))",
        "(i32.load (i32.add (local.get 0) (i32.const 70000)))",
        "(i32.load (i32.mul (local.get 0) (i32.const 4)))",
        "(i32.store8 (i32.const 8) (local.get 0)) (i32.const 0)",
    ] {
        check_least(LEAST, &format!("(i32.sub {not_accessed} (i32.add (local.get 0) K))"), "i32");
    }
    let address = "(i32.load (local.get 0))";
    for other in ["(i32.add (i32.mul (local.get 0) (i32.const 4)) K)", "(i32.sub (local.get 0) K)"]
    {
        check_least(LEAST, &format!("(i32.sub {address} {other})"), "i32");
    }
    let wide = "(memory $wide i64 1)";
    let module = |value: i64| {
        module_with(
            wide,
            &format!(
                "(local i64) (i64.store $wide (local.get 1) (i64.const 5))
                (i32.wrap_i64 (i64.add (local.get 1) (i64.const {value})))"
            ),
        )
    };
    check_in_key(&RELOCATABLE, &module(16_382), &module(16_383));
    check_number(&RELOCATABLE, &module(16_384), &module(16_385));
}

/// The first is a parameter and the second is not, or the other way round: the numbers
/// are the ordinals that the parameters could have.
#[test]
fn which_constants_are_parameters() {
    let module = |one: i64, other: i64| {
        module(&format!("(select (i32.const {one}) (i32.const {other}) (local.get 0))"))
    };
    for small in [0, 1, 2, -1, -2] {
        check_in_key(&RELOCATABLE, &module(small, 70_000), &module(70_000, small));
        check_in_key(&RELOCATABLE, &module(small, 70_000), &module(70_000, 80_000));
        check_number(&RELOCATABLE, &module(small, 70_000), &module(small, 80_000));
    }
}

#[test]
fn which_constants_are_equal() {
    let [a, b, c] = [70_000, 80_000, 90_000];
    let two = |one: i64, other: i64| {
        module(&format!("(select (i32.const {one}) (i32.const {other}) (local.get 0))"))
    };
    check_in_key(&RELOCATABLE, &two(a, b), &two(a, a));
    check_number(&RELOCATABLE, &two(a, b), &two(b, a));
    check_number(&RELOCATABLE, &two(a, b), &two(a, c));
    check_number(&RELOCATABLE, &two(a, a), &two(b, b));
    let three = |first: i64, second: i64, third: i64| {
        let load = |value| format!("(i32.load (i32.const {value}))");
        let [first, second, third] = [first, second, third].map(load);
        module(&format!("(i32.sub (select {first} {second} (local.get 0)) {third})"))
    };
    check_in_key(&RELOCATABLE, &three(a, b, a), &three(a, b, b));
    check_in_key(&RELOCATABLE, &three(a, a, b), &three(a, b, b));
    check_number(&RELOCATABLE, &three(a, b, a), &three(c, a, c));
    // Those of different types are different ones.
    let mixed = |one: i64, other: i64| {
        module(&format!("(i32.sub (i32.const {one}) (i32.wrap_i64 (i64.const {other})))"))
    };
    check_number(&RELOCATABLE, &mixed(a, a), &mixed(a, b));
}

/// What has no form with an immediate operand reads from there.
#[test]
fn constants_behind_the_code() {
    let module = |[one, other]: [u32; 2], wide: u32| {
        let float =
            |ty, value| format!("(i32.trunc_f64_s (f64.convert_{ty}_s ({ty}.const {value})))");
        let [one, other, wide] = [float("i32", one), float("i32", other), float("i64", wide)];
        module(&format!("(i32.sub (i32.add {one} (local.get 0)) (i32.sub {other} {wide}))"))
    };
    let narrow = [90_001, 80_002];
    check_number(&RELOCATABLE, &module(narrow, 95_003), &module([2000, 3001], 7000));
    check_number(&RELOCATABLE, &module(narrow, 80_002), &module([3001, 2000], 3001));
    let wasm = wat::parse_str(module(narrow, 95_003)).expect("it is a module");
    let artifact = RELOCATABLE.compile("module", &wasm, &MemoryStore::default()).artifact;
    let code = &functions(&artifact)[0];
    let narrow = narrow.map(u32::to_le_bytes).concat();
    let expected = [&95_003_u64.to_le_bytes()[..], &narrow].concat();
    assert!(code.ends_with(&expected), "no constants stand behind the code");
}

/// How many constants, and how many offsets, of a function are parameters.
pub const PARAMETERS_MAX: usize = 1 << 14;

#[test]
fn constant_behind_too_many() {
    let module = |others: usize, value: u32| {
        let others = "(drop (i32.const 1))".repeat(others);
        module(&format!("{others} (i32.add (local.get 0) (i32.const {value}))"))
    };
    let [last, next] = [PARAMETERS_MAX - 1, PARAMETERS_MAX];
    check_number(&RELOCATABLE, &module(last, 70_000), &module(last, 80_000));
    check_in_key(&RELOCATABLE, &module(next, 70_000), &module(next, 80_000));
}

/// Whether there is room for placeholders is decided by what the module has, and not by how much is
/// compiled now; and it is in the key.
#[test]
fn constants_in_a_module_with_very_many_globals() {
    let module = |globals: usize, others: usize| {
        let globals = "(global i32 (i32.const 0))".repeat(globals);
        let others: String =
            (0..others).map(|at| format!("(drop (i32.const {}))", 3_000 + at)).collect();
        format!(
            r#"(module (memory 1) {globals}
            (func (export "run") (result i32) (i32.load (i32.const 2000)))
            (func (export "other") {others}))"#
        )
    };
    let many = wat::parse_str(module(899_900, 1)).expect("it is a module");
    check_runs_on_one_store(&RELOCATABLE, &module(0, 1), &many);
    check_runs_on_one_store(&RELOCATABLE, &module(899_900, 200), &many);
}

/// Cranelift tells so many memory regions apart in one function, and no more.
#[test]
fn constants_in_a_function_with_very_many_globals() {
    let module = |globals: usize, others: usize, value: u32| {
        let declared = "(global (mut i32) (i32.const 0))".repeat(globals);
        let read: String = (0..globals).map(|at| format!("(drop (global.get {at}))")).collect();
        let others: String =
            (0..others).map(|at| format!("(drop (i32.const {}))", 100_000 + at)).collect();
        format!(
            r#"(module (memory 1) {declared}
            (func (export "run") (result i32)
                {read} {others} (i32.load (i32.const {value}))))"#
        )
    };
    // And the memory, and the function's own type.
    let [last, next] = [(1 << 13) - 2, (1 << 13) - 1];
    check_number(&RELOCATABLE, &module(last, 0, 2000), &module(last, 0, 3000));
    check_in_key(&RELOCATABLE, &module(next, 0, 2000), &module(next, 0, 3000));
    // Wasmtime has room for this.
    let wasm = wat::parse_str(module(60_000, 6_000, 2000)).expect("it is a module");
    RELOCATABLE.compile("very many globals", &wasm, &MemoryStore::default());
}

/// Types count like entities.
#[test]
fn constants_in_a_function_with_very_many_types() {
    let ty = |at: usize| {
        let digits = (0..7).map(|digit| ["i32", "i64", "f32", "f64"][at >> (2 * digit) & 3]);
        digits.collect::<Vec<_>>().join(" ")
    };
    let module = |types: usize, value: u32| {
        let declared: String =
            (0..types).map(|at| format!("(type (func (param {})))", ty(at))).collect();
        let zeros = |at: usize| -> String {
            ty(at).split(' ').map(|ty| format!("(local.get ${ty})")).collect()
        };
        let calls: String = (0..types)
            .map(|at| format!("(call_indirect (type {at}) {} (i32.const 0))", zeros(at)))
            .collect();
        format!(
            r#"(module {declared} (memory 1) (table 1 funcref)
            (func (export "run") (result i32)
                (local $i32 i32) (local $i64 i64) (local $f32 f32) (local $f64 f64)
                {calls} (i32.load (i32.const {value}))))"#
        )
    };
    // And the function's own, the table, the memory.
    let [last, next] = [(1 << 13) - 3, (1 << 13) - 2];
    let quick = relocatable(|config| config.cranelift_opt_level(OptLevel::None));
    check_parameter(&quick, &module(last, 2000), &module(last, 3000), 0);
    check_changes(&quick, &module(next, 2000), &module(next, 3000), 0);
}

/// Collected references need memory of the function's own, each another one.
#[test]
fn constants_in_a_function_with_very_many_values() {
    let module = |local: &str, operators: usize, value: u32| {
        let nops = "nop ".repeat(operators);
        format!(
            r#"(module (memory 1)
            (func (export "run") (param i32) (result i32) (local {local})
                {nops} (i32.load (i32.const {value}))))"#
        )
    };
    // And the function's type, the local and the last three operators.
    let [last, next] = [(1 << 13) - 6, (1 << 13) - 5];
    let check = |local, operators| {
        check_number(
            &RELOCATABLE,
            &module(local, operators, 2000),
            &module(local, operators, 3000),
        );
    };
    check("externref", last);
    check("i32", next);
    check_in_key(&RELOCATABLE, &module("externref", next, 2000), &module("externref", next, 3000));
    // One operator may give many of them. That code has a marker, and each its own behind it.
    let module = |calls: usize, value: u32| {
        let many = "externref ".repeat(1000);
        let calls = "call $give ".repeat(calls) + &"call $take ".repeat(calls);
        format!(
            r#"(module
            (func $give (import "" "give") (result {many}))
            (func $take (import "" "take") (param {many}))
            (memory 1)
            (func (export "f") (result i32) {calls} (i32.load (i32.const {value}))))"#
        )
    };
    check_finer(&RELOCATABLE, &module(9, 2000), &module(9, 3000), 0);
}

/// Where fuel or epochs are looked at, a constant says whether they are: in front of what is cheap by
/// a size that is known they are not.
#[test]
fn size_that_an_operator_is_given() {
    let module = |body: &str, size: u32| {
        let body = body.replace("SIZE", &size.to_string());
        format!(
            r#"(module (memory $m (export "m") 2) (table $t 4000 funcref) (elem $e func)
            (data $d "data")
            (func (export "run") (param i32) (result i32) {body}))"#
        )
    };
    let costs = [
        "(memory.copy (local.get 0) (i32.const 0) (i32.const SIZE)) (i32.const 0)",
        "(memory.fill (local.get 0) (i32.const 0) (i32.const SIZE)) (i32.const 0)",
        "(memory.init $d (local.get 0) (i32.const 0) (i32.const SIZE)) (i32.const 0)",
        "(table.copy (local.get 0) (i32.const 0) (i32.const SIZE)) (i32.const 0)",
        "(table.fill (local.get 0) (ref.null func) (i32.const SIZE)) (i32.const 0)",
        "(table.init $e (local.get 0) (i32.const 0) (i32.const SIZE)) (i32.const 0)",
        "(table.grow (ref.null func) (i32.const SIZE))",
    ];
    for setup in [&RELOCATABLE, &COUNTS_FUEL, &LOOKS_AT_EPOCHS] {
        for body in costs {
            check_number(setup, &module(body, 1024), &module(body, 3000));
        }
    }
    // Which costs nothing.
    for grow in [
        "(memory.grow (i32.const SIZE))",
        "(local.set 0 (i32.const SIZE)) (memory.grow (local.get 0))",
    ] {
        check_number(&RELOCATABLE, &module(grow, 1024), &module(grow, 1025));
        for setup in [&COUNTS_FUEL, &LOOKS_AT_EPOCHS] {
            check_in_key(setup, &module(grow, 1024), &module(grow, 1025));
        }
    }
}

/// What an operator is computed with that no address is computed with.
#[test]
fn operand_of_an_operator_that_computes() {
    const OPERATORS: &[&str] = &[
        "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl", "shr_s", "shr_u",
        "rotl", "rotr",
    ];
    for operator in OPERATORS {
        let narrow = format!("(i32.{operator} (local.get 0) K)");
        let wide = format!("(i32.wrap_i64 (i64.{operator} (i64.extend_i32_u (local.get 0)) K))");
        for (ty, uses) in TYPES.into_iter().zip([narrow, wide]) {
            check_in_key(&RELOCATABLE, &using(&uses, ty, 70_000), &using(&uses, ty, 70_001));
        }
    }
    for operator in ["add", "sub", "eq", "ne", "lt_s", "ge_u"] {
        let uses = format!("(i32.{operator} (local.get 0) K)");
        check_number(&RELOCATABLE, &using(&uses, "i32", 70_000), &using(&uses, "i32", 70_001));
    }
}

/// The first function's constant is in the key if its body has what is given.
#[track_caller]
fn check_keeps_constants(more: &str, with: &str, without: &str) {
    let module = |body: &str, value: u32| {
        module_with(more, &format!("{body} (i32.add (local.get 0) (i32.const {value}))"))
    };
    check_in_key(&RELOCATABLE, &module(with, 70_000), &module(with, 80_000));
    check_number(&RELOCATABLE, &module(without, 70_000), &module(without, 80_000));
}

#[test]
fn constants_beside_branch_hints() {
    let branch =
        |hint: &str| format!("local.get 0 {hint} if (i32.store (i32.const 0) (i32.const 1)) end");
    let hinted = branch(r#"(@metadata.code.branch_hint "\00")"#);
    check_keeps_constants("", &hinted, &branch(""));
}

#[test]
fn constants_beside_a_reference_to_a_function() {
    let declared = "(elem declare func 0)";
    check_keeps_constants(declared, "(drop (ref.func 0))", "(drop (ref.null func))");
}

#[test]
fn constants_beside_a_concrete_reference_type() {
    let null = "(drop (ref.is_null (ref.null $t)))";
    let block = "(drop (block (result (ref null $t)) (ref.null $t)))";
    for with in [null, block] {
        let without = with.replace("(ref null $t)", "funcref").replace("$t", "func");
        check_keeps_constants("(type $t (func))", with, &without);
    }
}

#[test]
fn constants_in_a_module_with_types_of_references() {
    let plain = "(type $t (func (param f32)))";
    for other in [
        "(type $s (struct))",
        "(type $a (array i32))",
        "(type $t (func)) (type (func (param (ref null $t))))",
        "(type $t (func)) (table 1 (ref null $t))",
        "(type $t (func)) (global (ref null $t) (ref.null $t))",
    ] {
        let module = |more: &str, value: u32| {
            module_with(more, &format!("(i32.add (local.get 0) (i32.const {value}))"))
        };
        check_in_key(&RELOCATABLE, &module(other, 70_000), &module(other, 80_000));
        check_number(&RELOCATABLE, &module(plain, 70_000), &module(plain, 80_000));
    }
}

#[test]
fn constants_in_a_component() {
    let component = |value: u32| {
        let module = adding("i32", i64::from(value)).replacen("(module", "(core module", 1);
        format!("(component {module})")
    };
    check_parameter(&RELOCATABLE, &component(70_000), &component(80_000), 0);
    check_changes(&RELOCATABLE, &component(1023), &component(1024), 0);
}

/// Where code is generated placeholders lie in front of segments.
#[test]
fn constants_in_front_of_a_data_segment() {
    let module = |front: &str, value: u32| {
        let more = format!(r#"{front} (data $d "data")"#);
        let body = "(memory.init $m $d (i32.const 2) (i32.const 1) (i32.const 2))
            (i32.sub (i32.load $m (i32.const 0)) (i32.load $m (i32.const VALUE)))";
        module_with(&more, &body.replace("VALUE", &value.to_string()))
    };
    let far = "(memory 1 1 shared)".repeat(20);
    let farther = format!("{far} (global (mut i32) (i32.const 1))");
    check_number(&RELOCATABLE, &module(&far, 70_000), &module(&far, 80_000));
    check_number(&RELOCATABLE, &module(&far, 70_000), &module(&farther, 80_000));
    // Their displacement takes one byte, and none with placeholders.
    let near = [70_000, 80_000].map(|value| module("", value));
    check_kept(&RELOCATABLE, &near[0], &near[1]);
}

#[test]
fn constants_in_front_of_a_tag() {
    let module = |front: &str, value: u32| {
        let more = format!("{front} (tag $e (param i32))");
        let body = "(block $caught (result i32)
              (try_table (catch $e $caught) (throw $e (i32.add (local.get 0) (i32.const VALUE))))
              (unreachable))";
        module_with(&more, &body.replace("VALUE", &value.to_string()))
    };
    let global = "(global (mut i32) (i32.const 1))";
    check_number(&RELOCATABLE, &module("", 70_000), &module("", 80_000));
    check_number(&RELOCATABLE, &module("", 70_000), &module(global, 80_000));
    check_in_key(&RELOCATABLE, &module("", 1023), &module("", 1024));
}

/// A module that calls through a table.
fn calling(limits: &str, body: &str) -> String {
    format!(
        r#"(module (type $f (func (result i32))) (table $t {limits} funcref)
        (elem (i32.const 0) $one $two)
        (func (export "run") (param i32) (result i32)
          {body} (call_indirect $t (type $f) (local.get 0)))
        (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2)))"#
    )
}

#[test]
fn size_of_a_fixed_table() {
    check_number(&RELOCATABLE, &calling("5 5", ""), &calling("8 8", ""));
    check_changes(&X86_64, &calling("5 5", ""), &calling("8 8", ""), 0);
    let refers = "(drop (ref.func 0))";
    check_in_key(&RELOCATABLE, &calling("5 5", refers), &calling("8 8", refers));
}

/// Where code is made without placeholders after all, it has what they stood for: more than
/// the values of constants.
#[test]
fn what_code_without_placeholders_knows() {
    // Of an address below zero and its offset the compiler makes one number, of eight bytes.
    let refused = "(drop (i32.load offset=70000 (i32.const -16)))";
    let memory = r#"(module (memory $m (export "m") 3)"#;
    let calling = |limits: &str| calling(limits, refused).replacen("(module", memory, 1);
    check_kept(&RELOCATABLE, &calling("5 5"), &calling("8 8"));
    check_kept(&RELOCATABLE, &calling("5 5"), &calling("5 8"));
    let access = |address: u32, offset: u32| {
        module(&format!("{refused} (i32.load offset={offset} (i32.const {address}))"))
    };
    check_kept(&RELOCATABLE, &access(1000, 70_000), &access(500, 70_500));
    // In a function whose constants are in the key, the memory's size could decide on a check.
    let growing = |pages: u32| {
        let body = "(drop (ref.func 0)) (i32.load offset=70000000 (i32.const 8))";
        module(body).replacen(r#"(export "m") 3"#, &format!(r#"(export "m") {pages}"#), 1)
    };
    check_finer(&RELOCATABLE, &growing(3), &growing(1200), 0);
}

/// Code for one that can is made without placeholders.
#[test]
fn whether_a_table_can_grow() {
    check_number(&RELOCATABLE, &calling("5 5", ""), &calling("5 8", ""));
    check_number(&RELOCATABLE, &calling("5 5", ""), &calling("2", ""));
    check_changes(&X86_64, &calling("5 5", ""), &calling("5 8", ""), 0);
}

/// With placeholders its segment lies farther away, which refuses the code: that must not
/// depend on what is not in the key.
#[test]
fn whether_a_table_can_grow_beside_a_data_segment() {
    let module = |limits: &str| {
        format!(
            r#"(module (data $d "data") (table $t {limits} externref)
            (func (export "run") (param i32) (result i32)
              (data.drop $d) (ref.is_null (table.get $t (local.get 0)))))"#
        )
    };
    for (one, other) in [("5", "5 5"), ("5 5", "5"), ("5", "5 8")] {
        check_runs_on_one_store(&RELOCATABLE, &module(one), &module(other));
    }
}

/// Not even what has no constants, nor trampolines.
#[test]
fn exact_or_relocatable_stencils() {
    let none = module("(local.get 0)");
    for text in [adding("i32", 1), adding("i32", 70_000), none] {
        let wasm = wat::parse_str(text).expect("it is a module");
        let store = MemoryStore::default();
        let exact = X86_64.compile("exact", &wasm, &store);
        let relocatable = RELOCATABLE.compile("relocatable", &wasm, &store);
        assert_eq!(relocatable.report.hits.total(), 0, "an exact entry was found");
        assert!(relocatable.keys.iter().all(|key| !exact.keys.contains(key)), "a key is shared");
        for setup in [&X86_64, &RELOCATABLE] {
            assert_eq!(setup.compile("again", &wasm, &store).report.misses, 0);
        }
    }
}
