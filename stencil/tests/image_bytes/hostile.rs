//! Fragments of anything: each is taken or refused, nothing panics, no image is
//! larger than what was put in, and no byte outside of a relocation's field
//! changes.

use crate::code::name;
use cranelift_codegen::binemit::Reloc;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use stencil::image::{
    Architecture, CodeImage, Fragment, FragmentRelocation, FragmentTarget, ImageBytes,
};

const KINDS: [Reloc; 15] = [
    Reloc::Abs4,
    Reloc::Abs8,
    Reloc::X86PCRel4,
    Reloc::X86CallPCRel4,
    Reloc::X86CallPLTRel4,
    Reloc::X86GOTPCRel4,
    Reloc::X86SecRel,
    Reloc::Arm64Call,
    Reloc::Aarch64AdrPrelPgHi21,
    Reloc::Aarch64AddAbsLo12Nc,
    Reloc::Aarch64AdrGotPage21,
    Reloc::Aarch64Ld64GotLo12Nc,
    Reloc::Aarch64TlsDescCall,
    Reloc::RiscvPCRelLo12I,
    Reloc::S390xTlsGdCall,
];
/// Names are few, so that they meet.
const NAMES: u32 = 6;

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => -20..20_i64,
        1 => any::<i64>(),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::from(i32::MIN))],
    ]
}

fn target() -> impl Strategy<Value = FragmentTarget> {
    prop_oneof![
        3 => (0..NAMES).prop_map(|it| FragmentTarget::Function(name(it))),
        1 => (0..80_u32).prop_map(FragmentTarget::Own),
        1 => any::<u64>().prop_map(FragmentTarget::Address),
    ]
}

fn relocation() -> impl Strategy<Value = FragmentRelocation> {
    let offset =
        prop_oneof![4 => (0..16_u32).prop_map(|it| it * 4), 1 => any::<u32>(), 1 => 0..70_u32];
    (offset, 0..KINDS.len(), number(), target()).prop_map(|(offset, kind, addend, target)| {
        FragmentRelocation { offset, kind: KINDS[kind], addend, target }
    })
}

#[derive(Clone, Debug)]
struct Input {
    code: Vec<u8>,
    alignment: u32,
    relocations: Vec<FragmentRelocation>,
}

fn input() -> impl Strategy<Value = Input> {
    let code = prop_oneof![vec(any::<u8>(), 0..80), vec(Just(0xe8_u8), 60..80)];
    let alignment = prop_oneof![5 => Just(16_u32), 1 => any::<u32>(), 1 => Just(4096_u32)];
    (code, alignment, vec(relocation(), 0..4)).prop_map(|(code, alignment, relocations)| Input {
        code,
        alignment,
        relocations,
    })
}

type Model = BTreeMap<u32, Input>;

#[derive(Clone, Debug)]
enum Change {
    Append(Input),
    Prepend(Input),
    Replace(Input),
    Remove,
    Define(u64),
}

fn change() -> impl Strategy<Value = (u32, Change)> {
    let change = prop_oneof![
        4 => input().prop_map(Change::Append),
        2 => input().prop_map(Change::Prepend),
        2 => input().prop_map(Change::Replace),
        2 => Just(Change::Remove),
        1 => any::<u64>().prop_map(Change::Define),
    ];
    (0..NAMES, change)
}

fn fragment(input: &Input) -> Fragment<'_> {
    let relocations = input.relocations.clone();
    Fragment { code: &input.code, alignment: input.alignment, relocations }
}

fn apply(image: &mut CodeImage, model: &mut Model, id: u32, change: &Change) -> bool {
    let name = name(id);
    let done = match change {
        Change::Append(input) => image.append(name, fragment(input)),
        Change::Prepend(input) => image.prepend(name, fragment(input)),
        Change::Replace(input) => image.replace(name, fragment(input)),
        Change::Remove => image.remove(name),
        Change::Define(address) => image.define(name, *address),
    };
    if done.is_ok() {
        match change {
            Change::Append(input) | Change::Prepend(input) | Change::Replace(input) => {
                model.insert(id, input.clone());
            }
            Change::Remove => drop(model.remove(&id)),
            Change::Define(_) => {}
        }
    }
    done.is_ok()
}

/// Only fields of relocations differ from what was put in.
#[track_caller]
fn check(bytes: &ImageBytes, model: &Model) {
    assert!(bytes.functions().map(|(name, _)| name.index).eq(model.keys().copied()));
    for (&id, input) in model {
        let at = bytes.offset_of(name(id)).unwrap();
        let mut code = bytes.bytes()[at..at + input.code.len()].to_vec();
        for relocation in &input.relocations {
            let len = if relocation.kind == Reloc::Abs8 { 8 } else { 4 };
            let field = relocation.offset as usize..relocation.offset as usize + len;
            code[field.clone()].copy_from_slice(&input.code[field]);
        }
        assert_eq!(code, input.code, "code of {id}");
    }
}

const CASES: u32 = if cfg!(miri) { 5 } else { 2048 };

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn nothing_panics_and_nothing_grows_beyond_its_input(
        changes in vec((change(), any::<u64>()), 1..20),
        aarch64 in any::<bool>(),
    ) {
        let architecture = if aarch64 { Architecture::Aarch64 } else { Architecture::X86_64 };
        let mut image = CodeImage::new(architecture);
        let mut model = Model::new();
        for ((id, change), base) in &changes {
            let before = image.size_bytes();
            if !apply(&mut image, &mut model, *id, change) {
                prop_assert_eq!(image.size_bytes(), before);
            }
            // Six functions of 80 bytes with four veneers each, and alignment.
            prop_assert!(image.size_bytes() <= 6 * (80 + 4 * 16 + 4096) + 4096);
            for base in [*base, base & !0xfff, base & 0xffff_f000] {
                if let Ok(bytes) = image.to_bytes(base) {
                    prop_assert_eq!(bytes.bytes().len() as u64, image.size_bytes());
                    check(&bytes, &model);
                }
            }
            if cfg!(not(miri)) && let Ok(generation) = image.commit() {
                prop_assert_eq!(generation.functions().count(), image.function_count());
            }
        }
    }
}
