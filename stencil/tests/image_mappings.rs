//! What images map, as the system sees it: no page is writable and executable
//! at once, generations are unmapped with their last handle and not before, and
//! 100,000 replacements leave nothing behind.
//!
//! All of it reads `/proc/self`, which the tests of one program share: they
//! take turns.

#![cfg(all(feature = "image", target_os = "linux"))]

use cranelift_codegen::binemit::Reloc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use stencil::ExternalName;
use stencil::image::{
    CodeImage, Fragment, FragmentRelocation, FragmentTarget, Generation, ImageError,
};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(index: u32) -> ExternalName {
    ExternalName { namespace: 0, index }
}

/// A function that returns a number; `bytes` is how large it is at least.
fn constant(value: u16, bytes: usize) -> Vec<u8> {
    let [low, high] = value.to_le_bytes();
    let mut code = if cfg!(target_arch = "x86_64") {
        // mov eax, value; ret
        vec![0xb8, low, high, 0, 0, 0xc3]
    } else {
        // movz w0, value; ret
        let mov = 0x5280_0000_u32 | u32::from(value) << 5;
        [mov.to_le_bytes(), 0xd65f_03c0_u32.to_le_bytes()].concat()
    };
    code.resize(bytes.max(code.len()), 0);
    code
}

/// A function that jumps to another.
fn jump(target: ExternalName) -> (Vec<u8>, FragmentRelocation) {
    let target = FragmentTarget::Function(target);
    if cfg!(target_arch = "x86_64") {
        let kind = Reloc::X86CallPCRel4;
        (vec![0xe9, 0, 0, 0, 0], FragmentRelocation { offset: 1, kind, addend: -4, target })
    } else {
        let kind = Reloc::Arm64Call;
        (vec![0, 0, 0, 0x14], FragmentRelocation { offset: 0, kind, addend: 0, target })
    }
}

fn fragment(code: &[u8]) -> Fragment<'_> {
    Fragment { code, alignment: 16, relocations: vec![] }
}

/// Function 0 jumps to function 1, which returns 1.
fn image() -> Result<CodeImage, ImageError> {
    let mut image = CodeImage::for_host()?;
    let (code, relocation) = jump(name(1));
    image.append(name(0), Fragment { relocations: vec![relocation], ..fragment(&code) })?;
    image.append(name(1), fragment(&constant(1, 0)))?;
    Ok(image)
}

#[track_caller]
fn check_runs(generation: &Generation, value: u16) {
    let code = generation.address_of(name(0)).unwrap();
    // SAFETY: `image` and its changes make functions of this type, and
    // `generation` lives.
    let got = unsafe { std::mem::transmute::<*const u8, extern "C" fn() -> u32>(code)() };
    assert_eq!(got, u32::from(value));
}

/// Address range and permissions of each mapping.
fn mappings() -> Vec<(u64, u64, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let hex = |it: &str| u64::from_str_radix(it, 16).unwrap();
    let parse = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next().unwrap().split_once('-').unwrap();
        (hex(start), hex(end), words.next().unwrap().to_owned())
    };
    maps.lines().map(parse).collect()
}

/// How many bytes are mapped executable; none of them is writable. (Mappings
/// are no measure: the system joins those that touch.)
#[track_caller]
fn executable_bytes() -> u64 {
    let mut bytes = 0;
    for (start, end, permissions) in mappings() {
        if permissions.contains('x') {
            assert!(!permissions.contains('w'), "{start:#x} is writable and executable");
            bytes += end - start;
        }
    }
    bytes
}

fn permissions_at(address: u64) -> Option<String> {
    let found = mappings().into_iter().find(|(start, end, _)| (*start..*end).contains(&address));
    found.map(|(.., permissions)| permissions)
}

/// Memory of this process that is resident, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn no_page_is_ever_writable_and_executable() {
    let _turn = turn();
    let mut image = image().unwrap();
    let mut kept = Vec::new();
    for value in 1..50 {
        image.replace(name(1), fragment(&constant(value, 200 * usize::from(value)))).unwrap();
        let generation = image.commit().unwrap();
        executable_bytes();
        let address = generation.address_of(name(0)).unwrap() as u64;
        assert_eq!(permissions_at(address).unwrap(), "r-xp");
        check_runs(&generation, value);
        kept.push((generation, value));
    }
    executable_bytes();
    kept.iter().for_each(|(generation, value)| check_runs(generation, *value));
}

#[test]
fn a_generation_is_unmapped_with_its_last_handle() {
    let _turn = turn();
    let mut image = image().unwrap();
    let generation = image.commit().unwrap();
    let address = generation.address_of(name(0)).unwrap() as u64;
    let other = generation.clone();
    drop(image);
    drop(generation);
    assert_eq!(permissions_at(address).unwrap(), "r-xp");
    check_runs(&other, 1);
    drop(other);
    assert!(permissions_at(address).is_none_or(|it| !it.contains('x')));
}

#[test]
fn what_cannot_be_committed_is_not_mapped() {
    let _turn = turn();
    let mut image = image().unwrap();
    let before = executable_bytes();
    image.remove(name(1)).unwrap();
    assert!(matches!(image.commit(), Err(ImageError::Undefined { .. })));
    image.append(name(1), fragment(&constant(2, 0))).unwrap();

    let address = FragmentTarget::Address(u64::MAX);
    let relocation =
        FragmentRelocation { offset: 0, kind: Reloc::Abs8, addend: 1, target: address };
    let far = Fragment { relocations: vec![relocation], ..fragment(&[0; 8]) };
    image.append(name(2), far).unwrap();
    assert!(matches!(image.commit(), Err(ImageError::OutOfReach { .. })));
    assert_eq!(executable_bytes(), before);

    image.remove(name(2)).unwrap();
    let generation = image.commit().unwrap();
    let page = executable_bytes() - before;
    assert!((4096..=65536).contains(&page), "{page}");
    check_runs(&generation, 2);
}

#[test]
fn an_empty_image_is_committed() {
    let _turn = turn();
    let generation = CodeImage::for_host().unwrap().commit().unwrap();
    assert_eq!((generation.bytes().len(), generation.functions().count()), (0, 0));
    assert_eq!(generation.address_of(name(0)), None);
}

/// After a warm-up, 100,000 rounds of `change`, each committed, leave the
/// process and the image as they were.
#[track_caller]
fn check_nothing_is_left(mut change: impl FnMut(&mut CodeImage, u32) -> Generation) {
    const WARM_UP: u32 = 2000;
    const ROUNDS: u32 = 100_000;
    let mut image = image().unwrap();
    let mut size_max = 0;
    for round in 0..WARM_UP {
        change(&mut image, round);
    }
    let (code, all, resident) = (executable_bytes(), mappings().len(), resident_kib());
    for round in WARM_UP..WARM_UP + ROUNDS {
        change(&mut image, round);
        size_max = size_max.max(image.size_bytes());
    }
    let after = resident_kib();
    eprintln!("resident: {resident} KiB, then {after} KiB; image: at most {size_max} bytes");
    let kept: Vec<_> = (0..9).map(|_| image.commit().unwrap()).collect();
    assert!(executable_bytes() >= code + 9 * 4096, "handles that are kept show");
    drop(kept);
    assert_eq!(executable_bytes(), code);
    assert!(mappings().len() <= all + 4, "{} mappings, {all} before", mappings().len());
    assert!(after < resident + 1024, "{after} KiB resident, {resident} KiB before");
    assert!(size_max <= 16 << 10, "the image had {size_max} bytes");
}

#[test]
fn a_hundred_thousand_replacements_leave_nothing_behind() {
    let _turn = turn();
    check_nothing_is_left(|image, round| {
        let value = (round % 60_000) as u16;
        let bytes = 8 + (round as usize * 31) % 600;
        image.replace(name(1), fragment(&constant(value, bytes))).unwrap();
        let generation = image.commit().unwrap();
        check_runs(&generation, value);
        generation
    });
}

/// Names that are not used again, of functions and of the host's.
#[test]
fn a_hundred_thousand_functions_that_come_and_go_leave_nothing_behind() {
    let _turn = turn();
    let name_of = |round: u32, kind: u32| ExternalName { namespace: 1 + kind, index: round };
    check_nothing_is_left(|image, round| {
        if round == 0 {
            // Nothing stays where it is.
            image.remove(name(0)).unwrap();
            image.remove(name(1)).unwrap();
        }
        let (function, host) = (name_of(round, 0), name_of(round, 1));
        image.define(host, 0x1000 + u64::from(round)).unwrap();
        let (mut code, call) = jump(host);
        code.resize(8 + (round as usize * 31) % 600, 0);
        let literal = FragmentRelocation {
            offset: code.len().next_multiple_of(8) as u32,
            kind: Reloc::Abs8,
            addend: 0,
            target: FragmentTarget::Function(function),
        };
        code.resize(literal.offset as usize + 8, 0);
        let fragment = Fragment { relocations: vec![call, literal], ..fragment(&code) };
        // The image wanders to one side, then to the other, then grows at both.
        let front = round >= 34_000 && (round < 68_000 || round % 2 == 0);
        let put = if front { CodeImage::prepend } else { CodeImage::append };
        put(image, function, fragment).unwrap();
        let generation = image.commit().unwrap();
        if round >= 5 {
            image.remove(name_of(round - 5, 0)).unwrap();
            image.remove(name_of(round - 5, 1)).unwrap();
        }
        generation
    });
}

#[test]
fn an_image_that_was_large_gives_its_memory_back() {
    let _turn = turn();
    let mut image = image().unwrap();
    let before = resident_kib();
    for put in [CodeImage::append, CodeImage::prepend] {
        let code = vec![0; 32 << 20];
        put(&mut image, name(2), fragment(&code)).unwrap();
        drop(code);
        assert!(resident_kib() > before + (31 << 10), "it shows");
        image.remove(name(2)).unwrap();
        let after = resident_kib();
        assert!(after < before + 4096, "{after} KiB resident, {before} KiB before");
        check_runs(&image.commit().unwrap(), 1);
    }
}

/// The test program and what the system maps for it are gigabytes apart.
#[test]
fn a_function_of_the_host_is_reached_wherever_it_is() {
    extern "C" fn host() -> u32 {
        4711
    }
    let _turn = turn();
    let mut image = image().unwrap();
    image.remove(name(1)).unwrap();
    let address = host as *const () as u64;
    image.define(name(1), address).unwrap();
    let generation = image.commit().unwrap();
    check_runs(&generation, 4711);
    let base = generation.bytes().as_ptr() as u64;
    let far = base.abs_diff(address) > 1 << 31;
    let literal = address.to_le_bytes();
    let veneers = generation.bytes().windows(8).filter(|it| *it == literal).count();
    eprintln!("{:#x} bytes apart", base.abs_diff(address));
    assert_eq!(veneers, 1, "one has room, needed ({far}) or not");
}
