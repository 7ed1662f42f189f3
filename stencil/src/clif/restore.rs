//! Canonical bytes -> the canonical `ir::Function`, the one that is compiled.
//!
//! The mirror of [`split`](super::split). Nothing but the bytes goes in, so
//! nothing but the bytes can decide about the code: a function that two
//! programs build in different ways is compiled from the same bytes by both.
//!
//! The canonical function has no name, callees named `u0:0`, `u0:1` .. in order
//! of first use, and ordinals in place of source locations.

mod body;
mod entities;
mod operands;

use super::numbers::type_of;
use crate::function_stencil::{FunctionStencil, StencilKind};
use crate::packed;
use cranelift_codegen::ir::{self, SourceLoc, Type, ValueLabelAssignments, ValueLabelStart};
use entities::Entities;
use std::collections::BTreeMap;

/// Bytes that no function was split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stencil of a function of Cranelift's IR: malformed at byte {at}")]
pub struct MalformedStencil {
    /// Where reading ended.
    pub at: usize,
}

/// Makes the canonical function of a stencil.
///
/// # Errors
///
/// [`MalformedStencil`] for bytes that [`Splitter::split`](super::Splitter::split)
/// does not write. It finds everything that could make this function panic, not
/// everything that Cranelift's verifier finds.
pub fn restore(stencil: &FunctionStencil<'_>) -> Result<ir::Function, MalformedStencil> {
    let mut reader = Reader { bytes: stencil.bytes() };
    let restored = match stencil.kind() {
        StencilKind::Clif => read(&mut reader),
        _ => None,
    };
    restored.ok_or(MalformedStencil { at: stencil.bytes().len() - reader.bytes.len() })
}

fn read(reader: &mut Reader<'_>) -> Option<ir::Function> {
    let mut function = ir::Function::new();
    function.stencil.signature = reader.signature()?;
    // So that what is relative to it is the ordinal.
    function.params.ensure_base_srcloc(SourceLoc::new(0));
    let entities = Entities::read(reader, &mut function)?;
    function.stencil.stack_limit = match reader.uleb32()? {
        0 => None,
        value => Some(entities.global_value(value - 1)?),
    };
    let values = body::read(reader, &entities, &mut function)?;
    if reader.bool()? {
        function.dfg.values_labels = Some(labels(reader, values)?);
    }
    reader.bytes.is_empty().then_some(function)
}

fn labels(
    reader: &mut Reader<'_>,
    values: u32,
) -> Option<BTreeMap<ir::Value, ValueLabelAssignments>> {
    let mut labels = BTreeMap::new();
    for _ in 0..reader.uleb32()? {
        let value = reader.below(values)?;
        let mut starts = Vec::new();
        for _ in 0..reader.uleb32()? {
            let label = ir::ValueLabel::from_u32(reader.uleb32()?);
            starts.push(ValueLabelStart { from: ir::RelSourceLoc::default(), label });
        }
        labels.insert(ir::Value::from_u32(value), ValueLabelAssignments::Starts(starts));
    }
    Some(labels)
}

/// Takes the parts of a stencil from the front of its bytes.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    fn u8(&mut self) -> Option<u8> {
        packed::take_u8(&mut self.bytes)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn raw<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*first)
    }

    /// Bytes behind their number.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(self.uleb()?).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    #[inline]
    fn uleb(&mut self) -> Option<u64> {
        packed::take_uleb(&mut self.bytes)
    }

    #[inline]
    fn uleb32(&mut self) -> Option<u32> {
        packed::take_uleb32(&mut self.bytes)
    }

    #[inline]
    fn sleb(&mut self) -> Option<i64> {
        packed::take_sleb(&mut self.bytes)
    }

    fn sleb32(&mut self) -> Option<i32> {
        i32::try_from(self.sleb()?).ok()
    }

    /// A number below a limit.
    #[inline]
    fn below(&mut self, limit: u32) -> Option<u32> {
        self.uleb32().filter(|number| *number < limit)
    }

    #[inline]
    fn ty(&mut self) -> Option<Type> {
        type_of(self.uleb()?)
    }
}
