//! An entry is what was sealed, or it is refused: sealed entries are opened,
//! damaged in every way, and held against frozen ones of every format.

use oracle::seal::renew_checksum;
use std::path::{Path, PathBuf};
use stencil::compiled::{
    DebugBuilder, FieldKind, RelocationTarget, StencilDebug, StencilDebugTag, StencilField,
    StencilFrameSlot, StencilHandler, StencilPatchableCall, StencilRelocation, StencilSlot,
    StencilSource, StencilTrap, StencilValueRange, Unwind,
};
use stencil::entry::{self, EntryError, HEADER_LEN};
use stencil::finalize::{FinalTarget, finalize};
use stencil::{
    CacheKey, CalleeIndex, EntryBytes, ExternalName, FunctionParameters, NumberIndex,
    SourceLocations, SourceOrdinal, StencilBuilder,
};

const KEY: CacheKey = CacheKey::from_bytes([0x5a; CacheKey::LEN]);
const OTHER_KEY: CacheKey = CacheKey::from_bytes([0xa5; CacheKey::LEN]);

const HANDLERS: [StencilHandler; 4] = [
    StencilHandler::Context(16),
    StencilHandler::Tag { tag: 1, offset: 99 },
    StencilHandler::ContextInRegister(3),
    StencilHandler::Default { offset: 120 },
];
const SLOTS: [StencilSlot; 2] =
    [StencilSlot { ty: 0x77, offset: 8 }, StencilSlot { ty: 0x76, offset: 24 }];
const RANGES: [StencilValueRange; 2] = [
    StencilValueRange { start: 3, end: 9, register: Some(8), frame_offset: 0 },
    StencilValueRange { start: 9, end: 200, register: None, frame_offset: -24 },
];

/// The fields of [`full`], each with what it adds to its parameter.
const FIELDS: [(StencilField, u32); 3] = [
    (StencilField { offset: 60, kind: FieldKind::Byte, number: NumberIndex(1) }, 8),
    (StencilField { offset: 61, kind: FieldKind::Word, number: NumberIndex(0) }, 0),
    (StencilField { offset: 196, kind: FieldKind::Word, number: NumberIndex(0) }, 16),
];
/// The numbers for them, of which the last one is for no field.
const LAYOUT: [u32; 3] = [0x0102_0304, 119, 5];

fn debug() -> DebugBuilder {
    let mut debug = DebugBuilder::default();
    debug.frame_pointer(48);
    debug.frame_slot(StencilFrameSlot { offset: 0, key: None });
    debug.frame_slot(StencilFrameSlot { offset: 16, key: Some(u64::MAX) });
    debug.tags(44, false, &[StencilDebugTag::User(7), StencilDebugTag::StackSlot(1)]);
    debug.tags(44, true, &[StencilDebugTag::User(8)]);
    debug.patchable_call(StencilPatchableCall { return_offset: 44, len: 5 });
    debug.no_op(&[0x90]);
    debug.no_op(&[0x66, 0x90]);
    debug.value_label(2, &RANGES);
    debug.block_start(0);
    debug.block_start(99);
    debug.block_edge(0, 99);
    debug
}

/// One with something in every table.
fn full() -> StencilBuilder {
    let mut stencil = StencilBuilder::new((0..200).collect(), 16, 2, 9);
    stencil.needs_gc_heap(true);
    stencil.number_count(LAYOUT.len() as u32);
    for (field, addend) in FIELDS {
        stencil.field(field, addend);
    }
    let fixed = RelocationTarget::Fixed(ExternalName { namespace: 7, index: 70_000 });
    for (offset, target) in [
        (3, RelocationTarget::Callee(CalleeIndex(1))),
        (40, RelocationTarget::Callee(CalleeIndex(0))),
        (150, fixed),
        (160, RelocationTarget::LibCall(3)),
        (170, RelocationTarget::KnownSymbol(1)),
        (180, RelocationTarget::FunctionOffset(64)),
    ] {
        stencil.relocation(StencilRelocation { offset, kind: 2, addend: -4, target });
    }
    stencil.trap(StencilTrap { offset: 10, code: 1 });
    stencil.trap(StencilTrap { offset: 11, code: 200 });
    for (offset, ordinal) in [(0, Some(0)), (8, Some(8)), (20, None), (30, Some(3))] {
        stencil.source(StencilSource { offset, ordinal: ordinal.map(SourceOrdinal) });
    }
    stencil.call_site(44, u32::MAX, &HANDLERS);
    stencil.stack_map(44, 64, &SLOTS);
    stencil.unwind_systemv(vec![0; 40]);
    stencil.debug(&debug());
    stencil
}

fn parameters() -> FunctionParameters {
    let mut parameters = FunctionParameters::default();
    parameters.numbers = LAYOUT.to_vec();
    parameters.callees.push(ExternalName { namespace: 1, index: 10 });
    parameters.callees.push(ExternalName { namespace: 1, index: 11 });
    let mut source = SourceLocations::starting_at(1000, 100);
    for offset in [1001, 1003, 1004, 1010, 1300, 1301, 1302, 1303] {
        source.push(offset);
    }
    parameters.source = source;
    parameters
}

fn sealed() -> EntryBytes {
    entry::seal(&KEY, &full()).unwrap()
}

/// Everything that `full` has put in comes out.
#[track_caller]
fn check_full(bytes: &[u8]) {
    let stencil = entry::open(&KEY, bytes).unwrap();
    let mut code: Vec<u8> = (0..200).collect();
    code[60..65].copy_from_slice(&[8, 0, 0, 0, 0]);
    code[196..].copy_from_slice(&[16, 0, 0, 0]);
    assert_eq!(stencil.code(), code);
    assert!(stencil.fields().eq(FIELDS.map(|(field, _)| field)));
    assert_eq!((stencil.alignment(), stencil.needs_gc_heap()), (16, true));
    assert_eq!((stencil.callee_count(), stencil.source_count()), (2, 9));
    assert_eq!(stencil.number_count(), 3);
    let relocations: Vec<_> = stencil.relocations().map(|r| (r.offset, r.kind, r.addend)).collect();
    assert_eq!(relocations, [3, 40, 150, 160, 170, 180].map(|offset| (offset, 2, -4)));
    let traps: Vec<_> = stencil.traps().map(|trap| (trap.offset, trap.code)).collect();
    assert_eq!(traps, [(10, 1), (11, 200)]);
    let sites: Vec<_> = stencil.call_sites().collect();
    assert_eq!(sites.len(), 1);
    assert_eq!(sites[0].handlers().collect::<Vec<_>>(), HANDLERS);
    let maps: Vec<Vec<_>> = stencil.stack_maps().map(|map| map.slots().collect()).collect();
    assert_eq!(maps, [SLOTS]);
    assert_eq!(stencil.unwind(), Unwind::SystemV(&[0; 40]));
    check_debug(&stencil.debug().unwrap());

    let parameters = parameters();
    let function = finalize(stencil, &parameters).unwrap();
    code[60..65].copy_from_slice(&[127, 4, 3, 2, 1]);
    code[196..].copy_from_slice(&[0x14, 3, 2, 1]);
    assert_eq!(*function.final_code(), code);
    let targets: Vec<_> = function.relocations().map(|r| r.target).collect();
    let name = |namespace, index| FinalTarget::Name(ExternalName { namespace, index });
    let others =
        [FinalTarget::LibCall(3), FinalTarget::KnownSymbol(1), FinalTarget::FunctionOffset(64)];
    assert_eq!(targets[..3], [name(1, 11), name(1, 10), name(7, 70_000)]);
    assert_eq!(targets[3..], others);
    let sources: Vec<_> = function.sources(&mut Vec::new()).collect();
    assert_eq!(sources, [(0, Some(1000)), (8, Some(1303)), (20, None), (30, Some(1004))]);
}

#[track_caller]
fn check_debug(debug: &StencilDebug<'_>) {
    assert_eq!(debug.frame_pointer(), Some(48));
    let slots: Vec<_> = debug.frame_slots().map(|slot| (slot.offset, slot.key)).collect();
    assert_eq!(slots, [(0, None), (16, Some(u64::MAX))]);
    let tags: Vec<_> = debug.tags().map(|list| (list.starts, list.tags().count())).collect();
    assert_eq!(tags, [(false, 2), (true, 1)]);
    let calls: Vec<_> =
        debug.patchable_calls().map(|call| (call.return_offset, call.len)).collect();
    assert_eq!(calls, [(44, 5)]);
    assert_eq!(debug.no_ops().map(<[u8]>::len).collect::<Vec<_>>(), [1, 2]);
    let labels: Vec<Vec<_>> = debug.value_labels().map(|label| label.ranges().collect()).collect();
    assert_eq!(labels, [RANGES.to_vec()]);
    assert_eq!(debug.block_starts().collect::<Vec<_>>(), [0, 99]);
    assert_eq!(debug.block_edges().collect::<Vec<_>>(), [(0, 99)]);
}

#[test]
fn what_was_sealed_is_opened() {
    check_full(&sealed());
}

#[test]
fn the_same_stencil_makes_the_same_bytes() {
    assert_eq!(sealed(), sealed());
}

#[test]
fn every_changed_bit_is_found() {
    let sound = sealed();
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut damaged = sound.to_vec();
            damaged[at] ^= 1 << bit;
            let error = entry::open(&KEY, &damaged).unwrap_err();
            let expected = match at {
                0..4 => matches!(error, EntryError::Magic { .. }),
                4..8 => matches!(error, EntryError::Version { .. }),
                // The checksum comes before the key echo is believed.
                8..56 => matches!(error, EntryError::Checksum { .. }),
                56..64 => matches!(error, EntryError::Length { .. }),
                _ => matches!(error, EntryError::Checksum { .. }),
            };
            assert!(expected, "byte {at}: {error}");
        }
    }
}

#[test]
fn every_other_length_is_found() {
    let sound = sealed();
    for len in 0..sound.len() {
        assert!(entry::open(&KEY, &sound[..len]).is_err(), "length {len}");
    }
    let mut longer = sound.to_vec();
    longer.push(0);
    assert!(matches!(entry::open(&KEY, &longer), Err(EntryError::Length { .. })));
}

#[test]
fn a_sound_entry_of_another_key_is_refused() {
    let error = entry::open(&OTHER_KEY, &sealed()).unwrap_err();
    assert_eq!(error, EntryError::KeyMismatch { expected: OTHER_KEY, got: KEY });
    assert_eq!(entry::key_of(&sealed()), Ok(KEY));
    assert!(entry::verify(&KEY, &sealed()).is_ok());
}

#[test]
fn parameters_of_another_function_are_refused() {
    let bytes = sealed();
    let stencil = entry::open(&KEY, &bytes).unwrap();
    let mut fewer = parameters();
    fewer.callees.pop();
    let error = finalize(stencil, &fewer).unwrap_err();
    assert_eq!((error.stencil_callees, error.callees), (2, 1));
    let mut shorter = parameters();
    shorter.source = SourceLocations::starting_at(1000, 1);
    assert!(finalize(stencil, &shorter).is_err());
    let mut fewer = parameters();
    fewer.numbers.pop();
    assert!(finalize(stencil, &fewer).is_err());
}

/// A field cannot hold every number: 8 more than 119 is the most for a byte.
#[test]
fn numbers_that_do_not_fit_their_fields_are_refused() {
    let bytes = sealed();
    let stencil = entry::open(&KEY, &bytes).unwrap();
    for (at, number, fits) in
        [(1, 0, true), (1, 120, false), (0, 0x7fff_ffef, true), (0, 0x7fff_fff0, false)]
    {
        let mut parameters = parameters();
        parameters.numbers[at] = number;
        assert_eq!(finalize(stencil, &parameters).is_ok(), fits, "{at}: {number}");
    }
}

#[test]
fn a_marker_is_no_code() {
    let marker = entry::seal(&KEY, &StencilBuilder::marker()).unwrap();
    assert!(entry::is_marker(&KEY, &marker));
    assert!(entry::open(&KEY, &marker).unwrap().is_marker());
    assert!(!entry::is_marker(&OTHER_KEY, &marker) && !entry::is_marker(&KEY, &sealed()));
    let empty = entry::seal(&KEY, &StencilBuilder::new(Vec::new(), 1, 0, 0)).unwrap();
    assert!(!entry::is_marker(&KEY, &empty));
}

/// Metadata that a forger has sealed again: whatever it holds, opening it
/// neither panics nor goes beyond it.
#[test]
fn forged_metadata_is_refused_or_harmless() {
    let sound = sealed();
    let metadata_at = HEADER_LEN + 200;
    let (mut refused, mut opened) = (0, 0);
    for at in metadata_at..sound.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, sound[at].wrapping_add(1)] {
            let mut forged = sound.to_vec();
            forged[at] = value;
            renew_checksum(&mut forged);
            match entry::open(&KEY, &forged) {
                Err(EntryError::Malformed { .. }) => refused += 1,
                Err(error) => panic!("byte {at} = {value}: {error}"),
                Ok(stencil) if !stencil.tables_are_sound() => {
                    refused += 1;
                    read_all(&stencil);
                }
                Ok(stencil) => {
                    opened += 1;
                    read_all(&stencil);
                    assert_eq!(stencil.traps().count(), stencil.trap_count() as usize);
                    assert_eq!(stencil.sources().count(), stencil.mapped_count() as usize);
                }
            }
        }
    }
    assert!(refused > 100 && opened > 0, "{refused} refused, {opened} opened");
}

fn read_all(stencil: &stencil::CompiledStencil<'_>) {
    assert!(stencil.traps().count() <= stencil.trap_count() as usize);
    assert!(stencil.sources().count() <= stencil.mapped_count() as usize);
    let size = stencil.code().len() as u32;
    let mut end = 0;
    for field in stencil.fields() {
        assert!(field.offset >= end && field.number.0 < stencil.number_count());
        end = field.offset + field.kind.width();
    }
    assert!(end <= size);
    for relocation in stencil.relocations() {
        if let RelocationTarget::Callee(callee) = relocation.target {
            assert!(callee.0 < stencil.callee_count());
        }
    }
    stencil.call_sites().for_each(|site| assert!(site.handlers().count() < 1000));
    stencil.stack_maps().for_each(|map| assert!(map.slots().count() <= map.slot_count() as usize));
    if let Some(debug) = stencil.debug() {
        debug.tags().for_each(|list| assert!(list.tags().count() < 1000));
        debug.value_labels().for_each(|label| assert!(label.ranges().count() < 1000));
        let rows = debug.frame_slots().count()
            + debug.patchable_calls().count()
            + debug.no_ops().count()
            + debug.block_starts().count()
            + debug.block_edges().count();
        assert!(rows < 1000);
    }
    assert!(size == 200);
}

fn frozen(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/entries").join(name)
}

/// What was sealed when this format was new is opened, and made, as it was then.
#[test]
fn the_frozen_entry_of_format_3_is_read_and_written() {
    let bytes = std::fs::read(frozen("format-3.entry")).unwrap();
    check_full(&bytes);
    assert!(bytes == sealed(), "the same stencil makes other bytes than it did");
}

#[test]
fn the_frozen_entries_of_formats_1_and_2_are_of_other_versions() {
    for (name, got) in [("format-1.entry", 1), ("format-2.entry", 2)] {
        let bytes = std::fs::read(frozen(name)).unwrap();
        assert_eq!(entry::open(&KEY, &bytes).unwrap_err(), EntryError::Version { got });
    }
}
