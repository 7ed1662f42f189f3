//! Entries and stencils of every kind, made once, for edits to start from; the same on every
//! machine.

use cranelift_codegen::isa::{OwnedTargetIsa, lookup_by_name};
use cranelift_codegen::settings::{self, Configurable as _};
use generate::clif::Generator;
use oracle::clif::{seal, split};
use oracle::seal::{metadata_at, reseal};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use std::path::Path;
use std::sync::OnceLock;
use stencil::compiled::{
    DebugBuilder, FieldKind, RelocationTarget, StencilDebugTag, StencilField, StencilFrameSlot,
    StencilHandler, StencilPatchableCall, StencilRelocation, StencilSlot, StencilSource,
    StencilTrap, StencilValueRange,
};
use stencil::entry::{self, HEADER_LEN};
use stencil::{
    CacheKey, CalleeIndex, EntryBytes, ExternalName, NumberIndex, SourceOrdinal, StencilBuilder,
};

/// The key of the frozen entries.
pub const KEY: CacheKey = CacheKey::from_bytes([0x5a; CacheKey::LEN]);

/// What edits start from.
pub struct Bases {
    /// Entries; the first one is the frozen one of this format.
    pub entries: Vec<Base>,
    /// The entries' bytes, each as one section.
    pub whole: Vec<Vec<u8>>,
    /// Stencils of functions.
    pub stencils: Vec<Vec<u8>>,
}

/// A sealed entry.
pub struct Base {
    /// Its key.
    pub key: CacheKey,
    /// Its bytes.
    pub bytes: EntryBytes,
    /// Its bytes in [`sections`]; none if it is of an older format.
    pub sections: Option<Vec<Vec<u8>>>,
}

impl Bases {
    /// The entry that was frozen when this format was new.
    pub fn frozen(&self) -> &Base {
        &self.entries[0]
    }
}

/// All of them.
pub fn bases() -> &'static Bases {
    static BASES: OnceLock<Bases> = OnceLock::new();
    BASES.get_or_init(|| {
        let frozen = |name: &str| {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/entries");
            let bytes = std::fs::read(directory.join(name)).expect("testdata has it");
            (KEY, EntryBytes::from(bytes))
        };
        let sealed = |builder| (KEY, entry::seal(&KEY, &builder).expect("it is small"));
        let mut entries =
            vec![frozen("format-3.entry"), frozen("format-2.entry"), frozen("format-1.entry")];
        entries.push(sealed(StencilBuilder::new(Vec::new(), 1, 0, 0)));
        entries.push(sealed(full()));
        let mut stencils = Vec::new();
        for (key, bytes, stencil) in compiled() {
            entries.push((key, bytes));
            stencils.push(stencil);
        }
        let entries: Vec<Base> = entries.into_iter().map(|(key, bytes)| base(key, bytes)).collect();
        let whole = entries.iter().map(|base| base.bytes.to_vec()).collect();
        Bases { entries, whole, stencils }
    })
}

fn base(key: CacheKey, bytes: EntryBytes) -> Base {
    let sections = entry::verify(&key, &bytes).ok().map(|()| sections(&bytes));
    if let Some(sections) = &sections {
        assert!(assemble(sections) == bytes, "metadata is kept in another way than drawn here");
    }
    Base { key, bytes, sections }
}

/// Small functions of Cranelift's, as keys, entries and stencils.
fn compiled() -> Vec<(CacheKey, EntryBytes, Vec<u8>)> {
    let isa = isa();
    let mut generator = Generator::new(&*isa);
    let program = |seed| generator.program(&mut SmallRng::seed_from_u64(seed), 4);
    let mut functions: Vec<_> = (0..12).flat_map(program).collect();
    functions.sort_by_key(|function| function.dfg.num_insts());
    let chosen = functions.iter().step_by(6);
    let compile = |function| {
        let split = split(&*isa, function);
        (split.key, seal(&*isa, &split), split.bytes)
    };
    chosen.map(compile).collect()
}

/// One that every build has, so that an input means the same everywhere.
fn isa() -> OwnedTargetIsa {
    let mut flags = settings::builder();
    for (name, value) in [("opt_level", "speed"), ("machine_code_cfg_info", "true")] {
        flags.set(name, value).expect("it is a flag");
    }
    let builder = lookup_by_name("aarch64-unknown-linux-gnu").expect("it is built in");
    builder.finish(settings::Flags::new(flags)).expect("the flags fit together")
}

/// One with several rows in every table.
fn full() -> StencilBuilder {
    let mut stencil = StencilBuilder::new((0..200).collect(), 16, 3, 5);
    stencil.number_count(2);
    for (offset, kind, layout) in [(50, FieldKind::Byte, 1), (60, FieldKind::Word, 0)] {
        stencil.field(StencilField { offset, kind, number: NumberIndex(layout) }, 8);
    }
    for (offset, target) in [
        (3, RelocationTarget::Callee(CalleeIndex(2))),
        (40, RelocationTarget::Fixed(ExternalName { namespace: 7, index: 70_000 })),
        (160, RelocationTarget::LibCall(3)),
        (170, RelocationTarget::KnownSymbol(1)),
        (180, RelocationTarget::FunctionOffset(64)),
    ] {
        stencil.relocation(StencilRelocation { offset, kind: 2, addend: -4, target });
    }
    for (offset, ordinal) in [(0, Some(0)), (8, Some(4)), (20, None), (30, Some(3))] {
        stencil.source(StencilSource { offset, ordinal: ordinal.map(SourceOrdinal) });
    }
    let tag = StencilHandler::Tag { tag: 1, offset: 99 };
    let handlers = [StencilHandler::Context(16), tag, StencilHandler::Default { offset: 120 }];
    for offset in [10, 44, 199] {
        stencil.trap(StencilTrap { offset, code: 1 });
        stencil.call_site(offset, 32, &handlers);
        stencil.stack_map(offset, 64, &[StencilSlot { ty: 0x77, offset: 8 }; 2]);
    }
    stencil.unwind_systemv(vec![0; 40]);
    stencil.debug(&debug());
    stencil
}

fn debug() -> DebugBuilder {
    let mut debug = DebugBuilder::default();
    debug.frame_pointer(48);
    let range = |register| StencilValueRange { start: 3, end: 90, register, frame_offset: -24 };
    for number in 0..3 {
        let key = (number > 0).then_some(u64::MAX);
        debug.frame_slot(StencilFrameSlot { offset: 16 * number, key });
        let tags = [StencilDebugTag::User(7), StencilDebugTag::StackSlot(number)];
        debug.tags(44 * number, number > 1, &tags);
        debug.patchable_call(StencilPatchableCall { return_offset: 44 * (number + 1), len: 5 });
        debug.no_op(&[0x90; 3][..1 + number as usize]);
        debug.value_label(number, &[range(Some(8)), range(None)]);
        debug.block_start(number);
        debug.block_edge(0, number);
    }
    debug
}

/// How the metadata lies: the length of each field, `None` for one that is
/// behind its own length, of 8 bytes. Alignment to the layout's count; six tables,
/// rows counted; unwinding; stack slots and marker; tables of debuggers.
const FIELDS: [Option<usize>; 17] = [
    Some(17),
    Some(4),
    None,
    Some(4),
    None,
    Some(4),
    None,
    Some(4),
    None,
    Some(4),
    None,
    Some(4),
    None,
    Some(1),
    None,
    Some(5),
    None,
];

/// Header, code and the fields of a sound entry.
fn sections(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (header, rest) = bytes.split_at(HEADER_LEN);
    let (code, mut metadata) = rest.split_at(metadata_at(bytes) - HEADER_LEN);
    let mut sections = vec![header.to_vec(), code.to_vec()];
    for field in FIELDS {
        let len = field.unwrap_or_else(|| {
            let (len, rest) = metadata.split_first_chunk().expect("it is sound");
            metadata = rest;
            u64::from_le_bytes(*len) as usize
        });
        let (field, rest) = metadata.split_at(len);
        metadata = rest;
        sections.push(field.to_vec());
    }
    sections
}

/// The reverse of [`sections`]; all lengths fit.
pub fn assemble(sections: &[Vec<u8>]) -> Vec<u8> {
    let [header, code, fields @ ..] = sections else { panic!("no entry has fewer sections") };
    let mut bytes = [&header[..], code].concat();
    for (field, len) in fields.iter().zip(FIELDS) {
        if len.is_none() {
            bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
        }
        bytes.extend_from_slice(field);
    }
    if header.len() == HEADER_LEN {
        reseal(HEADER_LEN + code.len(), &mut bytes);
    }
    bytes
}
