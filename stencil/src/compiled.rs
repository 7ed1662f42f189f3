//! The compiled half of a stencil: machine code and its tables, before any
//! parameter is applied.
//!
//! [`StencilBuilder`] takes them in while a function is compiled;
//! [`CompiledStencil`] reads them where they lie, in the bytes of an entry.
//! Every table is a string of LEB128 numbers (see [`crate::packed`]), offsets as
//! distances from the one before.
//!
//! Invariant: a `CompiledStencil` exists only for tables that were walked from
//! end to end by [`crate::entry::open`]; its iterators cannot meet bad bytes.

use crate::packed::{put_sleb, put_uleb, take_sleb, take_u8, take_uleb, take_uleb32};
use crate::parameters::{CalleeIndex, ExternalName, SourceOrdinal};
use bincode::{BorrowDecode, Encode};

/// Whom a relocation of a stencil refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelocationTarget {
    /// One of the callees of the parameters.
    Callee(CalleeIndex),
    /// A function whose name is the same in every module of one configuration,
    /// such as a runtime builtin's trampoline.
    Fixed(ExternalName),
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

/// One handler of a call site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilHandler {
    /// The exception's tag; `u32::MAX` catches all.
    pub tag: u32,
    /// Stack-pointer offset of the dynamic context; `u32::MAX` for none.
    pub context: u32,
    /// Byte offset of the handler in the code.
    pub offset: u32,
}

/// A call that has exception handlers.
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
    /// The handlers, in the order in which they are tried.
    pub fn handlers(&self) -> impl Iterator<Item = StencilHandler> + use<'a> {
        let mut bytes = self.handlers.bytes;
        (0..self.handlers.count).map_while(move |_| take_handler(&mut bytes))
    }
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
    /// Stack-pointer offsets of the slots, in bytes.
    pub fn slots(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut bytes = self.slots.bytes;
        (0..self.slots.count).map_while(move |_| take_uleb32(&mut bytes))
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
    pub(crate) relocations: Table<'a>,
    pub(crate) traps: Table<'a>,
    pub(crate) sources: Table<'a>,
    pub(crate) call_sites: Table<'a>,
    pub(crate) stack_maps: Table<'a>,
    pub(crate) unwind_kind: u8,
    pub(crate) unwind: &'a [u8],
}

pub(crate) const UNWIND_NONE: u8 = 0;
pub(crate) const UNWIND_SYSTEMV: u8 = 1;

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

    /// The relocations, in ascending order of offset.
    pub fn relocations(&self) -> impl Iterator<Item = StencilRelocation> + use<'a> {
        let Table { count, mut bytes } = self.metadata.relocations;
        let mut offset = 0;
        (0..count).map_while(move |_| take_relocation(&mut bytes, &mut offset))
    }

    /// The traps, in ascending order of offset.
    pub fn traps(&self) -> impl Iterator<Item = StencilTrap> + use<'a> {
        let Table { count, mut bytes } = self.metadata.traps;
        let mut offset = 0;
        (0..count).map_while(move |_| take_trap(&mut bytes, &mut offset))
    }

    /// How many traps there are.
    pub fn trap_count(&self) -> u32 {
        self.metadata.traps.count
    }

    /// The source map, in ascending order of offset.
    pub fn sources(&self) -> impl Iterator<Item = StencilSource> + use<'a> {
        let Table { count, mut bytes } = self.metadata.sources;
        let (mut offset, mut ordinal) = (0, 0);
        (0..count).map_while(move |_| take_source(&mut bytes, &mut offset, &mut ordinal))
    }

    /// How many entries the source map has.
    pub fn mapped_count(&self) -> u32 {
        self.metadata.sources.count
    }

    /// The calls that have handlers, in ascending order of return address.
    pub fn call_sites(&self) -> impl Iterator<Item = StencilCallSite<'a>> + use<'a> {
        let Table { count, mut bytes } = self.metadata.call_sites;
        let mut offset = 0;
        (0..count).map_while(move |_| take_call_site(&mut bytes, &mut offset))
    }

    /// The stack maps, in ascending order of offset.
    pub fn stack_maps(&self) -> impl Iterator<Item = StencilStackMap<'a>> + use<'a> {
        let Table { count, mut bytes } = self.metadata.stack_maps;
        let mut offset = 0;
        (0..count).map_while(move |_| take_stack_map(&mut bytes, &mut offset))
    }

    /// How the unwinder steps over the function.
    pub fn unwind(&self) -> Unwind<'a> {
        match self.metadata.unwind_kind {
            UNWIND_SYSTEMV => Unwind::SystemV(self.metadata.unwind),
            _ => Unwind::None,
        }
    }

    /// Walks every table once. `None` if any of them is not what
    /// [`StencilBuilder`] writes: too short, too long, out of order, out of the
    /// code's or the parameters' bounds.
    pub(crate) fn checked(code: &'a [u8], metadata: Metadata<'a>) -> Option<Self> {
        let code_len = u32::try_from(code.len()).ok()?;
        let bounded = |offset: u32| (offset <= code_len).then_some(());
        if !metadata.alignment.is_power_of_two() || metadata.alignment > 1 << 16 {
            return None;
        }

        let Table { count, mut bytes } = metadata.relocations;
        let mut offset = 0;
        for _ in 0..count {
            let relocation = take_relocation(&mut bytes, &mut offset)?;
            bounded(relocation.offset.checked_add(4)?)?;
            if let RelocationTarget::Callee(CalleeIndex(callee)) = relocation.target
                && callee >= metadata.callee_count
            {
                return None;
            }
        }
        bytes.is_empty().then_some(())?;

        let Table { count, mut bytes } = metadata.traps;
        let mut offset = 0;
        for _ in 0..count {
            bounded(take_trap(&mut bytes, &mut offset)?.offset)?;
        }
        bytes.is_empty().then_some(())?;

        let Table { count, mut bytes } = metadata.sources;
        let (mut offset, mut ordinal) = (0, 0);
        for _ in 0..count {
            let source = take_source(&mut bytes, &mut offset, &mut ordinal)?;
            bounded(source.offset)?;
            if let Some(SourceOrdinal(ordinal)) = source.ordinal
                && ordinal >= metadata.source_count
            {
                return None;
            }
        }
        bytes.is_empty().then_some(())?;

        let Table { count, mut bytes } = metadata.call_sites;
        let mut offset = 0;
        for _ in 0..count {
            let site = take_call_site(&mut bytes, &mut offset)?;
            bounded(site.return_offset)?;
            for handler in site.handlers() {
                bounded(handler.offset)?;
            }
        }
        bytes.is_empty().then_some(())?;

        let Table { count, mut bytes } = metadata.stack_maps;
        let mut offset = 0;
        for _ in 0..count {
            let map = take_stack_map(&mut bytes, &mut offset)?;
            if map.offset >= code_len || map.slots().any(|slot| slot % 4 != 0 || slot >= 1 << 28) {
                return None;
            }
        }
        bytes.is_empty().then_some(())?;

        match metadata.unwind_kind {
            UNWIND_NONE if metadata.unwind.is_empty() => {}
            UNWIND_SYSTEMV if metadata.unwind.len() >= 16 => {}
            _ => return None,
        }
        Some(Self { code, metadata })
    }
}

fn step(bytes: &mut &[u8], offset: &mut u32) -> Option<u32> {
    *offset = offset.checked_add(take_uleb32(bytes)?)?;
    Some(*offset)
}

const TARGET_FIXED: u64 = 0;

fn take_relocation(bytes: &mut &[u8], offset: &mut u32) -> Option<StencilRelocation> {
    Some(StencilRelocation {
        offset: step(bytes, offset)?,
        kind: take_u8(bytes)?,
        addend: take_sleb(bytes)?,
        target: match take_uleb(bytes)? {
            TARGET_FIXED => RelocationTarget::Fixed(ExternalName {
                namespace: take_uleb32(bytes)?,
                index: take_uleb32(bytes)?,
            }),
            callee => RelocationTarget::Callee(CalleeIndex(u32::try_from(callee - 1).ok()?)),
        },
    })
}

fn take_trap(bytes: &mut &[u8], offset: &mut u32) -> Option<StencilTrap> {
    Some(StencilTrap { offset: step(bytes, offset)?, code: take_u8(bytes)? })
}

#[inline]
fn take_source(bytes: &mut &[u8], offset: &mut u32, ordinal: &mut u32) -> Option<StencilSource> {
    let head = take_uleb(bytes)?;
    *offset = offset.checked_add(u32::try_from(head >> 1).ok()?)?;
    let ordinal = if head & 1 == 1 {
        None
    } else {
        *ordinal = u32::try_from(i64::from(*ordinal).checked_add(take_sleb(bytes)?)?).ok()?;
        Some(SourceOrdinal(*ordinal))
    };
    Some(StencilSource { offset: *offset, ordinal })
}

fn take_handler(bytes: &mut &[u8]) -> Option<StencilHandler> {
    Some(StencilHandler {
        tag: take_uleb32(bytes)?,
        context: take_uleb32(bytes)?,
        offset: take_uleb32(bytes)?,
    })
}

/// A count and that many items, each read once to find the end.
fn take_table<'a, T>(
    bytes: &mut &'a [u8],
    mut take: impl FnMut(&mut &'a [u8]) -> Option<T>,
) -> Option<Table<'a>> {
    let count = take_uleb32(bytes)?;
    let start = *bytes;
    for _ in 0..count {
        take(bytes)?;
    }
    let bytes = start.get(..start.len() - bytes.len())?;
    Some(Table { count, bytes })
}

fn take_call_site<'a>(bytes: &mut &'a [u8], offset: &mut u32) -> Option<StencilCallSite<'a>> {
    Some(StencilCallSite {
        return_offset: step(bytes, offset)?,
        frame_offset: take_uleb32(bytes)?,
        handlers: take_table(bytes, take_handler)?,
    })
}

fn take_stack_map<'a>(bytes: &mut &'a [u8], offset: &mut u32) -> Option<StencilStackMap<'a>> {
    Some(StencilStackMap {
        offset: step(bytes, offset)?,
        frame_size: take_uleb32(bytes)?,
        slots: take_table(bytes, take_uleb32)?,
    })
}

/// Takes in one compiled function, in ascending order of offsets in each table.
#[derive(Clone, Debug)]
pub struct StencilBuilder {
    pub(crate) code: Vec<u8>,
    alignment: u32,
    needs_gc_heap: bool,
    callee_count: u32,
    source_count: u32,
    relocations: Rows,
    traps: Rows,
    sources: Rows,
    last_ordinal: u32,
    call_sites: Rows,
    stack_maps: Rows,
    unwind_kind: u8,
    unwind: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Rows {
    count: u32,
    last_offset: u32,
    bytes: Vec<u8>,
}

impl Rows {
    fn step(&mut self, offset: u32) -> u64 {
        self.count += 1;
        let step = offset
            .checked_sub(self.last_offset)
            .expect("the compiler lists tables in ascending order of offset");
        self.last_offset = offset;
        u64::from(step)
    }

    fn row(&mut self, offset: u32) -> &mut Vec<u8> {
        let step = self.step(offset);
        put_uleb(&mut self.bytes, step);
        &mut self.bytes
    }

    fn table(&self) -> Table<'_> {
        Table { count: self.count, bytes: &self.bytes }
    }
}

impl StencilBuilder {
    /// Code for a function whose parameters have `callee_count` callees and
    /// `source_count` source locations.
    pub fn new(code: Vec<u8>, alignment: u32, callee_count: u32, source_count: u32) -> Self {
        Self {
            code,
            alignment,
            needs_gc_heap: false,
            callee_count,
            source_count,
            relocations: Rows::default(),
            traps: Rows::default(),
            sources: Rows::default(),
            last_ordinal: 0,
            call_sites: Rows::default(),
            stack_maps: Rows::default(),
            unwind_kind: UNWIND_NONE,
            unwind: Vec::new(),
        }
    }

    /// Says whether running the code needs a garbage-collected heap.
    pub fn needs_gc_heap(&mut self, needs_gc_heap: bool) {
        self.needs_gc_heap = needs_gc_heap;
    }

    /// Adds a relocation.
    pub fn relocation(&mut self, relocation: StencilRelocation) {
        let row = self.relocations.row(relocation.offset);
        row.push(relocation.kind);
        put_sleb(row, relocation.addend);
        match relocation.target {
            RelocationTarget::Fixed(name) => {
                put_uleb(row, TARGET_FIXED);
                put_uleb(row, u64::from(name.namespace));
                put_uleb(row, u64::from(name.index));
            }
            RelocationTarget::Callee(CalleeIndex(callee)) => put_uleb(row, u64::from(callee) + 1),
        }
    }

    /// Adds a trap.
    pub fn trap(&mut self, trap: StencilTrap) {
        self.traps.row(trap.offset).push(trap.code);
    }

    /// Adds to the source map.
    pub fn source(&mut self, source: StencilSource) {
        let step = self.sources.step(source.offset);
        let bytes = &mut self.sources.bytes;
        put_uleb(bytes, step << 1 | u64::from(source.ordinal.is_none()));
        if let Some(SourceOrdinal(ordinal)) = source.ordinal {
            put_sleb(bytes, i64::from(ordinal) - i64::from(self.last_ordinal));
            self.last_ordinal = ordinal;
        }
    }

    /// Adds a call that has handlers; `u32::MAX` for no frame offset.
    pub fn call_site(
        &mut self,
        return_offset: u32,
        frame_offset: u32,
        handlers: &[StencilHandler],
    ) {
        let row = self.call_sites.row(return_offset);
        put_uleb(row, u64::from(frame_offset));
        put_uleb(row, handlers.len() as u64);
        for handler in handlers {
            put_uleb(row, u64::from(handler.tag));
            put_uleb(row, u64::from(handler.context));
            put_uleb(row, u64::from(handler.offset));
        }
    }

    /// Adds a stack map; the slots are stack-pointer offsets in bytes.
    pub fn stack_map(&mut self, offset: u32, frame_size: u32, slots: &[u32]) {
        let row = self.stack_maps.row(offset);
        put_uleb(row, u64::from(frame_size));
        put_uleb(row, slots.len() as u64);
        for slot in slots {
            put_uleb(row, u64::from(*slot));
        }
    }

    /// Gives the function a DWARF frame description entry; see
    /// [`Unwind::SystemV`].
    pub fn unwind_systemv(&mut self, frame_description: Vec<u8>) {
        self.unwind_kind = UNWIND_SYSTEMV;
        self.unwind = frame_description;
    }

    pub(crate) fn metadata(&self) -> Metadata<'_> {
        Metadata {
            alignment: self.alignment,
            needs_gc_heap: self.needs_gc_heap,
            callee_count: self.callee_count,
            source_count: self.source_count,
            relocations: self.relocations.table(),
            traps: self.traps.table(),
            sources: self.sources.table(),
            call_sites: self.call_sites.table(),
            stack_maps: self.stack_maps.table(),
            unwind_kind: self.unwind_kind,
            unwind: &self.unwind,
        }
    }
}
