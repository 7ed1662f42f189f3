//! Where functions lie: aligned, apart, whole, in slots that are used again;
//! and who is resolved again after a change.

use crate::code::{call, name, plain, to};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use stencil::image::{Architecture, CodeImage, Fragment, ImageError};

const FILLER: u8 = 0xcc;
const BASE: u64 = 0x10_0000;

/// What should be in an image: alignment and code of each function.
type Model = BTreeMap<u32, (u32, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Change {
    Put { front: bool, bytes: usize, alignment: u32 },
    Replace { which: usize, bytes: usize, alignment: u32 },
    Remove { which: usize },
}

fn change() -> impl Strategy<Value = Change> {
    let size = || prop_oneof![3 => 1..200_usize, 1 => 1..5000_usize];
    let alignment = || prop_oneof![6 => 0..6_u32, 1 => 0..13_u32].prop_map(|power| 1 << power);
    prop_oneof![
        4 => (any::<bool>(), size(), alignment())
            .prop_map(|(front, bytes, alignment)| Change::Put { front, bytes, alignment }),
        3 => (any::<usize>(), size(), alignment())
            .prop_map(|(which, bytes, alignment)| Change::Replace { which, bytes, alignment }),
        3 => any::<usize>().prop_map(|which| Change::Remove { which }),
    ]
}

fn apply(image: &mut CodeImage, model: &mut Model, id: u32, change: &Change) {
    let byte = (id % 200) as u8;
    let nth = |which: usize| model.keys().copied().nth(which % model.len().max(1));
    match *change {
        Change::Put { front, bytes, alignment } => {
            let code = vec![byte; bytes];
            let fragment = Fragment { code: &code, alignment, relocations: vec![] };
            let put = if front { CodeImage::prepend } else { CodeImage::append };
            put(image, name(id), fragment).unwrap();
            model.insert(id, (alignment, code));
        }
        Change::Replace { which, bytes, alignment } => {
            let Some(id) = nth(which) else { return };
            let code = vec![byte; bytes];
            let fragment = Fragment { code: &code, alignment, relocations: vec![] };
            image.replace(name(id), fragment).unwrap();
            model.insert(id, (alignment, code));
        }
        Change::Remove { which } => {
            let Some(id) = nth(which) else { return };
            image.remove(name(id)).unwrap();
            model.remove(&id);
        }
    }
}

/// The image holds these functions, aligned and apart, and filler elsewhere.
#[track_caller]
fn check(image: &mut CodeImage, model: &Model) {
    let bytes = image.to_bytes(BASE).unwrap();
    assert_eq!(image.function_count(), model.len());
    assert_eq!(image.size_bytes(), bytes.bytes().len() as u64);
    let mut rest = bytes.bytes().to_vec();
    for (&id, (alignment, code)) in model {
        let at = bytes.offset_of(name(id)).unwrap();
        assert_eq!((BASE + at as u64) % u64::from(*alignment), 0, "alignment of {id}");
        let part = &mut rest[at..at + code.len()];
        assert!(part == code, "code of {id}");
        part.fill(FILLER);
    }
    assert!(rest.iter().all(|&byte| byte == FILLER), "something is left over");
    if model.is_empty() {
        assert_eq!((image.size_bytes(), image.free_bytes()), (0, 0));
    }
}

const CASES: u32 = if cfg!(miri) { 2 } else { 256 };

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn functions_are_aligned_apart_and_whole(changes in vec(change(), 1..60)) {
        let mut image = CodeImage::new(Architecture::X86_64);
        let mut model = Model::new();
        for (id, change) in (0..).zip(&changes) {
            apply(&mut image, &mut model, id, change);
            check(&mut image, &model);
        }
        for id in std::mem::take(&mut model).into_keys() {
            image.remove(name(id)).unwrap();
        }
        check(&mut image, &model);
    }
}

/// An image of functions 0, 1, .. of these sizes, one after the other.
fn image_of(sizes: &[usize]) -> CodeImage {
    let mut image = CodeImage::new(Architecture::X86_64);
    for (id, &bytes) in (0..).zip(sizes) {
        image.append(name(id), plain(&vec![1; bytes])).unwrap();
    }
    image
}

#[track_caller]
fn offset(image: &mut CodeImage, id: u32) -> usize {
    image.to_bytes(BASE).unwrap().offset_of(name(id)).unwrap()
}

#[test]
fn a_removed_functions_slot_is_used_again() {
    let mut image = image_of(&[64, 64, 64]);
    let (at, size) = (offset(&mut image, 1), image.size_bytes());
    image.remove(name(1)).unwrap();
    assert_eq!(image.free_bytes(), 64);
    image.append(name(9), plain(&[1; 50])).unwrap();
    assert_eq!((offset(&mut image, 9), image.size_bytes()), (at, size));
    image.append(name(10), plain(&[1; 50])).unwrap();
    assert!(image.size_bytes() > size, "no room was left");
}

#[test]
fn free_neighbours_become_one_slot() {
    let mut image = image_of(&[16, 48, 32, 48, 16]);
    let (at, size) = (offset(&mut image, 1), image.size_bytes());
    for id in [1, 3, 2] {
        image.remove(name(id)).unwrap();
    }
    image.append(name(9), plain(&[1; 128])).unwrap();
    assert_eq!((offset(&mut image, 9), image.size_bytes(), image.free_bytes()), (at, size, 0));
}

#[test]
fn the_smallest_slot_that_fits_is_taken() {
    let mut image = image_of(&[96, 16, 48, 16, 64, 16]);
    let at = offset(&mut image, 2);
    for id in [0, 2, 4] {
        image.remove(name(id)).unwrap();
    }
    image.prepend(name(9), plain(&[1; 40])).unwrap();
    assert_eq!(offset(&mut image, 9), at);
}

#[test]
fn an_image_whose_end_is_removed_becomes_smaller() {
    let mut image = image_of(&[4096, 16, 4096]);
    image.remove(name(1)).unwrap();
    image.remove(name(2)).unwrap();
    assert_eq!((image.size_bytes(), image.free_bytes()), (4096, 0));
    image.prepend(name(3), plain(&[1; 4096])).unwrap();
    image.remove(name(0)).unwrap();
    assert_eq!(image.size_bytes(), 4096);
}

/// The last function first: no reversal of bytes, and the order of the program.
#[test]
fn code_that_is_prepended_backwards_lies_forwards() {
    let mut image = CodeImage::new(Architecture::X86_64);
    for id in (0..5).rev() {
        let next = if id < 4 { to(id + 1) } else { to(0) };
        image.prepend(name(id), call(next)).unwrap();
    }
    let offsets: Vec<_> = (0..5).map(|id| offset(&mut image, id)).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
}

#[test]
fn only_who_refers_to_a_function_that_moved_is_resolved_again() {
    let mut image = image_of(&[64, 64]);
    for id in 10..60 {
        image.append(name(id), call(to(id % 2))).unwrap();
    }
    let mut resolved = |change: &mut dyn FnMut(&mut CodeImage)| {
        let before = image.resolved_functions();
        change(&mut image);
        image.to_bytes(BASE).unwrap();
        image.resolved_functions() - before
    };
    assert_eq!(resolved(&mut |_| ()), 52, "all of them once");
    assert_eq!(resolved(&mut |_| ()), 0);
    let smaller = |image: &mut CodeImage| image.replace(name(0), plain(&[1; 40])).unwrap();
    assert_eq!(resolved(&mut { smaller }), 1, "in place: itself");
    let larger = |image: &mut CodeImage| image.replace(name(0), plain(&[1; 65])).unwrap();
    assert_eq!(resolved(&mut { larger }), 26, "itself, and 25 that call it");
}

/// 10,000 changes at both ends leave an image no larger than its functions need.
#[test]
fn an_image_that_wanders_stays_small() {
    let mut image = image_of(&[512]);
    let rounds = if cfg!(miri) { 50 } else { 10_000 };
    for id in 1..rounds {
        let put = if id % 3 == 0 { CodeImage::prepend } else { CodeImage::append };
        put(&mut image, name(id), plain(&vec![2; 16 + (id as usize * 7) % 500])).unwrap();
        if id > 4 {
            image.remove(name(id - 4)).unwrap();
        }
        assert!(image.size_bytes() < 16 << 10, "{} bytes after {id}", image.size_bytes());
    }
}

#[test]
fn names_that_are_not_there_are_unknown() {
    let mut image = image_of(&[16]);
    let unknown = |it: Result<(), ImageError>| matches!(it, Err(ImageError::Unknown { .. }));
    assert!(unknown(image.remove(name(1))));
    assert!(unknown(image.replace(name(1), plain(&[1]))));
    image.define(name(1), 77).unwrap();
    assert!(unknown(image.replace(name(1), plain(&[1]))));
    image.remove(name(1)).unwrap();
    image.remove(name(0)).unwrap();
    assert!(unknown(image.remove(name(0))));
    check(&mut image, &Model::new());
}
