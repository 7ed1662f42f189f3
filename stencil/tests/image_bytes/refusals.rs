//! What is refused: the error says what and where, the image is as before, and
//! the same without the fault is taken.

use crate::code::{call, name, one, plain, to};
use cranelift_codegen::binemit::Reloc;
use stencil::image::{Architecture, CodeImage, Fragment, FragmentTarget, ImageError};

const BASE: u64 = 0x10_0000;

fn image() -> CodeImage {
    let mut image = CodeImage::new(Architecture::X86_64);
    image.append(name(0), plain(&[0xc3; 32])).unwrap();
    image.append(name(1), call(to(0))).unwrap();
    image
}

/// `bad` is refused by each way in, `good` is taken.
#[track_caller]
fn check(bad: Fragment<'_>, good: Fragment<'_>, is_expected: impl Fn(&ImageError) -> bool) {
    let mut image = image();
    let before = image.to_bytes(BASE).unwrap().into_bytes();
    for refused in [
        image.append(name(2), bad.clone()),
        image.prepend(name(2), bad.clone()),
        image.replace(name(0), bad),
    ] {
        let error = refused.unwrap_err();
        assert!(is_expected(&error), "{error:?}");
        assert!(error.to_string().starts_with("function u0:"), "{error}");
    }
    assert!(image.to_bytes(BASE).unwrap().bytes() == before);
    image.append(name(2), good.clone()).unwrap();
    image.replace(name(0), good).unwrap();
    image.to_bytes(BASE).unwrap();
}

#[test]
fn a_relocation_outside_of_its_code_is_refused() {
    let at = |offset, kind| one(&[0; 12], offset, kind, 0, to(1));
    for (last, kind) in [(8, Reloc::Abs4), (4, Reloc::Abs8), (8, Reloc::X86PCRel4)] {
        for offset in [last + 1, 12, 13, u32::MAX] {
            check(at(offset, kind), at(last, kind), |error| match error {
                ImageError::RelocationOutside { offset: got, code_bytes, .. } => {
                    (*got, *code_bytes) == (offset, 12)
                }
                _ => false,
            });
        }
    }
}

#[test]
fn relocations_that_overlap_are_refused() {
    let two = |second| {
        let mut fragment = one(&[0; 16], 8, Reloc::Abs4, 0, to(1));
        fragment.relocations.extend(one(&[], second, Reloc::Abs8, 0, to(1)).relocations);
        fragment
    };
    for second in [1, 7, 8] {
        check(two(second), two(0), |it| matches!(it, ImageError::RelocationOverlap { .. }));
    }
}

#[test]
fn an_alignment_that_is_no_power_of_two_up_to_a_page_is_refused() {
    let aligned = |alignment| Fragment { alignment, ..plain(&[0xc3]) };
    for (bad, good) in [(0, 1), (3, 2), (24, 32), (8192, 4096), (u32::MAX, 16), (1 << 31, 64)] {
        check(
            aligned(bad),
            aligned(good),
            |error| matches!(error, ImageError::Alignment { alignment, .. } if *alignment == bad),
        );
    }
}

#[test]
fn a_fragment_without_code_is_refused() {
    check(plain(&[]), plain(&[0xc3]), |it| matches!(it, ImageError::Empty { .. }));
}

#[test]
fn a_place_outside_of_its_own_fragment_is_refused() {
    let own = |offset| one(&[0; 8], 0, Reloc::Abs8, 0, FragmentTarget::Own(offset));
    for bad in [9, 10, u32::MAX] {
        check(
            own(bad),
            own(8),
            |error| matches!(error, ImageError::OwnTargetOutside { target, .. } if *target == bad),
        );
    }
}

#[test]
fn kinds_that_images_do_not_know_are_refused_by_name() {
    let of = |kind| one(&[0; 8], 4, kind, 0, to(1));
    for bad in [
        Reloc::X86SecRel,
        Reloc::ElfX86_64TlsGd,
        Reloc::MachOX86_64Tlv,
        Reloc::Arm64Call,
        Reloc::RiscvCallPlt,
        Reloc::S390xPCRel32Dbl,
        Reloc::PulleyPcRel,
    ] {
        check(of(bad), of(Reloc::X86PCRel4), |error| {
            let named = error.to_string().contains(&format!("{bad:?} at offset 4"));
            named && matches!(error, ImageError::UnsupportedRelocation { .. })
        });
    }
}

#[test]
fn a_relocation_between_two_instructions_is_refused() {
    let mut image = CodeImage::new(Architecture::Aarch64);
    let at = |offset| one(&[0; 12], offset, Reloc::Arm64Call, 0, to(0));
    for bad in [1, 2, 3, 5] {
        let refused = image.append(name(0), at(bad));
        assert!(matches!(refused, Err(ImageError::RelocationMisaligned { .. })));
    }
    image.append(name(0), at(8)).unwrap();
    image.to_bytes(BASE).unwrap();
}

#[test]
fn a_name_is_given_once() {
    let mut image = image();
    image.define(name(5), 77).unwrap();
    let before = image.to_bytes(BASE).unwrap().into_bytes();
    for refused in [
        image.append(name(0), plain(&[1])),
        image.prepend(name(0), plain(&[1])),
        image.append(name(5), plain(&[1])),
        image.define(name(0), 77),
    ] {
        assert!(matches!(refused, Err(ImageError::Duplicate { .. })));
    }
    assert!(image.to_bytes(BASE).unwrap().bytes() == before);
    image.remove(name(5)).unwrap();
    image.append(name(5), plain(&[1])).unwrap();
    image.define(name(6), 77).unwrap();
}

/// Who refers to whom is said; what is missing may come later.
#[test]
fn a_function_that_is_not_there_is_named_at_the_commit() {
    let mut image = image();
    image.remove(name(0)).unwrap();
    let error = image.to_bytes(BASE).unwrap_err();
    let said = "function u0:1 refers to u0:0 at offset 1, which is not in the image; \
                append it, or define its address";
    assert_eq!(error.to_string(), said);
    image.append(name(0), plain(&[0xc3])).unwrap();
    image.to_bytes(BASE).unwrap();
}

#[test]
#[cfg(not(miri))]
fn code_for_another_machine_is_not_mapped() {
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        let mut image = CodeImage::new(architecture);
        image.append(name(0), plain(&[0; 4])).unwrap();
        image.to_bytes(BASE).unwrap();
        match image.commit() {
            Ok(_) => assert_eq!(Architecture::host(), Some(architecture)),
            Err(ImageError::Foreign { .. }) => assert_ne!(Architecture::host(), Some(architecture)),
            Err(error) => panic!("{error}"),
        }
    }
}
