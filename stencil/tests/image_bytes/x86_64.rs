//! What each kind of x86-64 relocation writes, near and far.

use crate::code::{Placed, call, name, one, plain, to};
use cranelift_codegen::binemit::Reloc;
use stencil::image::{Architecture, CodeImage, FragmentTarget, ImageError};

const BASE: u64 = 0x7f00_0000_0000;
const HOST: u32 = 100;
/// `jmp [rip + 2]; ud2`
const JUMP: u64 = 0x0b0f_0000_0002_25ff;
const LEA: [u8; 8] = [0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xc3];
const LOAD: [u8; 8] = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xc3];

fn image() -> CodeImage {
    CodeImage::new(Architecture::X86_64)
}

/// A call from function 0 to `HOST` at this distance from the call's end:
/// where it leads to.
#[track_caller]
fn check_call(distance: i64, by_veneer: bool) {
    let mut image = image();
    image.append(name(0), call(to(HOST))).unwrap();
    let host = (BASE + 5).wrapping_add_signed(distance);
    image.define(name(HOST), host).unwrap();
    let placed = Placed::new(&mut image, BASE);
    let target = placed.relative(placed.address(0) + 1);
    if by_veneer {
        assert_eq!(placed.read64(target), JUMP);
        assert_eq!(placed.read64(target + 8), host);
    } else {
        assert_eq!(target, host);
    }
}

#[test]
fn calls_go_by_way_of_a_veneer_exactly_where_they_do_not_reach() {
    check_call(1000, false);
    check_call(i32::MAX.into(), false);
    check_call(i64::from(i32::MAX) + 1, true);
    check_call(i32::MIN.into(), false);
    check_call(i64::from(i32::MIN) - 1, true);
    check_call(1 << 40, true);
    check_call(-(1 << 40), true);
}

#[test]
fn calls_within_the_image_do_not_depend_on_its_address() {
    let mut image = image();
    image.append(name(0), call(to(1))).unwrap();
    image.prepend(name(1), call(to(0))).unwrap();
    image.append(name(2), call(to(2))).unwrap();
    let own = one(&[0xe9, 0, 0, 0, 0], 1, Reloc::X86CallPLTRel4, -4, FragmentTarget::Own(5));
    image.append(name(3), own).unwrap();
    let placed = Placed::new(&mut image, BASE);
    for (caller, callee) in [(0, 1), (1, 0), (2, 2)] {
        let target = placed.relative(placed.address(caller) + 1);
        assert_eq!(target, placed.address(callee), "{caller} calls {callee}");
    }
    assert_eq!(placed.relative(placed.address(3) + 1), placed.address(3) + 5);
    let elsewhere = Placed::new(&mut image, 0x1000);
    assert!(elsewhere.bytes.bytes() == placed.bytes.bytes());
}

#[test]
fn a_veneer_is_shared_and_goes_with_its_last_user() {
    let mut image = image();
    image.define(name(HOST), 0x5000).unwrap();
    image.append(name(0), call(to(HOST))).unwrap();
    image.append(name(1), call(to(HOST))).unwrap();
    let alone = image.size_bytes();
    let placed = Placed::new(&mut image, BASE);
    let veneer = placed.relative(placed.address(0) + 1);
    assert_eq!(placed.relative(placed.address(1) + 1), veneer);
    assert_eq!(image.size_bytes(), alone + 16);

    image.replace(name(0), plain(&[0xc3])).unwrap();
    let placed = Placed::new(&mut image, BASE);
    assert_eq!(placed.relative(placed.address(1) + 1), veneer);
    image.remove(name(1)).unwrap();
    assert_eq!(image.size_bytes(), 16, "function 0 is left");
}

#[test]
fn a_name_that_is_given_another_address_is_called_there() {
    let mut image = image();
    image.append(name(0), call(to(HOST))).unwrap();
    for address in [0x5000, 0x9000, BASE + 0x9000] {
        image.define(name(HOST), address).unwrap();
        let placed = Placed::new(&mut image, BASE);
        let target = placed.relative(placed.address(0) + 1);
        let literal = if target == address { address } else { placed.read64(target + 8) };
        assert_eq!(literal, address);
    }
    image.remove(name(HOST)).unwrap();
    assert!(matches!(image.to_bytes(BASE), Err(ImageError::Undefined { .. })));
    image.append(name(HOST), plain(&[0xc3])).unwrap();
    let placed = Placed::new(&mut image, BASE);
    assert_eq!(placed.relative(placed.address(0) + 1), placed.address(HOST));
    assert_eq!(image.free_bytes(), 16, "the veneer is gone");
}

/// `code` refers to data at the end of its distance, and then out of it.
#[track_caller]
fn check_data(code: &[u8], kind: Reloc) {
    let mut image = image();
    image.append(name(0), one(code, 3, kind, -4, to(HOST))).unwrap();
    image.define(name(HOST), BASE + 0x7fff_0000).unwrap();
    let placed = Placed::new(&mut image, BASE);
    assert_eq!(placed.relative(placed.address(0) + 3), BASE + 0x7fff_0000);
    image.define(name(HOST), BASE + 0x8001_0000).unwrap();
    match image.to_bytes(BASE) {
        Err(ImageError::OutOfReach { function, offset: 3, kind: got, .. }) => {
            assert_eq!((function, got), (name(0), kind));
        }
        other => panic!("{other:?}"),
    }
    image.define(name(HOST), BASE + 8).unwrap();
    image.to_bytes(BASE).unwrap();
}

/// Cranelift's `lea` has a call's kind of relocation: a veneer in its place
/// would make it read the veneer's code as data.
#[test]
fn data_that_is_out_of_reach_is_an_error_whatever_the_kind() {
    check_data(&LEA, Reloc::X86CallPCRel4);
    check_data(&LEA, Reloc::X86PCRel4);
    check_data(&LOAD, Reloc::X86PCRel4);
    check_data(&LOAD, Reloc::X86CallPLTRel4);
}

#[test]
fn absolute_addresses_follow_the_image() {
    let mut image = image();
    image.append(name(1), plain(&[0xc3; 40])).unwrap();
    let mut fragment = one(&[0; 28], 0, Reloc::Abs8, 3, to(1));
    for (offset, kind, target) in [
        (8, Reloc::Abs8, FragmentTarget::Own(28)),
        (16, Reloc::Abs8, FragmentTarget::Address(u64::MAX - 3)),
        (24, Reloc::Abs4, to(1)),
    ] {
        fragment.relocations.extend(one(&[], offset, kind, 3, target).relocations);
    }
    image.append(name(0), fragment).unwrap();
    for base in [0x1000, 0x7fff_f000] {
        let placed = Placed::new(&mut image, base);
        let at = placed.address(0);
        assert_eq!(placed.read64(at), placed.address(1) + 3);
        assert_eq!(placed.read64(at + 8), at + 28 + 3);
        assert_eq!(placed.read64(at + 16), u64::MAX);
        assert_eq!(u64::from(placed.read32(at + 24)), placed.address(1) + 3);
    }
    let error = image.to_bytes(BASE);
    assert!(matches!(error, Err(ImageError::OutOfReach { kind: Reloc::Abs4, .. })));
}

/// A load of a literal; the literal's value.
#[track_caller]
fn check_literal(image: &mut CodeImage, function: u32, target: u64) {
    let placed = Placed::new(image, BASE);
    let literal = placed.relative(placed.address(function) + 3);
    assert_eq!(literal % 8, 0);
    assert_eq!(placed.read64(literal), target);
}

#[test]
fn literals_hold_addresses_and_follow_what_moves() {
    let mut image = image();
    image.define(name(HOST), 0x5000).unwrap();
    image.append(name(1), plain(&[0xc3; 16])).unwrap();
    let load = |target| one(&LOAD, 3, Reloc::X86GOTPCRel4, -4, target);
    image.append(name(2), load(to(HOST))).unwrap();
    image.append(name(3), load(to(1))).unwrap();
    image.append(name(4), load(FragmentTarget::Address(7))).unwrap();
    check_literal(&mut image, 2, 0x5000);
    check_literal(&mut image, 4, 7);
    for bytes in [16, 100, 3000] {
        image.replace(name(1), plain(&vec![0xc3; bytes])).unwrap();
        let address = Placed::new(&mut image, BASE).address(1);
        check_literal(&mut image, 3, address);
    }
}

/// Changes one after the other give the bytes that the same changes give when
/// everything is resolved once, at the end.
#[test]
fn resolving_step_by_step_is_resolving_at_once() {
    let build = |step_by_step: bool| {
        let mut image = image();
        for round in 0..60_u32 {
            let id = round % 7;
            let mut code = vec![0xe8, 0, 0, 0, 0, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0];
            code.resize(16 + (round as usize * 37) % 90, 0x90);
            let mut fragment = one(&code, 1, Reloc::X86CallPCRel4, -4, to((id + 3) % 7));
            fragment.relocations.extend(one(&[], 7, Reloc::Abs8, 0, to((id + 5) % 7)).relocations);
            match image.contains(name(id)) {
                true => image.replace(name(id), fragment).unwrap(),
                false => image.prepend(name(id), fragment).unwrap(),
            }
            if step_by_step && round >= 6 {
                image.to_bytes(BASE).unwrap();
            }
        }
        image.to_bytes(BASE).unwrap().into_bytes()
    };
    assert!(build(true) == build(false));
}
