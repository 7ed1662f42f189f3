//! What each kind of aarch64 relocation writes, near and far; read back with
//! the instructions' encodings from the Arm Architecture Reference Manual.

use crate::code::{Placed, branch, name, one, plain, to};
use cranelift_codegen::binemit::Reloc;
use stencil::image::{Architecture, CodeImage, Fragment, FragmentTarget, ImageError};

const BASE: u64 = 0x7f00_0000_0000;
const HOST: u32 = 100;
const NOP: [u8; 4] = [0x1f, 0x20, 0x03, 0xd5];
/// `ldr x16, #8; br x16`
const JUMP: u64 = 0xd61f_0200_5800_0050;
/// `adrp x0, 0; add x0, x0, 0`
const ADRP_ADD: [u8; 8] = [0, 0, 0, 0x90, 0, 0, 0, 0x91];
/// `adrp x0, 0; ldr x0, [x0]`
const ADRP_LDR: [u8; 8] = [0, 0, 0, 0x90, 0, 0, 0x40, 0xf9];

fn image() -> CodeImage {
    CodeImage::new(Architecture::Aarch64)
}

/// Where the `bl` at this address leads to.
#[track_caller]
fn branch_target(placed: &Placed, at: u64) -> u64 {
    let instruction = placed.read32(at);
    assert_eq!(instruction >> 26, 0b100101, "still a bl");
    let words = (instruction << 6).cast_signed() >> 6;
    at.wrapping_add_signed(i64::from(words) * 4)
}

/// The page that the `adrp` at this address gives.
#[track_caller]
fn page(placed: &Placed, at: u64) -> u64 {
    let instruction = placed.read32(at);
    assert_eq!(instruction & 0x9f00_001f, 0x9000_0000, "still adrp x0");
    let bits = (instruction >> 5 & 0x7_ffff) << 2 | instruction >> 29 & 3;
    let pages = (bits << 11).cast_signed() >> 11;
    (at & !0xfff).wrapping_add_signed(i64::from(pages) * 4096)
}

/// The 12 bits of the `add` or `ldr` at this address.
#[track_caller]
fn low12(placed: &Placed, at: u64, opcode: u32) -> u64 {
    let instruction = placed.read32(at);
    assert_eq!(instruction & !(0xfff << 10), opcode, "still the instruction");
    u64::from(instruction >> 10 & 0xfff)
}

#[track_caller]
fn check_call(distance: i64, by_veneer: bool) {
    let mut image = image();
    image.append(name(0), branch(to(HOST))).unwrap();
    let host = BASE.wrapping_add_signed(distance);
    image.define(name(HOST), host).unwrap();
    let placed = Placed::new(&mut image, BASE);
    let target = branch_target(&placed, placed.address(0));
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
    check_call((128 << 20) - 4, false);
    check_call(128 << 20, true);
    check_call(-(128 << 20), false);
    check_call(-(128 << 20) - 4, true);
    check_call(1 << 40, true);
}

/// Each time the target moves, instructions are written over.
#[test]
fn calls_and_addresses_lead_to_functions_after_every_move() {
    let mut image = image();
    image.append(name(0), branch(to(1))).unwrap();
    image.prepend(name(1), branch(to(0))).unwrap();
    image.append(name(3), plain(&NOP.repeat(9000))).unwrap();
    let mut address = one(&ADRP_ADD, 0, Reloc::Aarch64AdrPrelPgHi21, 0, to(0));
    let low = one(&[], 4, Reloc::Aarch64AddAbsLo12Nc, 0, to(0));
    address.relocations.extend(low.relocations);
    image.append(name(2), address).unwrap();
    for nops in [0, 10, 1000, 1, 5000, 20_000] {
        let code = [&[0, 0, 0, 0x94], &*NOP.repeat(nops)].concat();
        image.replace(name(0), Fragment { code: &code, ..branch(to(1)) }).unwrap();
        let placed = Placed::new(&mut image, BASE);
        let at = placed.address(2);
        assert_eq!(branch_target(&placed, placed.address(0)), placed.address(1));
        assert_eq!(branch_target(&placed, placed.address(1)), placed.address(0));
        let given = page(&placed, at) + low12(&placed, at + 4, 0x9100_0000);
        assert_eq!(given, placed.address(0));
    }
}

/// `adrp` and `add` of an address, in one function.
#[track_caller]
fn check_address(target: FragmentTarget, addend: i64, expected: impl Fn(&Placed) -> u64) {
    let mut image = image();
    image.append(name(1), plain(&NOP.repeat(3000))).unwrap();
    image.define(name(HOST), BASE - 0x1234_5670).unwrap();
    let mut fragment = one(&ADRP_ADD, 0, Reloc::Aarch64AdrPrelPgHi21, addend, target);
    let low = one(&[], 4, Reloc::Aarch64AddAbsLo12Nc, addend, target);
    fragment.relocations.extend(low.relocations);
    image.prepend(name(0), fragment).unwrap();
    let placed = Placed::new(&mut image, BASE);
    let at = placed.address(0);
    let address = page(&placed, at) + low12(&placed, at + 4, 0x9100_0000);
    assert_eq!(address, expected(&placed));
}

#[test]
fn addresses_are_given_by_page_and_place_in_it() {
    for addend in [0, 3, 4096 * 3 + 5, -4097] {
        check_address(to(1), addend, |it| it.address(1).wrapping_add_signed(addend));
        check_address(to(0), addend, |it| it.address(0).wrapping_add_signed(addend));
        let own = FragmentTarget::Own(8);
        check_address(own, addend, |it| it.address(0).wrapping_add_signed(8 + addend));
        let host = BASE - 0x1234_5670;
        check_address(to(HOST), addend, |_| host.wrapping_add_signed(addend));
    }
}

#[test]
fn pages_reach_four_gigabytes_and_no_further() {
    let mut image = image();
    let adrp = one(&ADRP_ADD, 0, Reloc::Aarch64AdrPrelPgHi21, 0, to(HOST));
    image.append(name(0), adrp).unwrap();
    for (distance, reaches) in
        [((1 << 32) - 1, true), (1 << 32, false), (-(1 << 32), true), (-(1 << 32) - 1, false)]
    {
        let host = BASE.wrapping_add_signed(distance);
        image.define(name(HOST), host).unwrap();
        match image.to_bytes(BASE) {
            Ok(bytes) => {
                assert!(reaches, "{distance}");
                let placed = Placed { base: BASE, bytes };
                assert_eq!(page(&placed, BASE), host & !0xfff);
            }
            Err(ImageError::OutOfReach { .. }) => assert!(!reaches, "{distance}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn literals_hold_addresses() {
    let mut image = image();
    image.define(name(HOST), 0x5000).unwrap();
    let mut fragment = one(&ADRP_LDR, 0, Reloc::Aarch64AdrGotPage21, 0, to(HOST));
    let low = one(&[], 4, Reloc::Aarch64Ld64GotLo12Nc, 0, to(HOST));
    fragment.relocations.extend(low.relocations);
    image.append(name(0), fragment).unwrap();
    let placed = Placed::new(&mut image, BASE);
    let at = placed.address(0);
    let literal = page(&placed, at) + low12(&placed, at + 4, 0xf940_0000) * 8;
    assert_eq!(placed.read64(literal), 0x5000);
}

#[test]
fn what_is_written_twice_is_what_is_written_last() {
    let mut image = image();
    image.append(name(0), branch(to(HOST))).unwrap();
    for address in [BASE + 0x7ff_fffc, BASE - 0x800_0000, BASE + 4, BASE + 0x555_5554] {
        image.define(name(HOST), address).unwrap();
        let placed = Placed::new(&mut image, BASE);
        assert_eq!(branch_target(&placed, BASE), address);
    }
}
