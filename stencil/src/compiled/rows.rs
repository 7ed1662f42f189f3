//! The bytes of a table <-> one row after the other.
//!
//! Reading never panics: what is not there, or does not fit, is `None`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

use super::{
    FieldKind, RelocationTarget, StencilCallSite, StencilField, StencilHandler, StencilRelocation,
    StencilSlot, StencilSource, StencilStackMap, StencilTrap, Table,
};
use crate::packed::{take_sleb, take_u8, take_uleb, take_uleb32};
use crate::parameters::{CalleeIndex, ExternalName, NumberIndex, SourceOrdinal};

#[inline]
pub(super) fn step(bytes: &mut &[u8], offset: &mut u32) -> Option<u32> {
    *offset = offset.checked_add(take_uleb32(bytes)?)?;
    Some(*offset)
}

/// In the place of a callee's ordinal, which is kept plus [`TARGET_CALLEE`].
pub(super) const TARGET_FIXED: u64 = 0;
pub(super) const TARGET_LIB_CALL: u64 = 1;
pub(super) const TARGET_KNOWN_SYMBOL: u64 = 2;
pub(super) const TARGET_FUNCTION_OFFSET: u64 = 3;
pub(super) const TARGET_CALLEE: u64 = 4;

#[inline]
pub(super) fn take_relocation(bytes: &mut &[u8], offset: &mut u32) -> Option<StencilRelocation> {
    Some(StencilRelocation {
        offset: step(bytes, offset)?,
        kind: take_u8(bytes)?,
        addend: take_sleb(bytes)?,
        target: match take_uleb(bytes)? {
            TARGET_FIXED => RelocationTarget::Fixed(ExternalName {
                namespace: take_uleb32(bytes)?,
                index: take_uleb32(bytes)?,
            }),
            TARGET_LIB_CALL => RelocationTarget::LibCall(take_uleb32(bytes)?),
            TARGET_KNOWN_SYMBOL => RelocationTarget::KnownSymbol(take_uleb32(bytes)?),
            TARGET_FUNCTION_OFFSET => RelocationTarget::FunctionOffset(take_uleb32(bytes)?),
            callee => {
                let callee = callee.checked_sub(TARGET_CALLEE)?;
                RelocationTarget::Callee(CalleeIndex(u32::try_from(callee).ok()?))
            }
        },
    })
}

/// The kind of field is the lowest bit of its number.
#[inline]
pub(super) fn take_field(bytes: &mut &[u8], offset: &mut u32) -> Option<StencilField> {
    let offset = step(bytes, offset)?;
    let head = take_uleb(bytes)?;
    let kind = if head & 1 == 1 { FieldKind::Word } else { FieldKind::Byte };
    let number = NumberIndex(u32::try_from(head >> 1).ok()?);
    Some(StencilField { offset, kind, number })
}

#[inline]
pub(super) fn take_trap(bytes: &mut &[u8], offset: &mut u32) -> Option<StencilTrap> {
    Some(StencilTrap { offset: step(bytes, offset)?, code: take_u8(bytes)? })
}

#[inline]
pub(super) fn take_source(
    bytes: &mut &[u8],
    offset: &mut u32,
    ordinal: &mut u32,
) -> Option<StencilSource> {
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

pub(super) fn take_handler(bytes: &mut &[u8]) -> Option<StencilHandler> {
    Some(match take_u8(bytes)? {
        HANDLER_TAG => {
            StencilHandler::Tag { tag: take_uleb32(bytes)?, offset: take_uleb32(bytes)? }
        }
        HANDLER_DEFAULT => StencilHandler::Default { offset: take_uleb32(bytes)? },
        HANDLER_CONTEXT => StencilHandler::Context(take_uleb32(bytes)?),
        HANDLER_CONTEXT_IN_REGISTER => StencilHandler::ContextInRegister(take_u8(bytes)?),
        _ => return None,
    })
}

pub(super) const HANDLER_TAG: u8 = 0;
pub(super) const HANDLER_DEFAULT: u8 = 1;
pub(super) const HANDLER_CONTEXT: u8 = 2;
pub(super) const HANDLER_CONTEXT_IN_REGISTER: u8 = 3;

pub(super) fn take_slot(bytes: &mut &[u8]) -> Option<StencilSlot> {
    let ty = u16::try_from(take_uleb(bytes)?).ok()?;
    Some(StencilSlot { ty, offset: take_uleb32(bytes)? })
}

/// A count and that many items, each read once to find the end.
pub(super) fn take_table<'a, T>(
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

#[inline]
pub(super) fn take_call_site<'a>(
    bytes: &mut &'a [u8],
    offset: &mut u32,
) -> Option<StencilCallSite<'a>> {
    Some(StencilCallSite {
        return_offset: step(bytes, offset)?,
        frame_offset: take_uleb32(bytes)?,
        handlers: take_table(bytes, take_handler)?,
    })
}

pub(super) fn take_stack_map<'a>(
    bytes: &mut &'a [u8],
    offset: &mut u32,
) -> Option<StencilStackMap<'a>> {
    Some(StencilStackMap {
        offset: step(bytes, offset)?,
        frame_size: take_uleb32(bytes)?,
        slots: take_table(bytes, take_slot)?,
    })
}

impl<'a> Table<'a> {
    /// The rows; they end at the first that cannot be taken.
    #[inline]
    pub(super) fn rows<T>(
        self,
        mut take: impl FnMut(&mut &'a [u8]) -> Option<T>,
    ) -> impl Iterator<Item = T> {
        let mut bytes = self.bytes;
        (0..self.count).map_while(move |_| take(&mut bytes))
    }

    /// Walks the table; `None` unless every row is there, passes, and nothing
    /// is left.
    #[inline]
    pub(super) fn all<T>(
        self,
        mut take: impl FnMut(&mut &'a [u8]) -> Option<T>,
        passes: impl Fn(T) -> bool,
    ) -> Option<()> {
        let mut bytes = self.bytes;
        for _ in 0..self.count {
            passes(take(&mut bytes)?).then_some(())?;
        }
        bytes.is_empty().then_some(())
    }
}
