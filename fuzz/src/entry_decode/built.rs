//! Rows that a fuzzer chooses -> an entry by `StencilBuilder` and `seal`, as a forger would make
//! it: refused by the rules that `open` has, or all rows come out as they were put in.

use super::bases::KEY;
use generate::choices::Choices;
use rand::{Rng, RngExt as _};
use stencil::compiled::{
    DebugBuilder, FieldKind, RelocationTarget, StencilDebugTag, StencilField, StencilFrameSlot,
    StencilHandler, StencilRelocation, StencilSlot, StencilSource, StencilTrap,
};
use stencil::entry::{self, EntryError};
use stencil::{
    CalleeIndex, CompiledStencil, EntryBytes, ExternalName, NumberIndex, SourceOrdinal,
    StencilBuilder,
};

/// More than this in a table would tell nothing new.
const ROWS_MAX: usize = 4;

/// What is put in.
struct Rows {
    code: Vec<u8>,
    alignment: u32,
    callees: u32,
    layout: u32,
    fields: Vec<(StencilField, u32)>,
    relocations: Vec<StencilRelocation>,
    traps: Vec<StencilTrap>,
    sources: Vec<StencilSource>,
    sites: Vec<(u32, u32, Vec<StencilHandler>)>,
    maps: Vec<(u32, u32, Vec<StencilSlot>)>,
    frame_slots: Vec<StencilFrameSlot>,
    tags: Vec<(u32, bool, Vec<StencilDebugTag>)>,
    frame_description: Vec<u8>,
}

/// The sealed entry, whose key is [`KEY`].
///
/// # Panics
///
/// If it is not opened as it was sealed.
pub fn sealed(choices: &[u8]) -> EntryBytes {
    let rows = Rows::new(&mut Choices::new(choices));
    let bytes = entry::seal(&KEY, &rows.builder()).expect("it is small");
    match entry::open(&KEY, &bytes) {
        Ok(stencil) => {
            assert!(rows.keep_the_rules(), "it should be refused: {bytes:02x?}");
            rows.check(&stencil);
        }
        Err(EntryError::Malformed { .. }) => {
            assert!(!rows.keep_the_rules(), "it should be opened: {bytes:02x?}");
        }
        Err(error) => panic!("what was sealed has a whole seal: {error}"),
    }
    bytes
}

/// Small ones, and those around the limits of their widths.
fn number(rng: &mut dyn Rng) -> u32 {
    match rng.random_range(0..8_u8) {
        0 => u32::MAX,
        1 => rng.random(),
        2 => 127,
        3 => 128,
        _ => rng.random_range(0..70),
    }
}

fn many<T>(rng: &mut dyn Rng, mut one: impl FnMut(&mut dyn Rng) -> T) -> Vec<T> {
    (0..rng.random_range(0..=ROWS_MAX)).map(|_| one(rng)).collect()
}

/// As [`many`], in ascending order of offset.
fn ascending<T>(rng: &mut dyn Rng, mut one: impl FnMut(&mut dyn Rng, u32) -> T) -> Vec<T> {
    let mut offset = 0_u32;
    many(rng, |rng| {
        offset = offset.saturating_add(number(rng));
        one(rng, offset)
    })
}

fn target(rng: &mut dyn Rng) -> RelocationTarget {
    match rng.random_range(0..5_u8) {
        0 => RelocationTarget::Callee(CalleeIndex(number(rng))),
        1 => RelocationTarget::Fixed(ExternalName { namespace: number(rng), index: number(rng) }),
        2 => RelocationTarget::LibCall(number(rng)),
        3 => RelocationTarget::KnownSymbol(number(rng)),
        _ => RelocationTarget::FunctionOffset(number(rng)),
    }
}

/// Fields of the code, some of which overlap.
fn fields(rng: &mut dyn Rng, code_len: u32) -> Vec<(StencilField, u32)> {
    let mut fields = ascending(rng, |rng, offset| {
        let kind = if rng.random_bool(0.5) { FieldKind::Byte } else { FieldKind::Word };
        (StencilField { offset, kind, number: NumberIndex(number(rng)) }, number(rng))
    });
    fields.retain(|(field, _)| {
        field.offset.checked_add(field.kind.width()).is_some_and(|end| end <= code_len)
    });
    fields
}

fn handler(rng: &mut dyn Rng) -> StencilHandler {
    match rng.random_range(0..4_u8) {
        0 => StencilHandler::Tag { tag: number(rng), offset: number(rng) },
        1 => StencilHandler::Default { offset: number(rng) },
        2 => StencilHandler::Context(number(rng)),
        _ => StencilHandler::ContextInRegister(rng.random()),
    }
}

fn tag(rng: &mut dyn Rng) -> StencilDebugTag {
    if rng.random_bool(0.5) {
        StencilDebugTag::User(number(rng))
    } else {
        StencilDebugTag::StackSlot(number(rng))
    }
}

impl Rows {
    fn new(rng: &mut dyn Rng) -> Self {
        let code_len: u32 = rng.random_range(0..300);
        Self {
            code: (0..code_len).map(|at| at as u8).collect(),
            alignment: 1 << rng.random_range(0..18),
            callees: number(rng),
            layout: number(rng),
            fields: fields(rng, code_len),
            relocations: ascending(rng, |rng, offset| StencilRelocation {
                offset,
                kind: rng.random(),
                addend: rng.random(),
                target: target(rng),
            }),
            traps: ascending(rng, |rng, offset| StencilTrap { offset, code: rng.random() }),
            sources: ascending(rng, |rng, offset| StencilSource {
                offset,
                ordinal: rng.random_bool(0.8).then(|| SourceOrdinal(number(rng))),
            }),
            sites: ascending(rng, |rng, offset| (offset, number(rng), many(rng, handler))),
            maps: ascending(rng, |rng, offset| {
                let slot =
                    |rng: &mut dyn Rng| StencilSlot { ty: rng.random(), offset: number(rng) };
                (offset, number(rng), many(rng, slot))
            }),
            frame_slots: many(rng, |rng| StencilFrameSlot {
                offset: number(rng),
                key: rng.random_bool(0.5).then(|| rng.random()),
            }),
            tags: ascending(rng, |rng, offset| (offset, rng.random_bool(0.5), many(rng, tag))),
            frame_description: vec![7; rng.random_range(0..40)],
        }
    }

    fn builder(&self) -> StencilBuilder {
        let mut stencil = StencilBuilder::new(self.code.clone(), self.alignment, self.callees, 99);
        stencil.number_count(self.layout);
        self.fields.iter().for_each(|(field, addend)| stencil.field(*field, *addend));
        self.relocations.iter().for_each(|row| stencil.relocation(*row));
        self.traps.iter().for_each(|row| stencil.trap(*row));
        self.sources.iter().for_each(|row| stencil.source(*row));
        for (offset, frame, handlers) in &self.sites {
            stencil.call_site(*offset, *frame, handlers);
        }
        for (offset, frame, slots) in &self.maps {
            stencil.stack_map(*offset, *frame, slots);
        }
        stencil.unwind_systemv(self.frame_description.clone());
        let mut debug = DebugBuilder::default();
        self.frame_slots.iter().for_each(|row| debug.frame_slot(*row));
        for (offset, starts, tags) in &self.tags {
            debug.tags(*offset, *starts, tags);
        }
        stencil.debug(&debug);
        stencil
    }

    /// What `open` asks of an entry: an alignment, fields of its layout that do not
    /// overlap, relocations in the code and of its callees, a frame description of some length.
    fn keep_the_rules(&self) -> bool {
        let code_len = self.code.len() as u64;
        let fits = |row: &StencilRelocation| {
            u64::from(row.offset) + 4 <= code_len
                && match row.target {
                    RelocationTarget::Callee(callee) => callee.0 < self.callees,
                    RelocationTarget::FunctionOffset(offset) => u64::from(offset) <= code_len,
                    _ => true,
                }
        };
        let mut end = 0;
        let follows = |(field, _): &(StencilField, u32)| {
            let follows = field.offset >= end && field.number.0 < self.layout;
            end = field.offset + field.kind.width();
            follows
        };
        self.alignment <= 1 << 16
            && self.fields.iter().all(follows)
            && self.relocations.iter().all(fits)
            && self.frame_description.len() >= 16
    }

    fn check(&self, found: &CompiledStencil<'_>) {
        assert!(found.fields().eq(self.fields.iter().map(|(field, _)| *field)));
        assert_eq!(found.number_count(), self.layout);
        let mut code = self.code.clone();
        for (field, addend) in &self.fields {
            let (at, width) = (field.offset as usize, field.kind.width() as usize);
            code[at..at + width].copy_from_slice(&addend.to_le_bytes()[..width]);
        }
        assert_eq!(found.code(), code);
        assert_eq!((found.alignment(), found.callee_count()), (self.alignment, self.callees));
        assert_eq!(found.relocations().collect::<Vec<_>>(), self.relocations);
        assert_eq!(found.traps().collect::<Vec<_>>(), self.traps);
        assert_eq!(found.sources().collect::<Vec<_>>(), self.sources);
        let sites = found.call_sites().map(|site| {
            (site.return_offset, site.frame_offset, site.handlers().collect::<Vec<_>>())
        });
        assert_eq!(sites.collect::<Vec<_>>(), self.sites);
        let maps = found
            .stack_maps()
            .map(|map| (map.offset, map.frame_size, map.slots().collect::<Vec<_>>()));
        assert_eq!(maps.collect::<Vec<_>>(), self.maps);
        let code_len = self.code.len() as u32;
        let sound = self.frame_slots.iter().all(|slot| slot.offset < 1 << 28)
            && self.tags.iter().all(|(offset, ..)| *offset <= code_len);
        let Some(debug) = found.debug() else {
            assert!(!sound, "tables of debuggers are lost");
            return;
        };
        assert!(sound, "tables of debuggers out of their bounds");
        assert_eq!(debug.frame_slots().collect::<Vec<_>>(), self.frame_slots);
        let tags = debug.tags().map(|row| (row.offset, row.starts, row.tags().collect::<Vec<_>>()));
        assert_eq!(tags.collect::<Vec<_>>(), self.tags);
    }
}
