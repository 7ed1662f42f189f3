//! Images of as many bytes as they may have, and one more.

use crate::code::{branch, call, name, plain, to};
use stencil::image::{Architecture, CodeImage, ImageError};

const BASE: u64 = 0x10_0000;

fn image(bytes_max: u64) -> CodeImage {
    CodeImage::with_bytes_max(Architecture::X86_64, bytes_max)
}

/// Refused for its size; the image is as before.
#[track_caller]
fn check_too_large(
    image: &mut CodeImage,
    change: impl FnOnce(&mut CodeImage) -> Result<(), ImageError>,
) {
    let before = (image.size_bytes(), image.free_bytes(), image.function_count());
    match change(image) {
        Err(ImageError::TooLarge { needed, bytes_max }) => assert!(needed > bytes_max),
        other => panic!("{other:?}"),
    }
    assert_eq!((image.size_bytes(), image.free_bytes(), image.function_count()), before);
}

#[test]
fn an_image_is_filled_to_its_limit_and_not_beyond() {
    let mut full = image(8192);
    full.append(name(0), plain(&[1; 8192])).unwrap();
    check_too_large(&mut full, |it| it.append(name(1), plain(&[1])));
    check_too_large(&mut full, |it| it.prepend(name(1), plain(&[1])));
    check_too_large(&mut full, |it| it.replace(name(0), plain(&[1; 8193])));
    check_too_large(&mut image(8192), |it| it.append(name(0), plain(&[1; 8193])));
    full.replace(name(0), plain(&[2; 8192])).unwrap();
    assert!(full.to_bytes(BASE).unwrap().bytes() == [2; 8192]);
    full.remove(name(0)).unwrap();
    full.prepend(name(1), plain(&[1; 8192])).unwrap();
}

/// What is in front counts in whole pages: the image starts at one.
#[test]
fn the_page_in_front_counts() {
    let mut image = image(8192);
    image.append(name(0), plain(&[1; 4096])).unwrap();
    image.prepend(name(1), plain(&[1; 16])).unwrap();
    assert_eq!(image.size_bytes(), 8192);
    check_too_large(&mut image, |it| it.append(name(2), plain(&[1])));
    image.prepend(name(2), plain(&[1; 4080])).unwrap();
    check_too_large(&mut image, |it| it.prepend(name(3), plain(&[1])));
}

/// A veneer needs room that there is not; then there is.
#[test]
fn a_veneer_that_has_no_room_is_an_error_at_the_commit() {
    let mut image = image(4096);
    image.define(name(9), 0x5000).unwrap();
    image.append(name(0), call(to(9))).unwrap();
    image.append(name(1), plain(&[1; 4080])).unwrap();
    check_too_large(&mut image, |it| it.to_bytes(1 << 40).map(drop));
    image.replace(name(1), plain(&[1; 64])).unwrap();
    image.to_bytes(1 << 40).unwrap();
}

#[test]
fn bytes_lie_at_pages_within_the_address_space() {
    let mut image = image(1 << 20);
    image.append(name(0), plain(&[1; 5000])).unwrap();
    for base in [1, 16, 4095, u64::MAX, u64::MAX - 4095] {
        let refused = image.to_bytes(base);
        assert!(matches!(refused, Err(ImageError::Base { .. })), "{base:#x}");
    }
    for base in [0, 4096, u64::MAX - 8191] {
        image.to_bytes(base).unwrap();
    }
}

/// Nobody allocates what would be refused: these bytes are never touched.
#[test]
#[cfg(not(miri))]
fn more_than_an_architecture_reaches_is_refused_whatever_the_limit() {
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        let mut image = CodeImage::with_bytes_max(architecture, u64::MAX);
        let bytes = architecture.image_bytes_max() as usize;
        check_too_large(&mut image, |it| it.append(name(0), plain(&vec![0; bytes + 1])));
    }
}

/// The longest call within an image of aarch64, forwards and backwards.
#[test]
#[cfg(not(miri))]
fn calls_reach_from_end_to_end_of_the_largest_image() {
    let mut image = CodeImage::new(Architecture::Aarch64);
    let between = Architecture::Aarch64.image_bytes_max() as usize - 32;
    image.append(name(0), branch(to(2))).unwrap();
    image.append(name(1), plain(&vec![0; between])).unwrap();
    image.append(name(2), branch(to(0))).unwrap();
    assert_eq!(image.size_bytes(), Architecture::Aarch64.image_bytes_max());
    image.to_bytes(BASE).unwrap();
}
