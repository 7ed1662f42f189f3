//! Tables of a compiled stencil that debuggers and instrumentation read, and
//! that code of WebAssembly modules has no use for.
//!
//! An entry holds them as one string of bytes, so that opening it costs those
//! nothing who never ask.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

use super::builder::Rows;
use super::rows::{step, take_table};
use super::{FRAME_BYTES_MAX, Table};
use crate::packed::{put_sleb, put_uleb, take_sleb, take_u8, take_uleb, take_uleb32};
use bincode::{BorrowDecode, Encode};

/// A tag of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StencilDebugTag {
    /// The front end's own.
    User(u32),
    /// A stack slot, by its number in the stencil.
    StackSlot(u32),
}

/// The tags at one place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilDebugTags<'a> {
    /// Byte offset in the code.
    pub offset: u32,
    /// They belong to the instruction that starts there; otherwise to the one
    /// that ends there.
    pub starts: bool,
    tags: Table<'a>,
}

impl<'a> StencilDebugTags<'a> {
    /// The tags.
    pub fn tags(&self) -> impl Iterator<Item = StencilDebugTag> + use<'a> {
        self.tags.rows(take_tag)
    }
}

/// A call whose bytes may be replaced by no-ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilPatchableCall {
    /// Byte offset behind the call in the code.
    pub return_offset: u32,
    /// How many bytes before it are the call's.
    pub len: u32,
}

/// Where a stack slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilFrameSlot {
    /// Offset from the frame's bottom, in bytes.
    pub offset: u32,
    /// The front end's own name for it.
    pub key: Option<u64>,
}

/// Where a labelled value is kept, in a range of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilValueRange {
    /// First byte offset in the code.
    pub start: u32,
    /// Byte offset behind the last.
    pub end: u32,
    /// A register in regalloc2's numbering, or `None` for [`Self::frame_offset`].
    pub register: Option<u32>,
    /// Offset from the canonical frame address, in bytes.
    pub frame_offset: i64,
}

/// A label of values, and where they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilValueLabel<'a> {
    /// The label.
    pub label: u32,
    ranges: Table<'a>,
}

impl<'a> StencilValueLabel<'a> {
    /// The ranges.
    pub fn ranges(&self) -> impl Iterator<Item = StencilValueRange> + use<'a> {
        self.ranges.rows(take_range)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
struct DebugTables<'a> {
    /// Distance of the frame pointer from the frame's bottom, plus one; 0 for
    /// no frame layout.
    frame_pointer: u64,
    frame_slots: Table<'a>,
    tags: Table<'a>,
    patchable_calls: Table<'a>,
    no_ops: Table<'a>,
    value_labels: Table<'a>,
    block_starts: Table<'a>,
    block_edges: Table<'a>,
}

impl DebugTables<'_> {
    /// `None` if any table is not what [`DebugBuilder`] writes.
    fn checked(&self, code_len: u32) -> Option<()> {
        let Self {
            frame_pointer,
            frame_slots,
            tags,
            patchable_calls,
            no_ops,
            value_labels,
            block_starts,
            block_edges,
        } = *self;
        (frame_pointer <= u64::from(u32::MAX)).then_some(())?;
        frame_slots.all(take_frame_slot, |slot| slot.offset < FRAME_BYTES_MAX)?;
        let mut offset = 0;
        tags.all(|bytes| take_tags(bytes, &mut offset), |tags| tags.offset <= code_len)?;
        let mut offset = 0;
        patchable_calls.all(
            |bytes| take_patchable(bytes, &mut offset),
            |call| call.return_offset <= code_len && call.len <= call.return_offset,
        )?;
        no_ops.all(take_bytes, |no_op| !no_op.is_empty())?;
        value_labels.all(take_label, |label| {
            label.ranges().all(|range| range.start <= range.end && range.end <= code_len)
        })?;
        block_starts.all(take_uleb32, |start| start <= code_len)?;
        block_edges.all(take_edge, |(from, to)| from <= code_len && to <= code_len)
    }
}

/// The tables, read where they lie.
#[derive(Clone, Copy, Debug)]
pub struct StencilDebug<'a>(DebugTables<'a>);

fn codec() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<{ crate::entry::ENTRY_BYTES_MAX }>()
}

impl<'a> StencilDebug<'a> {
    /// `None` for no bytes, and for other bytes than a builder's.
    pub(super) fn read(bytes: &'a [u8], code_len: usize) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let (tables, len): (DebugTables<'a>, usize) =
            bincode::borrow_decode_from_slice(bytes, codec()).ok()?;
        tables.checked(u32::try_from(code_len).ok()?)?;
        (len == bytes.len()).then_some(Self(tables))
    }

    /// Distance of the frame pointer from the frame's bottom in bytes, if the
    /// frame's layout is known.
    pub fn frame_pointer(&self) -> Option<u32> {
        u32::try_from(self.0.frame_pointer.checked_sub(1)?).ok()
    }

    /// Where the stencil's stack slots lie, in the order of their numbers.
    pub fn frame_slots(&self) -> impl Iterator<Item = StencilFrameSlot> + use<'a> {
        self.0.frame_slots.rows(take_frame_slot)
    }

    /// The tags, in ascending order of offset.
    pub fn tags(&self) -> impl Iterator<Item = StencilDebugTags<'a>> + use<'a> {
        let mut offset = 0;
        self.0.tags.rows(move |bytes| take_tags(bytes, &mut offset))
    }

    /// The calls that may be patched, in ascending order of offset.
    pub fn patchable_calls(&self) -> impl Iterator<Item = StencilPatchableCall> + use<'a> {
        let mut offset = 0;
        self.0.patchable_calls.rows(move |bytes| take_patchable(bytes, &mut offset))
    }

    /// The no-ops to patch them with, by ascending size; none if nothing is to
    /// be patched.
    pub fn no_ops(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.0.no_ops.rows(take_bytes)
    }

    /// The labels of values, ascending.
    pub fn value_labels(&self) -> impl Iterator<Item = StencilValueLabel<'a>> + use<'a> {
        self.0.value_labels.rows(take_label)
    }

    /// Byte offsets at which blocks start, if they were asked for.
    pub fn block_starts(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.0.block_starts.rows(take_uleb32)
    }

    /// The edges between blocks, as pairs of where they start.
    pub fn block_edges(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        self.0.block_edges.rows(take_edge)
    }
}

/// Takes in the tables of one function.
#[derive(Clone, Debug, Default)]
pub struct DebugBuilder {
    frame_pointer: u64,
    frame_slots: Rows,
    tags: Rows,
    patchable_calls: Rows,
    no_ops: Rows,
    value_labels: Rows,
    block_starts: Rows,
    block_edges: Rows,
}

impl DebugBuilder {
    /// Says how far the frame pointer is from the frame's bottom, in bytes.
    pub fn frame_pointer(&mut self, offset: u32) {
        self.frame_pointer = u64::from(offset) + 1;
    }

    /// Adds the next stack slot.
    pub fn frame_slot(&mut self, slot: StencilFrameSlot) {
        let row = self.frame_slots.next();
        put_uleb(row, u64::from(slot.offset) << 1 | u64::from(slot.key.is_some()));
        if let Some(key) = slot.key {
            put_uleb(row, key);
        }
    }

    /// Adds the tags of one place, in ascending order of offset.
    pub fn tags(&mut self, offset: u32, starts: bool, tags: &[StencilDebugTag]) {
        let row = self.tags.row(offset);
        row.push(u8::from(starts));
        put_uleb(row, tags.len() as u64);
        for tag in tags {
            let (value, is_slot) = match *tag {
                StencilDebugTag::User(value) => (value, 0),
                StencilDebugTag::StackSlot(slot) => (slot, 1),
            };
            put_uleb(row, u64::from(value) << 1 | is_slot);
        }
    }

    /// Adds a call that may be patched, in ascending order of offset.
    pub fn patchable_call(&mut self, call: StencilPatchableCall) {
        let row = self.patchable_calls.row(call.return_offset);
        put_uleb(row, u64::from(call.len));
    }

    /// Adds a no-op.
    pub fn no_op(&mut self, no_op: &[u8]) {
        let row = self.no_ops.next();
        put_uleb(row, no_op.len() as u64);
        row.extend_from_slice(no_op);
    }

    /// Adds a label of values, in ascending order of labels.
    pub fn value_label(&mut self, label: u32, ranges: &[StencilValueRange]) {
        let row = self.value_labels.next();
        put_uleb(row, u64::from(label));
        put_uleb(row, ranges.len() as u64);
        for range in ranges {
            put_uleb(row, u64::from(range.start));
            put_uleb(row, u64::from(range.end));
            match range.register {
                Some(register) => put_uleb(row, u64::from(register) + 1),
                None => {
                    put_uleb(row, 0);
                    put_sleb(row, range.frame_offset);
                }
            }
        }
    }

    /// Adds the start of a block.
    pub fn block_start(&mut self, offset: u32) {
        put_uleb(self.block_starts.next(), u64::from(offset));
    }

    /// Adds an edge between blocks.
    pub fn block_edge(&mut self, from: u32, to: u32) {
        let row = self.block_edges.next();
        put_uleb(row, u64::from(from));
        put_uleb(row, u64::from(to));
    }

    pub(super) fn slot_count(&self) -> u32 {
        self.frame_slots.table().count
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        bincode::encode_to_vec(self.tables(), codec()).unwrap_or_default()
    }

    fn tables(&self) -> DebugTables<'_> {
        DebugTables {
            frame_pointer: self.frame_pointer,
            frame_slots: self.frame_slots.table(),
            tags: self.tags.table(),
            patchable_calls: self.patchable_calls.table(),
            no_ops: self.no_ops.table(),
            value_labels: self.value_labels.table(),
            block_starts: self.block_starts.table(),
            block_edges: self.block_edges.table(),
        }
    }
}

fn take_frame_slot(bytes: &mut &[u8]) -> Option<StencilFrameSlot> {
    let head = take_uleb(bytes)?;
    let key = if head & 1 == 1 { Some(take_uleb(bytes)?) } else { None };
    Some(StencilFrameSlot { offset: u32::try_from(head >> 1).ok()?, key })
}

fn take_tag(bytes: &mut &[u8]) -> Option<StencilDebugTag> {
    let head = take_uleb(bytes)?;
    let value = u32::try_from(head >> 1).ok()?;
    Some(if head & 1 == 1 {
        StencilDebugTag::StackSlot(value)
    } else {
        StencilDebugTag::User(value)
    })
}

fn take_tags<'a>(bytes: &mut &'a [u8], offset: &mut u32) -> Option<StencilDebugTags<'a>> {
    let offset = step(bytes, offset)?;
    let starts = match take_u8(bytes)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some(StencilDebugTags { offset, starts, tags: take_table(bytes, take_tag)? })
}

fn take_patchable(bytes: &mut &[u8], offset: &mut u32) -> Option<StencilPatchableCall> {
    Some(StencilPatchableCall { return_offset: step(bytes, offset)?, len: take_uleb32(bytes)? })
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_uleb(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_range(bytes: &mut &[u8]) -> Option<StencilValueRange> {
    let (start, end) = (take_uleb32(bytes)?, take_uleb32(bytes)?);
    let (register, frame_offset) = match take_uleb(bytes)? {
        0 => (None, take_sleb(bytes)?),
        register => (Some(u32::try_from(register - 1).ok()?), 0),
    };
    Some(StencilValueRange { start, end, register, frame_offset })
}

fn take_label<'a>(bytes: &mut &'a [u8]) -> Option<StencilValueLabel<'a>> {
    Some(StencilValueLabel { label: take_uleb32(bytes)?, ranges: take_table(bytes, take_range)? })
}

fn take_edge(bytes: &mut &[u8]) -> Option<(u32, u32)> {
    Some((take_uleb32(bytes)?, take_uleb32(bytes)?))
}
