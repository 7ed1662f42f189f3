//! A function's body -> the same with placeholders in the place of its constants, and
//! other offsets in the place of those that are parameters.

use super::super::offsets::{Access, Offsets};
use crate::error::CompileError;
use crate::split::{ConstantType, ConstantUse, OffsetUse, Uses, offset_at};
use std::iter::Peekable;
use std::ops::Range;
use std::slice::Iter;
use stencil::SourceLocations;
use wasmparser::{BinaryReader, FunctionBody};
use wasmtime_environ::GlobalIndex;

/// A body with placeholders in the place of constants.
pub(super) struct Rewritten {
    bytes: Vec<u8>,
    /// Where the operators stand in it, as if it stood where the body does.
    pub(super) source: SourceLocations,
    /// The accesses that have other offsets, in the order of the body.
    pub(super) accesses: Vec<Access>,
}

/// Bytes of a body, and what is to stand there.
type Edit = (Range<usize>, Vec<u8>);

impl Rewritten {
    pub(super) fn of(
        body: &FunctionBody<'_>,
        uses: &Uses,
        (first, offsets): (GlobalIndex, Offsets),
        source: &SourceLocations,
    ) -> Result<Self, CompileError> {
        let original = body.as_bytes();
        let mut edits = Vec::new();
        for constant in &uses.constants {
            let ordinal = constant.ordinal + u32::from(offsets != Offsets::ONE);
            edits.push(constant_edit(original, constant, first.as_u32() + 2 * ordinal)?);
            if let Some(access) = constant.access {
                edits.push(access_edit(original, access, 0)?);
            }
        }
        for offset in &uses.offsets {
            edits.push(access_edit(original, offset.at, offsets.placeholder(offset.ordinal))?);
        }
        edits.sort_unstable_by_key(|(range, _)| range.start);
        let mut bytes = Vec::with_capacity(original.len());
        let mut at = 0;
        for (range, replacement) in &edits {
            bytes.extend_from_slice(&original[at..range.start]);
            bytes.extend_from_slice(replacement);
            at = range.end;
        }
        bytes.extend_from_slice(&original[at..]);
        let mut moves = Moves::new(source.base(), &edits);
        let access = |used: &OffsetUse| {
            let location = moves.location(source.base() + used.at);
            Access { location, ordinal: used.ordinal }
        };
        let accesses = uses.offsets.iter().map(access).collect();
        Ok(Self { bytes, source: moved(source, &edits), accesses })
    }

    /// The body's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body, where the original stands.
    pub(super) fn body<'b>(&'b self, original: &FunctionBody<'_>) -> FunctionBody<'b> {
        let at = original.range().start;
        FunctionBody::new(BinaryReader::new(&self.bytes, at))
    }
}

/// A constant becomes the read of one of the two placeholders at an index.
fn constant_edit(
    body: &[u8],
    constant: &ConstantUse,
    placeholders: u32,
) -> Result<Edit, CompileError> {
    const GLOBAL_GET: u8 = 0x23;
    let at = constant.at as usize;
    let mut reader = BinaryReader::new(&body[at..], at);
    reader.read_u8()?;
    match constant.ty {
        ConstantType::I32 => drop(reader.read_var_i32()?),
        ConstantType::I64 => drop(reader.read_var_i64()?),
    }
    let mut read = vec![GLOBAL_GET];
    put_leb(&mut read, placeholders + constant.ty as u32);
    Ok((at..reader.original_position(), read))
}

/// An access gets another offset.
fn access_edit(body: &[u8], at: u32, offset: u32) -> Result<Edit, CompileError> {
    let (range, _) = offset_at(body, at)?;
    let mut replacement = Vec::new();
    put_leb(&mut replacement, offset);
    Ok((range, replacement))
}

/// Where the operators stand after edits.
fn moved(source: &SourceLocations, edits: &[Edit]) -> SourceLocations {
    let mut locations = Vec::new();
    source.expand_into(&mut locations);
    let base = source.base();
    let mut moved = SourceLocations::starting_at(base, locations.len());
    let mut moves = Moves::new(base, edits);
    for location in &locations[1..] {
        moved.push(moves.location(*location));
    }
    moved
}

/// Edits on the way through the body from its start.
struct Moves<'e> {
    base: u32,
    edits: Peekable<Iter<'e, Edit>>,
    /// By how many bytes what comes next has moved.
    by: i64,
}

impl<'e> Moves<'e> {
    fn new(base: u32, edits: &'e [Edit]) -> Self {
        Self { base, edits: edits.iter().peekable(), by: 0 }
    }

    /// Where an operator stands now; asked for in the order of the body.
    fn location(&mut self, location: u32) -> u32 {
        let at = (location - self.base) as usize;
        while let Some((range, replacement)) = self.edits.next_if(|(range, _)| range.start < at) {
            self.by += replacement.len() as i64 - range.len() as i64;
        }
        (i64::from(location) + self.by) as u32
    }
}

pub(super) fn put_leb(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
