//! A compiled function -> the tables of its entry.

use super::rows::{
    HANDLER_CONTEXT, HANDLER_CONTEXT_IN_REGISTER, HANDLER_DEFAULT, HANDLER_TAG, TARGET_CALLEE,
    TARGET_FIXED, TARGET_FUNCTION_OFFSET, TARGET_KNOWN_SYMBOL, TARGET_LIB_CALL,
};
use super::{
    DebugBuilder, FieldKind, Metadata, RelocationTarget, StencilField, StencilHandler,
    StencilRelocation, StencilSlot, StencilSource, StencilTrap, Table, UNWIND_CRANELIFT,
    UNWIND_NONE, UNWIND_SYSTEMV,
};
use crate::packed::{put_sleb, put_uleb};
use crate::parameters::{CalleeIndex, NumberIndex, SourceOrdinal};

/// Takes in one compiled function, in ascending order of offsets in each table.
#[derive(Clone, Debug)]
pub struct StencilBuilder {
    pub(crate) code: Vec<u8>,
    alignment: u32,
    needs_gc_heap: bool,
    callee_count: u32,
    source_count: u32,
    number_count: u32,
    relocations: Rows,
    fields: Rows,
    traps: Rows,
    sources: Rows,
    last_ordinal: u32,
    call_sites: Rows,
    stack_maps: Rows,
    unwind_kind: u8,
    unwind: Vec<u8>,
    slot_count: u32,
    marker: bool,
    debug: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
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

    pub(super) fn row(&mut self, offset: u32) -> &mut Vec<u8> {
        let step = self.step(offset);
        put_uleb(&mut self.bytes, step);
        &mut self.bytes
    }

    /// The next row of a table that is not in order of offsets.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        self.count += 1;
        &mut self.bytes
    }

    pub(super) fn table(&self) -> Table<'_> {
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
            number_count: 0,
            relocations: Rows::default(),
            fields: Rows::default(),
            traps: Rows::default(),
            sources: Rows::default(),
            last_ordinal: 0,
            call_sites: Rows::default(),
            stack_maps: Rows::default(),
            unwind_kind: UNWIND_NONE,
            unwind: Vec::new(),
            slot_count: 0,
            marker: false,
            debug: Vec::new(),
        }
    }

    /// No code, but a note; see
    /// [`CompiledStencil::is_marker`](super::CompiledStencil::is_marker).
    pub fn marker() -> Self {
        Self { marker: true, ..Self::new(Vec::new(), 1, 0, 0) }
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
            RelocationTarget::LibCall(number) => {
                put_uleb(row, TARGET_LIB_CALL);
                put_uleb(row, u64::from(number));
            }
            RelocationTarget::KnownSymbol(number) => {
                put_uleb(row, TARGET_KNOWN_SYMBOL);
                put_uleb(row, u64::from(number));
            }
            RelocationTarget::FunctionOffset(offset) => {
                put_uleb(row, TARGET_FUNCTION_OFFSET);
                put_uleb(row, u64::from(offset));
            }
            RelocationTarget::Callee(CalleeIndex(callee)) => {
                put_uleb(row, u64::from(callee) + TARGET_CALLEE);
            }
        }
    }

    /// Says how many numbers the parameters have.
    pub fn number_count(&mut self, count: u32) {
        self.number_count = count;
    }

    /// Adds a field that holds a number of the parameters plus `addend`.
    pub fn field(&mut self, field: StencilField, addend: u32) {
        let StencilField { offset, kind, number: NumberIndex(number) } = field;
        kind.write(&mut self.code, offset, addend);
        let row = self.fields.row(offset);
        put_uleb(row, u64::from(number) << 1 | u64::from(kind == FieldKind::Word));
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

    /// Adds a call that the unwinder has to know; `u32::MAX` for no frame offset.
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
            match *handler {
                StencilHandler::Tag { tag, offset } => {
                    row.push(HANDLER_TAG);
                    put_uleb(row, u64::from(tag));
                    put_uleb(row, u64::from(offset));
                }
                StencilHandler::Default { offset } => {
                    row.push(HANDLER_DEFAULT);
                    put_uleb(row, u64::from(offset));
                }
                StencilHandler::Context(offset) => {
                    row.push(HANDLER_CONTEXT);
                    put_uleb(row, u64::from(offset));
                }
                StencilHandler::ContextInRegister(register) => {
                    row.extend([HANDLER_CONTEXT_IN_REGISTER, register]);
                }
            }
        }
    }

    /// Adds a stack map.
    pub fn stack_map(&mut self, offset: u32, frame_size: u32, slots: &[StencilSlot]) {
        let row = self.stack_maps.row(offset);
        put_uleb(row, u64::from(frame_size));
        put_uleb(row, slots.len() as u64);
        for slot in slots {
            put_uleb(row, u64::from(slot.ty));
            put_uleb(row, u64::from(slot.offset));
        }
    }

    /// Gives the function a DWARF frame description entry; see
    /// [`Unwind::SystemV`](super::Unwind::SystemV).
    pub fn unwind_systemv(&mut self, frame_description: Vec<u8>) {
        self.unwind_kind = UNWIND_SYSTEMV;
        self.unwind = frame_description;
    }

    /// Gives the function Cranelift's own description of its frame; see
    /// [`Unwind::Cranelift`](super::Unwind::Cranelift).
    pub fn unwind_cranelift(&mut self, description: Vec<u8>) {
        self.unwind_kind = UNWIND_CRANELIFT;
        self.unwind = description;
    }

    /// Gives the function tables for debuggers and instrumentation.
    pub fn debug(&mut self, debug: &DebugBuilder) {
        self.slot_count = debug.slot_count();
        self.debug = debug.bytes();
    }

    pub(crate) fn metadata(&self) -> Metadata<'_> {
        Metadata {
            alignment: self.alignment,
            needs_gc_heap: self.needs_gc_heap,
            callee_count: self.callee_count,
            source_count: self.source_count,
            number_count: self.number_count,
            relocations: self.relocations.table(),
            fields: self.fields.table(),
            traps: self.traps.table(),
            sources: self.sources.table(),
            call_sites: self.call_sites.table(),
            stack_maps: self.stack_maps.table(),
            unwind_kind: self.unwind_kind,
            unwind: &self.unwind,
            slot_count: self.slot_count,
            marker: self.marker,
            debug: &self.debug,
        }
    }
}
