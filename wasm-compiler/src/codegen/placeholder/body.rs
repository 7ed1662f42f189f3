//! A function's body -> the same with placeholders in the place of its constants, and
//! other offsets in the place of those that are parameters.

use super::super::relocate::Offsets;
use crate::error::CompileError;
use crate::split::{ConstantType, ConstantUse, Uses};
use std::ops::Range;
use stencil::SourceLocations;
use wasmparser::{BinaryReader, BinaryReaderError, FunctionBody};
use wasmtime_environ::GlobalIndex;

/// A body with placeholders in the place of constants.
pub(super) struct Rewritten {
    bytes: Vec<u8>,
    /// Where the operators stand in it, as if it stood where the body does.
    pub(super) source: SourceLocations,
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
            let ordinal = constant.ordinal + u32::from(offsets == Offsets::Other);
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
        Ok(Self { bytes, source: moved(source, &edits) })
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

/// The offset of the access whose operator stands at an offset in the body: where it
/// stands, and its value.
pub(in super::super) fn offset_at(
    body: &[u8],
    at: u32,
) -> Result<(Range<usize>, u64), BinaryReaderError> {
    /// Set in the first number of an access that names its memory.
    const HAS_MEMORY: u32 = 1 << 6;
    let at = at as usize;
    let mut reader = BinaryReader::new(&body[at..], at);
    reader.read_u8()?;
    if reader.read_var_u32()? & HAS_MEMORY != 0 {
        reader.read_var_u32()?;
    }
    let start = reader.original_position();
    let offset = reader.read_var_u64()?;
    Ok((start..reader.original_position(), offset))
}

/// Where the operators stand after edits.
fn moved(source: &SourceLocations, edits: &[Edit]) -> SourceLocations {
    let mut offsets = Vec::new();
    source.expand_into(&mut offsets);
    let base = source.base();
    let mut moved = SourceLocations::starting_at(base, offsets.len());
    let mut edits = edits.iter().peekable();
    let mut by = 0;
    for offset in &offsets[1..] {
        let in_body = (offset - base) as usize;
        while let Some((range, replacement)) = edits.next_if(|(range, _)| range.start < in_body) {
            by += replacement.len() as i64 - range.len() as i64;
        }
        moved.push((i64::from(*offset) + by) as u32);
    }
    moved
}

pub(super) fn put_leb(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
