//! The linker's relocations, with relocatable stencils: they say which numbers are addresses.

use crate::check::{check_changes, check_parameter};
use crate::relocatable::{COUNTS_FUEL, LOOKS_AT_EPOCHS, RELOCATABLE, check_in_key, check_number};
use generate::linked::{Kind, Numbers, append};
use wasm_encoder::{Component, CustomSection, RawSection, Section as _};

/// A module with the relocations that a linker leaves: each is of a number of its bodies, by its
/// place among all constants and offsets of accesses.
fn linked(text: &str, relocations: &[(usize, Kind)]) -> Vec<u8> {
    let mut wasm = plain(text);
    let Numbers { section, numbers } = Numbers::of(&wasm).expect("it has code");
    let relocations = relocations.iter().map(|(number, kind)| (numbers[*number].at, *kind));
    append(&mut wasm, section, &relocations.collect::<Vec<_>>());
    wasm
}

fn plain(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("it is a module")
}

fn module(body: &str) -> String {
    format!(
        r#"(module (memory $m (export "m") 600)
        (func (export "run") (param i32) (result i32) {body}))"#
    )
}

/// A function with a number, which a relocation names.
fn number(body: &str, value: i64, kind: Kind) -> Vec<u8> {
    linked(&module(&body.replace("NUMBER", &value.to_string())), &[(0, kind)])
}

/// Whatever its value is, and whatever is computed with it.
#[test]
fn constant_that_the_linker_names() {
    let bodies = [
        ("(i32.load (i32.const NUMBER))", Kind::Address),
        ("(i32.sub (local.get 0) (i32.const NUMBER))", Kind::Table),
        ("(i32.and (local.get 0) (i32.const NUMBER))", Kind::Address),
        ("(i32.mul (local.get 0) (i32.const NUMBER))", Kind::Address),
        (
            "(i32.wrap_i64 (i64.sub (i64.extend_i32_u (local.get 0)) (i64.const NUMBER)))",
            Kind::WideAddress,
        ),
    ];
    for (body, kind) in bodies {
        let number = |value| number(body, value, kind);
        check_number(&RELOCATABLE, &number(4), &number(8));
        check_number(&RELOCATABLE, &number(0), &number(1 << 20));
        check_number(&RELOCATABLE, &number(1023), &number(i32::MAX.into()));
        check_in_key(&RELOCATABLE, &number(70_000), &number(-70_000));
        check_in_key(&RELOCATABLE, &number(-1), &number(-2));
    }
}

/// A small one that an operator is given as a size: where fuel or epochs are looked at, it says whether
/// they are.
#[test]
fn size_that_the_linker_names() {
    let body = "(memory.copy (local.get 0) (i32.const 0) (i32.const NUMBER)) (i32.const 0)";
    let copy =
        |size: String| linked(&module(&body.replace("NUMBER", &size)), &[(1, Kind::Address)]);
    let [one, other] = [16, 24].map(|size: u32| copy(size.to_string()));
    check_number(&RELOCATABLE, &one, &other);
    for setup in [&COUNTS_FUEL, &LOOKS_AT_EPOCHS] {
        check_in_key(setup, &one, &other);
    }
}

/// As without any word of the linker: its value tells.
#[test]
fn constant_that_the_linker_does_not_name() {
    let body = "(i32.sub (local.get 0) (i32.const NUMBER))";
    let unnamed = |value: i64| linked(&module(&body.replace("NUMBER", &value.to_string())), &[]);
    check_number(&RELOCATABLE, &unnamed(70_000), &unnamed(80_000));
    check_in_key(&RELOCATABLE, &unnamed(4), &unnamed(8));
    check_in_key(&RELOCATABLE, &number(body, 4, Kind::Global), &number(body, 8, Kind::Global));
    check_changes(&RELOCATABLE, &unnamed(4), &number(body, 4, Kind::Address), 0);
    // Two of one value are equal only if both are named.
    let both = |value: u32, named: &[(usize, Kind)]| {
        let one = format!("(i32.const {value})");
        linked(&module(&format!("(i32.sub (i32.rotl {one} (local.get 0)) {one})")), named)
    };
    let one = [(1, Kind::Address)];
    check_in_key(&RELOCATABLE, &both(40, &one), &both(48, &one));
    let two = [(0, Kind::Address), (1, Kind::Table)];
    check_number(&RELOCATABLE, &both(40, &two), &both(48, &two));
}

/// What is accessed at an address that the linker has named is an index, and what is added to an
/// index is an address, as it is elsewhere.
#[test]
fn constant_that_is_added_to_an_index() {
    let check = |access: &str, kind| {
        let sum = |named: u32, constant: u32| {
            let access = access.replace("NUMBER", &named.to_string());
            let body = format!("(i32.sub {access} (i32.add (local.get 0) (i32.const {constant})))");
            linked(&module(&body), &[(0, kind)])
        };
        check_number(&RELOCATABLE, &sum(8, 2000), &sum(8, 3000));
        check_number(&RELOCATABLE, &sum(8, 2000), &sum(5000, 3000));
    };
    check("(i32.load (i32.add (i32.const NUMBER) (local.get 0)))", Kind::Address);
    check("(i32.load offset=NUMBER (local.get 0))", Kind::Offset);
}

#[test]
fn offset_that_the_linker_names() {
    for body in [
        "(i32.load offset=NUMBER (local.get 0))",
        "(i32.store offset=NUMBER (local.get 0) (local.get 0)) (i32.load (local.get 0))",
    ] {
        let number = |value| number(body, value, Kind::Offset);
        check_number(&RELOCATABLE, &number(16), &number(24));
        check_number(&RELOCATABLE, &number(0), &number(70_000));
        check_in_key(&RELOCATABLE, &number(70_000), &number(1 << 25));
    }
    // From a constant address: the linker names one of the two.
    let access = |address: u64, offset: u64, named: usize| {
        let load = format!("(i32.load offset={offset} (i32.const {address}))");
        let kind = if named == 0 { Kind::Address } else { Kind::Offset };
        linked(&module(&load), &[(named, kind)])
    };
    check_number(&RELOCATABLE, &access(8, 16, 1), &access(8, 70_000, 1));
    check_number(&RELOCATABLE, &access(8, 16, 1), &access(16, 24, 1));
    check_number(&RELOCATABLE, &access(8, 16, 0), &access(70_000, 16, 0));
    check_in_key(&RELOCATABLE, &access(8, 16, 0), &access(8, 24, 0));
    check_in_key(&RELOCATABLE, &access(70_000, 2048, 0), &access(70_000, 4096, 0));
    check_number(&RELOCATABLE, &access(70_000, 80_000, 0), &access(70_000, 90_000, 0));
}

#[test]
fn relocations_of_a_module_in_a_component() {
    let component = |value: i64| {
        let module = number("(i32.sub (local.get 0) (i32.const NUMBER))", value, Kind::Table);
        let mut component = Component::new();
        // Something in front, so that offsets of the module are not those of the input.
        component.section(&CustomSection { name: "front".into(), data: vec![0; 300].into() });
        const CORE_MODULE: u8 = 1;
        component.section(&RawSection { id: CORE_MODULE, data: &module });
        component.finish()
    };
    check_parameter(&RELOCATABLE, &component(4), &component(8), 0);
}

/// As good as none: constants are told by their values.
#[test]
fn relocations_that_cannot_be_used() {
    let body = |value: u32| module(&format!("(i32.sub (local.get 0) (i32.const {value}))"));
    let as_none = |make: &dyn Fn(u32) -> Vec<u8>| {
        check_number(&RELOCATABLE, &make(70_000), &make(80_000));
        check_in_key(&RELOCATABLE, &make(4), &make(8));
    };
    // Of another section
    as_none(&|value| {
        let mut wasm = plain(&body(value));
        let Numbers { section, numbers } = Numbers::of(&wasm).expect("it has code");
        append(&mut wasm, section - 1, &[(numbers[0].at, Kind::Address)]);
        wasm
    });
    // in front of the code
    as_none(&|value| {
        let mut wasm = wasm_encoder::Module::HEADER.to_vec();
        append(&mut wasm, 0, &[(0, Kind::Address)]);
        wasm.extend_from_slice(&plain(&body(value))[wasm_encoder::Module::HEADER.len()..]);
        wasm
    });
    // of an unknown type, cut off, empty
    for data in [&[4, 1, 99, 0, 0][..], &[4, 2, 1, 0, 0], &[4], &[]] {
        as_none(&|value| {
            let mut wasm = plain(&body(value));
            CustomSection { name: "reloc.CODE".into(), data: data.into() }.append_to(&mut wasm);
            wasm
        });
    }
}
