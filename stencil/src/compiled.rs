//! The compiled half of a stencil: machine code and its tables, before any
//! parameter is applied.
//!
//! [`StencilBuilder`] takes them in while a function is compiled;
//! [`CompiledStencil`] reads them where they lie, in the bytes of an entry.
//! Every table is a string of LEB128 numbers (see [`crate::packed`]), offsets as
//! distances from the one before.
//!
//! Invariants:
//! - a `CompiledStencil` exists only with relocations and fields that
//!   [`crate::entry::open`] has walked from end to end;
//! - the other tables are walked by whoever uses their numbers as places
//!   ([`CompiledStencil::tables_are_sound`]): damage does not pass the checksum,
//!   and a forger can seal well-formed lies as well. No iterator panics or
//!   allocates, whatever it meets.

mod builder;
mod debug;
mod rows;

use crate::packed::unzigzag;
use crate::parameters::{CalleeIndex, ExternalName, NumberIndex, SourceOrdinal};
use bincode::{BorrowDecode, Encode};
pub use builder::StencilBuilder;
pub use debug::{
    DebugBuilder, StencilDebug, StencilDebugTag, StencilDebugTags, StencilFrameSlot,
    StencilPatchableCall, StencilValueLabel, StencilValueRange,
};
use rows::{
    take_call_site, take_field, take_handler, take_relocation, take_slot, take_source,
    take_stack_map, take_trap,
};
use std::cell::Cell;

/// Whom a relocation of a stencil refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelocationTarget {
    /// One of the callees of the parameters.
    Callee(CalleeIndex),
    /// A function whose name is the same in every module of one configuration,
    /// such as a runtime builtin's trampoline.
    Fixed(ExternalName),
    /// One of Cranelift's library calls, by its place in their list.
    LibCall(u32),
    /// One of Cranelift's well-known symbols, by its place in their list.
    KnownSymbol(u32),
    /// A byte offset in the function itself.
    FunctionOffset(u32),
}

/// A place in the code that names another function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilRelocation {
    /// Byte offset in the code.
    pub offset: u32,
    /// Which kind of relocation, in the numbering of the compiler's side.
    pub kind: u8,
    /// Added to the target's address.
    pub addend: i64,
    /// Who is named.
    pub target: RelocationTarget,
}

/// How a field of the code holds a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKind {
    /// One byte, for numbers below 128.
    Byte,
    /// Four bytes, little-endian, for numbers below 2^31.
    Word,
}

impl FieldKind {
    /// The field's size in bytes.
    pub const fn width(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Word => 4,
        }
    }

    /// The numbers that the field can hold are those below this.
    pub const fn limit(self) -> u32 {
        match self {
            Self::Byte => 1 << 7,
            Self::Word => 1 << 31,
        }
    }

    /// What the field at a byte offset of the code holds; `None` outside of the code.
    pub fn read(self, code: &[u8], offset: u32) -> Option<u32> {
        let code = code.get(offset as usize..)?;
        match self {
            Self::Byte => code.first().copied().map(u32::from),
            Self::Word => code.first_chunk().copied().map(u32::from_le_bytes),
        }
    }

    /// Has the field at a byte offset hold a number.
    ///
    /// # Panics
    ///
    /// If the field does not lie in the code.
    pub fn write(self, code: &mut [u8], offset: u32, number: u32) {
        let at = offset as usize;
        match self {
            Self::Byte => code[at] = number as u8,
            Self::Word => code[at..at + 4].copy_from_slice(&number.to_le_bytes()),
        }
    }
}

/// A field of the code that holds one of the parameters' numbers, plus what the entry
/// has in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilField {
    /// Byte offset in the code.
    pub offset: u32,
    /// How it is held.
    pub kind: FieldKind,
    /// Which number.
    pub number: NumberIndex,
}

/// An instruction that may trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilTrap {
    /// Byte offset in the code.
    pub offset: u32,
    /// The trap's code, in the numbering of the compiler's side.
    pub code: u8,
}

/// Where a run of instructions comes from; it ends where the next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilSource {
    /// Byte offset in the code.
    pub offset: u32,
    /// The operator, or `None` for code that belongs to none.
    pub ordinal: Option<SourceOrdinal>,
}

/// One item of a call site's list of handlers, which is read from the start;
/// the first handler that fits is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StencilHandler {
    /// Catches one tag.
    Tag {
        /// The exception's tag.
        tag: u32,
        /// Byte offset of the handler in the code.
        offset: u32,
    },
    /// Catches all.
    Default {
        /// Byte offset of the handler in the code.
        offset: u32,
    },
    /// The tags behind it are those of the dynamic context at this offset from
    /// the stack pointer, in bytes.
    Context(u32),
    /// The same, with the context in this register.
    ContextInRegister(u8),
}

impl StencilHandler {
    /// Where the handler's code starts; none for a context.
    pub fn offset(self) -> Option<u32> {
        match self {
            Self::Tag { offset, .. } | Self::Default { offset } => Some(offset),
            Self::Context(_) | Self::ContextInRegister(_) => None,
        }
    }
}

/// A call as the unwinder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilCallSite<'a> {
    /// Byte offset of the return address in the code.
    pub return_offset: u32,
    /// Distance from the stack pointer up to the frame pointer; `u32::MAX` for
    /// none.
    pub frame_offset: u32,
    handlers: Table<'a>,
}

impl<'a> StencilCallSite<'a> {
    /// The handlers and contexts, in the order in which they are read.
    pub fn handlers(&self) -> impl Iterator<Item = StencilHandler> + use<'a> {
        self.handlers.rows(take_handler)
    }
}

/// A stack slot that holds a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilSlot {
    /// The reference's type, in Cranelift's numbering.
    pub ty: u16,
    /// Offset from the stack pointer in bytes.
    pub offset: u32,
}

/// The stack slots that hold references at one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilStackMap<'a> {
    /// Byte offset in the code.
    pub offset: u32,
    /// The frame's size in bytes.
    pub frame_size: u32,
    slots: Table<'a>,
}

impl<'a> StencilStackMap<'a> {
    /// The slots.
    pub fn slots(&self) -> impl Iterator<Item = StencilSlot> + use<'a> {
        self.slots.rows(take_slot)
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> u32 {
        self.slots.count
    }
}

/// How the unwinder steps over the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unwind<'a> {
    /// It cannot.
    None,
    /// A DWARF frame description entry for `.eh_frame`, with zeros in place of
    /// the two fields that depend on where it lies (CIE pointer and
    /// `pc_begin`).
    SystemV(&'a [u8]),
    /// Cranelift's own description, of whatever platform, in the encoding of
    /// `clif::finalized`.
    Cranelift(&'a [u8]),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Table<'a> {
    pub(crate) count: u32,
    pub(crate) bytes: &'a [u8],
}

/// The metadata of an entry as bincode keeps it: fixed-width little-endian
/// integers, each table's bytes preceded by their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Metadata<'a> {
    pub(crate) alignment: u32,
    pub(crate) needs_gc_heap: bool,
    pub(crate) callee_count: u32,
    pub(crate) source_count: u32,
    /// How many numbers the parameters must have.
    pub(crate) number_count: u32,
    pub(crate) relocations: Table<'a>,
    pub(crate) fields: Table<'a>,
    pub(crate) traps: Table<'a>,
    pub(crate) sources: Table<'a>,
    pub(crate) call_sites: Table<'a>,
    pub(crate) stack_maps: Table<'a>,
    pub(crate) unwind_kind: u8,
    pub(crate) unwind: &'a [u8],
    /// How many stack slots the parameters must have.
    pub(crate) slot_count: u32,
    /// See [`CompiledStencil::is_marker`].
    pub(crate) marker: bool,
    /// The tables of [`debug`], which are read when they are asked for: only functions of
    /// Cranelift's other front ends have any.
    pub(crate) debug: &'a [u8],
}

/// No frame is larger; a stack map is as long as the highest slot in it.
pub(crate) const FRAME_BYTES_MAX: u32 = 1 << 28;

pub(crate) const UNWIND_NONE: u8 = 0;
pub(crate) const UNWIND_SYSTEMV: u8 = 1;
pub(crate) const UNWIND_CRANELIFT: u8 = 2;

/// Machine code and tables of one stencil, read where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompiledStencil<'a> {
    pub(crate) code: &'a [u8],
    pub(crate) metadata: Metadata<'a>,
}

impl<'a> CompiledStencil<'a> {
    /// The machine code; unresolved places hold what the compiler left there.
    pub fn code(&self) -> &'a [u8] {
        self.code
    }

    /// The code's alignment in bytes, a power of two.
    pub fn alignment(&self) -> u32 {
        self.metadata.alignment
    }

    /// Whether running the code needs a garbage-collected heap.
    pub fn needs_gc_heap(&self) -> bool {
        self.metadata.needs_gc_heap
    }

    /// How many callees the parameters must have.
    pub fn callee_count(&self) -> u32 {
        self.metadata.callee_count
    }

    /// How many source locations the parameters must have.
    pub fn source_count(&self) -> u32 {
        self.metadata.source_count
    }

    /// How many numbers the parameters must have.
    pub fn number_count(&self) -> u32 {
        self.metadata.number_count
    }

    /// The fields that hold numbers of the parameters, in ascending order of offset,
    /// none overlapping another.
    pub fn fields(&self) -> impl Iterator<Item = StencilField> + use<'a> {
        let mut offset = 0;
        self.metadata.fields.rows(move |bytes| take_field(bytes, &mut offset))
    }

    /// How many fields there are.
    pub fn field_count(&self) -> u32 {
        self.metadata.fields.count
    }

    /// The relocations, in ascending order of offset.
    pub fn relocations(&self) -> impl Iterator<Item = StencilRelocation> + use<'a> {
        let mut offset = 0;
        self.metadata.relocations.rows(move |bytes| take_relocation(bytes, &mut offset))
    }

    /// The traps, in ascending order of offset.
    pub fn traps(&self) -> impl Iterator<Item = StencilTrap> + use<'a> {
        let mut offset = 0;
        self.metadata.traps.rows(move |bytes| take_trap(bytes, &mut offset))
    }

    /// How many traps there are.
    pub fn trap_count(&self) -> u32 {
        self.metadata.traps.count
    }

    /// The source map, in ascending order of offset.
    pub fn sources(&self) -> impl Iterator<Item = StencilSource> + use<'a> {
        let (mut offset, mut ordinal) = (0, 0);
        self.metadata.sources.rows(move |bytes| take_source(bytes, &mut offset, &mut ordinal))
    }

    /// How many entries the source map has.
    pub fn mapped_count(&self) -> u32 {
        self.metadata.sources.count
    }

    /// The calls that the unwinder has to know, in ascending order of return
    /// address.
    pub fn call_sites(&self) -> impl Iterator<Item = StencilCallSite<'a>> + use<'a> {
        let mut offset = 0;
        self.metadata.call_sites.rows(move |bytes| take_call_site(bytes, &mut offset))
    }

    /// The stack maps, in ascending order of offset.
    pub fn stack_maps(&self) -> impl Iterator<Item = StencilStackMap<'a>> + use<'a> {
        let mut offset = 0;
        self.metadata.stack_maps.rows(move |bytes| take_stack_map(bytes, &mut offset))
    }

    /// How the unwinder steps over the function.
    pub fn unwind(&self) -> Unwind<'a> {
        match self.metadata.unwind_kind {
            UNWIND_SYSTEMV => Unwind::SystemV(self.metadata.unwind),
            UNWIND_CRANELIFT => Unwind::Cranelift(self.metadata.unwind),
            _ => Unwind::None,
        }
    }

    /// How many stack slots the parameters must have.
    pub fn slot_count(&self) -> u32 {
        self.metadata.slot_count
    }

    /// Whether this is no code, but a note: the stencil's code knows the numbers
    /// in a way that is not understood, and is kept for each of them by itself, under
    /// [`CacheKey::with_numbers`](crate::CacheKey::with_numbers).
    pub fn is_marker(&self) -> bool {
        self.metadata.marker
    }

    /// Whether the entry has tables for debuggers and instrumentation, sound or
    /// not, as those of Cranelift's other front ends have.
    #[cfg(feature = "codegen")]
    pub(crate) fn has_debug(&self) -> bool {
        !self.metadata.debug.is_empty()
    }

    /// Tables for debuggers and instrumentation, if there are any. They are
    /// checked here, not when the entry is opened; such as no [`DebugBuilder`]
    /// makes, which only a forger can have sealed, are none.
    pub fn debug(&self) -> Option<StencilDebug<'a>> {
        StencilDebug::read(self.metadata.debug, self.code.len())
    }

    /// What an entry's bytes say, if its relocations and fields, without which no
    /// code can be placed, are what [`StencilBuilder`] writes.
    pub(crate) fn read(code: &'a [u8], metadata: Metadata<'a>) -> Option<Self> {
        let code_len = u32::try_from(code.len()).ok()?;
        if metadata.marker && !code.is_empty() {
            return None;
        }
        if !metadata.alignment.is_power_of_two() || metadata.alignment > 1 << 16 {
            return None;
        }
        let fits = |relocation: StencilRelocation| {
            let target_fits = match relocation.target {
                RelocationTarget::Callee(CalleeIndex(callee)) => callee < metadata.callee_count,
                RelocationTarget::FunctionOffset(offset) => offset <= code_len,
                _ => true,
            };
            target_fits && relocation.offset.checked_add(4).is_some_and(|end| end <= code_len)
        };
        let mut offset = 0;
        metadata.relocations.all(|bytes| take_relocation(bytes, &mut offset), fits)?;
        let mut offset = 0;
        let end = Cell::new(0);
        let fits = |field: StencilField| {
            let NumberIndex(number) = field.number;
            let follows = field.offset >= end.get();
            end.set(field.offset.saturating_add(field.kind.width()));
            follows && number < metadata.number_count && end.get() <= code_len
        };
        metadata.fields.all(|bytes| take_field(bytes, &mut offset), fits)?;
        match metadata.unwind_kind {
            UNWIND_NONE if metadata.unwind.is_empty() => {}
            UNWIND_SYSTEMV if metadata.unwind.len() >= 16 => {}
            UNWIND_CRANELIFT => {}
            _ => return None,
        }
        Some(Self { code, metadata })
    }

    /// Walks the tables that opening an entry leaves alone: traps, source map,
    /// call sites and stack maps. False if any of them is not what
    /// [`StencilBuilder`] writes: too short, too long, out of order, out of the
    /// code's or the parameters' bounds.
    ///
    /// Only a forger can have sealed such a table. For those who use its numbers
    /// as places in memory; an iterator over it ends at its first bad row.
    pub fn tables_are_sound(&self) -> bool {
        self.walk_tables().is_some()
    }

    fn walk_tables(&self) -> Option<()> {
        let Self { code, metadata } = self;
        let code_len = u32::try_from(code.len()).ok()?;
        let mut offset = 0;
        metadata
            .traps
            .all(|bytes| take_trap(bytes, &mut offset), |trap| trap.offset <= code_len)?;
        walk_sources(metadata.sources, code_len, metadata.source_count)?;
        let mut offset = 0;
        metadata.call_sites.all(
            |bytes| take_call_site(bytes, &mut offset),
            |site| {
                let mut handlers = site.handlers().filter_map(StencilHandler::offset);
                site.return_offset <= code_len && handlers.all(|offset| offset <= code_len)
            },
        )?;
        let mut offset = 0;
        metadata.stack_maps.all(
            |bytes| take_stack_map(bytes, &mut offset),
            |map| map.offset < code_len && map.slots().all(|slot| slot.offset < FRAME_BYTES_MAX),
        )
    }
}

/// The longest table of most entries. Offsets ascend, so the last one is the
/// highest.
fn walk_sources(sources: Table<'_>, code_len: u32, source_count: u32) -> Option<()> {
    let Table { count, mut bytes } = sources;
    let (mut offset, mut ordinal, mut highest) = (0u32, 0u32, -1);
    for _ in 0..count {
        // Nearly all rows are of two small numbers.
        if let [step @ ..0x80, distance @ ..0x80, rest @ ..] = bytes
            && step & 1 == 0
        {
            bytes = rest;
            offset = offset.checked_add(u32::from(step >> 1))?;
            ordinal = ordinal.wrapping_add_signed(unzigzag(u64::from(*distance)) as i32);
            highest = highest.max(i64::from(ordinal));
        } else if take_source(&mut bytes, &mut offset, &mut ordinal)?.ordinal.is_some() {
            highest = highest.max(i64::from(ordinal));
        }
    }
    let bounded = offset <= code_len && highest < i64::from(source_count);
    (bytes.is_empty() && bounded).then_some(())
}
