//! Offsets of accesses, with relocatable stencils: a part of the address if that is
//! constant, else a parameter as long as no bounds check depends on it.

use crate::check::{
    Setup, X86_64, check_changes, check_keeps, check_kept_by_layout, check_parameter,
};
use crate::constants::PARAMETERS_MAX;
use crate::relocatable::{
    COUNTS_FUEL, RELOCATABLE, check_in_key, check_kept, check_number, check_runs_on_one_store,
    relocatable,
};
use generate::edit::OFFSET_PLACEHOLDER;
use oracle::store::MemoryStore;

/// From here on offsets are parameters.
const MIN: u64 = 1 << 16;

/// And up to here.
const MAX: u64 = (1 << 25) - 32;

/// Has room for all of them.
const LARGE: &str = "600";

fn module(memory: &str, body: &str) -> String {
    format!(
        r#"(module (memory $m (export "m") {memory})
        (func (export "run") (param i32) (result i32) {body}))"#
    )
}

/// Adds an offset to the parameter.
fn offset(memory: &str, offset: u64) -> String {
    module(memory, &format!("(i32.load offset={offset} (local.get 0))"))
}

/// Adds an offset to a constant address.
fn constant(address: i64, offset: u64) -> String {
    module("3", &format!("(i32.load offset={offset} (i32.const {address}))"))
}

#[test]
fn offset_of_an_access() {
    let module = |of: u64| offset(LARGE, of);
    for (one, other) in [(MIN, MIN + 4), (MIN, MAX), (70_000, 80_000), (1 << 20, 1 << 24)] {
        check_number(&RELOCATABLE, &module(one), &module(other));
    }
    for (one, other) in [(0, 4), (MIN - 1, MIN), (MIN - 2, MIN - 1), (MAX, MAX + 1)] {
        check_in_key(&RELOCATABLE, &module(one), &module(other));
    }
    check_in_key(&RELOCATABLE, &module(MAX + 1), &module(MAX + 2));
    check_changes(&X86_64, &module(70_000), &module(80_000), 0);
}

#[test]
fn offset_behind_too_many() {
    let module = |others: usize, last: u64| {
        let load = |of| format!("(drop (i32.load offset={of} (local.get 0)))");
        let others: String = (0..others).map(|at| load(MIN + at as u64)).collect();
        module(LARGE, &format!("{others} (i32.load offset={last} (local.get 0))"))
    };
    let [last, next] = [PARAMETERS_MAX - 1, PARAMETERS_MAX];
    check_number(&RELOCATABLE, &module(last, 1 << 20), &module(last, 1 << 21));
    check_in_key(&RELOCATABLE, &module(next, 1 << 20), &module(next, 1 << 21));
}

#[test]
fn which_offsets_are_equal() {
    let [a, b, c] = [70_000, 80_000, 90_000];
    let three = |first: u64, second: u64, third: u64| {
        let load = |offset| format!("(i32.load offset={offset} (local.get 0))");
        let [first, second, third] = [first, second, third].map(load);
        module("3", &format!("(i32.sub (i32.rotl {first} {second}) {third})"))
    };
    check_in_key(&RELOCATABLE, &three(a, b, c), &three(a, b, a));
    check_in_key(&RELOCATABLE, &three(a, b, a), &three(a, b, b));
    check_number(&RELOCATABLE, &three(a, b, c), &three(c, a, b));
    check_number(&RELOCATABLE, &three(a, b, a), &three(c, a, c));
    // An offset is no constant, though both are numbers of one function.
    let mixed = |offset: u64, constant: u64| {
        let load = format!("(i32.load offset={offset} (local.get 0))");
        module("3", &format!("(i32.sub {load} (i32.load (i32.const {constant})))"))
    };
    check_number(&RELOCATABLE, &mixed(a, b), &mixed(b, a));
    check_number(&RELOCATABLE, &mixed(a, b), &mixed(c, c));
}

#[test]
fn offset_of_a_store() {
    let module = |offset: u64, constant: u64| {
        let store = format!("(i32.store16 offset={offset} (local.get 0) (i32.const {constant}))");
        module("3", &format!("{store} (i32.load offset={offset} (local.get 0))"))
    };
    check_number(&RELOCATABLE, &module(70_000, 80_000), &module(80_000, 70_000));
}

/// A constant that no address is computed with, but which is one: the compiler adds the offset to
/// it. Whether the sum fits into a field must not depend on the offset.
#[test]
fn offset_from_an_address_that_is_computed() {
    let function = |address: u64, offset: u64| {
        let address = format!("(i32.or (i32.const {address}) (i32.const 0))");
        format!(r#"(func (param i32) (result i32) (i32.load offset={offset} {address}))"#)
    };
    let one = |address, offset| {
        format!(r#"(module (memory 1) (export "run" (func 0)) {})"#, function(address, offset))
    };
    let two = |address, [first, second]: [u64; 2]| {
        let (first, second) = (function(address, first), function(address, second));
        format!(r#"(module (memory 1) (export "run" (func 0)) {first} {second})"#)
    };
    for address in [0x7f00_0000, 0x7dff_ffff, 0x7e00_0020, 2_113_931_274, 0x7fff_ffff, 0xffff_0000]
    {
        for (small, large) in [(MIN, 20_000_000), (MIN, MAX), (MIN, MAX - 1)] {
            check_runs_on_one_store(&RELOCATABLE, &one(address, small), &one(address, large));
            let pairs = [[small, large], [large, small]].map(|pair| two(address, pair));
            check_runs_on_one_store(&RELOCATABLE, &pairs[0], &pairs[1]);
            check_runs_on_one_store(&RELOCATABLE, &one(address, small), &pairs[1]);
        }
    }
    check_number(&RELOCATABLE, &one(0x7000_0000, MIN), &one(0x7000_0000, MAX));
    check_kept(&RELOCATABLE, &one(0x7f00_0000, MIN), &one(0x7f00_0000, 20_000_000));
}

/// Only for an offset beyond the guard region, the memory's first size is in the key. Nothing else
/// is read in its place: eight bytes of size are no other operators.
#[test]
fn offset_in_front_of_what_looks_like_a_size() {
    let module = |pages: u32, offset: u32, operators: &str| {
        format!(
            r#"(module (memory $m (export "m") {pages})
            (func (export "run") (param i32 i32) (result i32)
                local.get 0 local.get 1
                i32.const 0 i32.load offset={offset} {operators} drop return))"#
        )
    };
    check_runs_on_one_store(
        &RELOCATABLE,
        &module(48, 1 << 26, "i32.add"),
        &module(1, 2048, "f64.const 0x1p+353"),
    );
}

/// A load and another operator can become one instruction; two loads can become one, or
/// none; an address can be a constant that only the compiler knows.
#[test]
fn offset_that_one_code_does_not_show() {
    let forms = [
        "(i32.add (local.get 0) (i32.load offset=OFFSET (local.get 0)))",
        "(i32.sub (i32.load offset=OFFSET (local.get 0))
            (i32.rotl (i32.load offset=OFFSET (local.get 0)) (i32.const 1)))",
        "(drop (i32.load offset=OFFSET (local.get 0))) (local.get 0)",
        "(if (i32.const 0) (then (drop (i32.load offset=OFFSET (local.get 0)))))
            (i32.load offset=OFFSET (local.get 0))",
        "(local $zero i32) (i32.load offset=OFFSET (local.get $zero))",
        "(local $c i32) (local.set $c (i32.const 8)) (i32.load offset=OFFSET (local.get $c))",
        "(local $c i32) (local.set $c (i32.const 8)) (i32.load offset=OFFSET
            (i32.add (local.get 0) (local.get $c)))",
    ];
    for form in forms {
        let module = |offset: u64| module(LARGE, &form.replace("OFFSET", &offset.to_string()));
        check_number(&RELOCATABLE, &module(70_000), &module(80_000));
    }
}

/// With a placeholder for its offset (of the next one, 64 more) one access is the same as
/// another. With any other offset it is not.
#[test]
fn address_that_is_equal_to_that_of_a_placeholder() {
    // The optimiser computes it.
    let address = |address: u64| {
        let low = address - (1 << 24);
        format!("(i32.or (i32.shl (i32.const 1) (i32.const 24)) (i32.const {low}))")
    };
    let beside = |index: u64, store: &str, offset: u64| {
        let set = format!("(local $c i32) (local.set $c (i32.const {index}))");
        let load = format!("(i32.load offset={offset} (local.get $c))");
        let constant = format!("(i32.load {})", address(OFFSET_PLACEHOLDER + index));
        module(
            LARGE,
            &format!("{set} {store} (i32.sub {load} (i32.rotl {constant} (local.get 0)))"),
        )
    };
    for store in ["", "(i32.store (local.get 0) (i32.const 17))"] {
        // The two loads are one.
        check_kept(&RELOCATABLE, &beside(0, store, 70_000), &beside(0, store, 80_000));
        // They are not, though they are the same.
        check_number(&RELOCATABLE, &beside(8, store, 70_000), &beside(8, store, 80_000));
    }
    // Those of two placeholders are.
    let two = |offset: u64| {
        let one = format!("(i32.load offset={offset} (local.get $c))");
        let next = "(i32.load offset=90000 (local.get $zero))";
        let set = "(local $c i32) (local $zero i32) (local.set $c (i32.const 64))";
        module(LARGE, &format!("{set} (i32.sub {one} (i32.rotl {next} (local.get 0)))"))
    };
    check_number(&RELOCATABLE, &two(70_000), &two(80_000));
    // An offset in the key is one, from the same address.
    let kept = |lane: &str, offset: u64| {
        let one = format!("(i32.load offset={offset} (local.get 0))");
        let kept = lane.replace("OFFSET", &OFFSET_PLACEHOLDER.to_string());
        module(LARGE, &format!("(i32.sub {one} (i32.rotl {kept} (local.get 0)))"))
    };
    let lane = "(i32x4.extract_lane 1 (v128.load offset=OFFSET (local.get 0)))";
    check_number(&RELOCATABLE, &kept(lane, 70_000), &kept(lane, 80_000));
    // Here the two loads are one.
    let lane = "(i32x4.extract_lane 0 (v128.load32_zero offset=OFFSET (local.get 0)))";
    check_kept(&RELOCATABLE, &kept(lane, 70_000), &kept(lane, 80_000));
}

/// Those of vectors are in the key.
#[test]
fn offset_of_an_access_that_is_not_of_the_first_version() {
    let module = |address: &str, offset: u64| {
        let load = format!("(v128.load offset={offset} {address})");
        module("3", &format!("(i32x4.extract_lane 1 {load})"))
    };
    for address in ["(local.get 0)", "(i32.const 0)", "(i32.const 70000)"] {
        check_in_key(&RELOCATABLE, &module(address, 70_000), &module(address, 80_000));
    }
    let [one, other] = ["(i32.const 70000)", "(i32.const 80000)"];
    check_number(&RELOCATABLE, &module(one, 70_000), &module(other, 70_000));
}

#[test]
fn offset_from_a_constant_address() {
    for address in [0, 1, 1020] {
        check_number(&RELOCATABLE, &constant(address, 70_000), &constant(address, 80_000));
        check_number(&RELOCATABLE, &constant(address, 70_000), &constant(1000, 2000));
    }
    check_number(&RELOCATABLE, &constant(70_000, 2048), &constant(80_000, 4096));
    // Small ones of an address that can be one by itself are those of a structure's fields.
    check_number(&RELOCATABLE, &constant(70_000, 8), &constant(80_000, 8));
    check_in_key(&RELOCATABLE, &constant(70_000, 8), &constant(70_000, 16));
    // Together they are none.
    check_in_key(&RELOCATABLE, &constant(8, 8), &constant(8, 16));
    check_in_key(&RELOCATABLE, &constant(1020, 3), &constant(1020, 4));
}

/// A sum above 2^31 - 1 is none of an address that is a parameter. Below zero no address
/// is one.
#[test]
fn offset_that_goes_too_far() {
    let last = i64::from(i32::MAX);
    let fits = last - 70_000;
    check_number(&RELOCATABLE, &constant(fits, 70_000), &constant(fits - 1, 70_000));
    check_in_key(&RELOCATABLE, &constant(fits, 70_000), &constant(fits + 1, 70_000));
    check_number(&RELOCATABLE, &constant(last, 70_000), &constant(last, 80_000));
    check_in_key(&RELOCATABLE, &constant(last, 2000), &constant(last, 3000));
    check_in_key(&RELOCATABLE, &constant(-16, 2000), &constant(-16, 3000));
    // Of the two the compiler makes one number, of eight bytes, in which none is understood.
    check_kept_by_layout(&RELOCATABLE, &constant(-16, 70_000), &constant(-16, 80_000));
}

/// The whole address is what is equal to another constant.
#[test]
fn equality_of_an_address_with_its_offset() {
    let module = |address: u64, offset: u64, other: u64| {
        let load = format!("(i32.load offset={offset} (i32.const {address}))");
        module("3", &format!("(i32.add {load} (i32.sub (local.get 0) (i32.const {other})))"))
    };
    check_in_key(&RELOCATABLE, &module(70_000, 2048, 72_048), &module(70_000, 2048, 70_000));
    check_number(&RELOCATABLE, &module(70_000, 2048, 72_048), &module(80_000, 4000, 84_000));
    check_keeps(&RELOCATABLE, &module(70_000, 2048, 72_048), &module(70_001, 2047, 72_048), 0);
}

/// Of two constants the access takes the lower one for its address, and none that
/// something else has taken.
#[test]
fn which_operand_is_the_address() {
    let storing = |offset: u64, value: u64| {
        let address = offset + 8;
        let store = format!("(i32.store offset={offset} (i32.const 8) (i32.const {value}))");
        module("3", &format!("{store} (i32.load (i32.const {address}))"))
    };
    check_number(&RELOCATABLE, &storing(70_000, 90_000), &storing(80_000, 70_000));
    let beyond = |between: &str, offset: u64| {
        module("3", &format!("i32.const 2000 {between} i32.load offset={offset}"))
    };
    for between in [
        "(block (nop))",
        "(drop (i32.const 3000))",
        "local.get 0 i32.add",
        "(i32.const 4) i32.sub",
        "(loop (param i32) (result i32))",
        "(if (local.get 0) (then nop))",
        "(call_indirect $t (param i32) (result i32) (local.get 0))",
    ] {
        let module =
            |offset| beyond(between, offset).replacen("(module", "(module (table $t 1 funcref)", 1);
        check_number(&RELOCATABLE, &module(70_000), &module(80_000));
    }
}

/// All offsets are in the key, and with them what the bounds check takes from them.
#[track_caller]
fn check_bounded(setup: &Setup, memory: &str) {
    check_in_key(setup, &offset(memory, 70_000), &offset(memory, 80_000));
}

#[test]
fn offset_where_the_guard_is_small() {
    let guarded = |bytes: u64| relocatable(|config| config.memory_guard_size(bytes));
    check_bounded(&guarded(0), LARGE);
    check_bounded(&guarded(MIN), LARGE);
    check_bounded(&guarded((1 << 25) - MIN), LARGE);
    let enough = guarded(1 << 25);
    check_number(&enough, &offset(LARGE, 70_000), &offset(LARGE, MAX));
}

#[test]
fn offset_where_the_reservation_is_small() {
    check_bounded(&relocatable(|config| config.memory_reservation(1 << 20)), LARGE);
    check_bounded(&relocatable(|config| config.signals_based_traps(false)), LARGE);
}

/// What lies beyond the maximum traps without a look at the address.
#[test]
fn offset_where_the_maximum_is_small() {
    check_bounded(&RELOCATABLE, "2 511");
    check_number(&RELOCATABLE, &offset("2 512", 70_000), &offset("2 512", MAX));
    // An address that is a constant has no offset of its own any more; where the access can only
    // trap, the two are in the key.
    let constant =
        |offset: u64| module("1 2", &format!("(i32.load offset={offset} (i32.const 0))"));
    check_number(&RELOCATABLE, &constant(70_000), &constant(131_056));
    for setup in [&RELOCATABLE, &COUNTS_FUEL] {
        check_in_key(setup, &constant(70_000), &constant(140_000));
        let whole = module("1 2", "(i32.load (i32.const 140000))");
        check_in_key(setup, &whole, &constant(140_000));
    }
}

#[test]
fn offset_in_a_memory_that_is_checked() {
    check_bounded(&RELOCATABLE, "200000 300000 (pagesize 1)");
    let wide = |address: &str, offset: u64| {
        module("i64 3", &format!("(i32.load offset={offset} {address})"))
    };
    let unknown = "(i64.extend_i32_u (local.get 0))";
    check_in_key(&RELOCATABLE, &wide(unknown, 70_000), &wide(unknown, 80_000));
    let zero = "(i64.const 0)";
    check_number(&RELOCATABLE, &wide(zero, 70_000), &wide(zero, 80_000));
    check_number(&RELOCATABLE, &wide(zero, 70_000), &wide(zero, 200_000));
}

/// What is in the place of a function's first offset where its code is compared with another one.
const OTHER_PLACEHOLDER: u64 = (1 << 25) - 32 - 2027;

/// A module in which a shift of the same constant as an offset's placeholder has another form than
/// one of another constant; with so many globals in front, and so many offsets.
fn equal_to_a_placeholder(globals: usize, stores: u64, constant: u64) -> String {
    let front = "(global i64 (i64.const 1))".repeat(globals);
    let stores: String = (0..stores)
        .map(|at| format!("(i64.store offset={} (local.get $i) (local.get $x))", 100_000 + 8 * at))
        .collect();
    format!(
        r#"(module (memory 1) {front}
            (global $moved (mut i64) (i64.const 1))
            (global $constant i64 (i64.const {constant}))
            (func (export "f") (param $x i64) (param $i i32) (result i64) (local $sum i64)
                (local.set $sum
                    (i64.add (global.get $moved) (i64.load offset=70000 (local.get $i))))
                (i64.store offset=80 (local.get $i)
                    (i64.shl (global.get $constant) (local.get $x)))
                {stores} (local.get $sum)))"#
    )
}

/// Where an entity lies decides nothing about how a function is compiled: some displacements look
/// like a placeholder together with what stands beside them.
#[test]
fn offset_beside_a_displacement_that_looks_like_another() {
    let module = |globals| equal_to_a_placeholder(globals, 40, OTHER_PLACEHOLDER);
    check_parameter(&RELOCATABLE, &module(16), &module(5953), 0);
    check_parameter(&RELOCATABLE, &module(5953), &module(16), 0);
}

/// Nor is code taken for wrong that has the constant anyway with which it would be compared.
#[test]
fn offset_beside_a_constant_that_equals_a_placeholder() {
    let checking = relocatable(|config| config).into_checking();
    for constant in [OTHER_PLACEHOLDER, OTHER_PLACEHOLDER + 4] {
        let wasm = wat::parse_str(equal_to_a_placeholder(0, 0, constant)).expect("it is a module");
        let report =
            checking.compile("its numbers are right", &wasm, &MemoryStore::default()).report;
        assert_eq!((report.checked, report.with_numbers), (1, 0));
    }
}

/// Nor if there are several: what it is compared with in the end depends on the key.
#[test]
fn offset_beside_several_constants_that_equal_placeholders() {
    let store = |(at, constant): (usize, u64)| {
        let at = 80 + 8 * at;
        format!(
            "(i64.store offset={at} (local.get 1) (i64.shl (i64.const {constant}) (local.get 0)))"
        )
    };
    let constants = [OTHER_PLACEHOLDER, OTHER_PLACEHOLDER - 974, OTHER_PLACEHOLDER - 2976];
    let stores: String = constants.into_iter().enumerate().map(store).collect();
    let text = format!(
        r#"(module (memory 1) (global $moved (mut i64) (i64.const 1))
        (func (export "run") (param i64 i32) (result i64) (local i64)
            (local.set 2 (i64.add (global.get $moved) (i64.load offset=70000 (local.get 1))))
            {stores} (local.get 2)))"#
    );
    let wasm = wat::parse_str(text).expect("it is a module");
    let checking = relocatable(|config| config).into_checking();
    let report = checking.compile("its numbers are right", &wasm, &MemoryStore::default()).report;
    assert_eq!((report.checked, report.with_numbers), (1, 0));
}
