//! The code of a function with other offsets in its accesses -> the fields that hold them.
//!
//! An offset that an access adds to its address is a number of the operator, and no value
//! that could be read, as a constant can (see [`super::placeholder`]). So the function is
//! compiled with other offsets in the place of its own, and these are looked for in the code:
//!
//! * [`seen`]: in most codes each access adds its offset by itself, to two registers that are
//!   computed without it. Then nothing else depends on it.
//! * [`between`]: otherwise the function is compiled once more, with yet other offsets. What
//!   differs between the two codes has to be fields that hold offsets, and nothing else.
//!
//! The checker compiles more than once in any case.

use super::relocate::{Fields, Reads, with_code};
use super::sites::{Difference, Site, Word};
use crate::compiler::Backend;
use crate::pieces::Piece;
use crate::split::{CONSTANTS_MAX, OFFSET_MAX, OFFSET_MIN};
use cranelift_codegen::ir::TrapCode;
use std::collections::BTreeSet;
use stencil::CacheKey;
use stencil::compiled::{FieldKind, StencilField};
use wasmtime_environ::InstructionAddressMap;
use wasmtime_internal_cranelift::CompiledFunction;

/// An access with another offset, in the body that is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// The source location of its operator.
    pub(super) location: u32,
    /// Which of the function's distinct offsets it has.
    pub(super) ordinal: u32,
}

/// The fields that hold offsets of accesses, if the code shows that nothing but these
/// depends on the offsets; `accesses` are in the order of the body.
///
/// That is so if what is left of each access are instructions that add its offset, as it is,
/// to the sum of two registers. The sum is then the address without the offset, for this offset
/// as for any other. Since there are two registers the address is no constant, which alone
/// could make an access the same as one with another offset; no access has been left out for
/// that. Conditions that do not hold are no error: the offsets may still be [`between`] two codes.
pub(super) fn seen(
    function: &CompiledFunction,
    accesses: &[Access],
    (piece, reads, sites): (&Piece, &Reads<'_>, &[Site]),
    backend: &Backend,
) -> Option<Fields> {
    if accesses.is_empty() {
        return Some(Vec::new());
    }
    // An access with such an offset of its own could be taken for one of these.
    if reads.uses.has_far_offset_in_key {
        return None;
    }
    let locations = Locations(&function.address_map().instructions);
    let access_at = |offset| {
        let location = locations.of(offset)?;
        let at = accesses.binary_search_by_key(&location, |access| access.location).ok()?;
        Some((at, accesses[at]))
    };
    let end = Offsets::ONE.placeholder(reads.uses.offset_count());
    let placeholders = Offsets::ONE.placeholder(0)..end;
    let words =
        with_code(function, backend, |code| backend.finder?.words(code, &placeholders).ok())?;
    // What the layout happens to be decides nothing.
    let is_of_layout = |word: &Word| {
        let behind = sites.partition_point(|site| site.at < word.at + Word::BYTES);
        let before = sites[..behind].last();
        before.is_some_and(|site| word.at < site.at + u32::from(site.width))
    };
    let mut is_seen = vec![false; accesses.len()];
    let mut own = BTreeSet::new();
    let mut fields = Vec::new();
    let words = words.into_iter().filter(|word| !is_of_layout(word));
    for Word { at, instruction, value, is_added_to_two } in words {
        let (index, access) = access_at(instruction)?;
        if !is_added_to_two || value != Offsets::ONE.placeholder(access.ordinal) {
            return None;
        }
        is_seen[index] = true;
        own.insert(instruction);
        let number = reads.number_of_offset(access.ordinal, piece);
        fields.push((StencilField { offset: at, kind: FieldKind::Word, number }, 0));
    }
    // No access has been left out, and none has an address that was computed elsewhere.
    let mut others =
        function.buffer.traps().iter().filter(|trap| {
            trap.code == TrapCode::HEAP_OUT_OF_BOUNDS && !own.contains(&trap.offset)
        });
    let has_others = others.any(|trap| access_at(trap.offset).is_some());
    (!has_others && is_seen.iter().all(|seen| *seen)).then_some(fields)
}

/// Where the instructions come from, in ascending order of offset.
struct Locations<'f>(&'f [InstructionAddressMap]);

impl Locations<'_> {
    /// The source location of the instruction at an offset of the code.
    fn of(&self, offset: u32) -> Option<u32> {
        let behind = self.0.partition_point(|instruction| instruction.code_offset <= offset);
        self.0.get(behind.checked_sub(1)?)?.srcloc.file_offset()
    }
}

/// The fields that hold offsets of accesses: all in which two codes differ.
pub(super) fn between(
    function: &CompiledFunction,
    other: &CompiledFunction,
    (piece, reads): (&Piece, &Reads<'_>),
    backend: &Backend,
) -> Option<Fields> {
    let differences = with_code(function, backend, |code| {
        backend.finder?.differences(code, other.buffer.data()).ok()
    })?;
    let count = reads.uses.offset_count();
    let field = |difference: &Difference| {
        let held = Offsets::OTHER.held(difference);
        let (ordinal, addend) = held.filter(|(at, _)| *at < count)?;
        let number = reads.number_of_offset(ordinal, piece);
        Some((StencilField { offset: difference.at, kind: FieldKind::Word, number }, addend))
    };
    differences.iter().filter(|difference| !Reads::differ_by(difference)).map(field).collect()
}

/// What stands in the place of the offsets of accesses, one time and another. The
/// placeholders of constants are others, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offsets {
    /// In the place of the first.
    first: u32,
    /// By how much that in the place of the next is larger.
    step: i32,
}

impl Offsets {
    /// All are such as an offset that is a parameter may be, and none is anything special: all
    /// are odd, and no four bytes of an instruction are likely to be one by accident.
    pub(super) const ONE: Self = Self { first: 0x0174_5a25, step: 64 };

    /// What codes are compared with.
    pub(super) const OTHER: Self = Self { first: OFFSET_MAX as u32 - 2027, step: -48 };

    /// The largest distance of what is drawn for a key from the first of [`OTHER`](Self::OTHER).
    const DRAWN_MAX: u32 = 1 << 21;

    const DRAWN_STEPS: [i32; 3] = [-80, -112, -144];

    /// What the checker compares a code with, one after the other: one that equals a constant of the
    /// function may change its code's form. So the others are drawn for the function's key, and a few
    /// constants cannot equal all of them; thousands can, in a function of many offsets.
    pub(super) fn others(key: &CacheKey) -> impl Iterator<Item = Self> {
        // What is sampled is chosen by the first bytes.
        let (drawn, _) = key.as_bytes()[16..].as_chunks();
        let drawn = drawn.iter().zip(Self::DRAWN_STEPS).map(|(bytes, step)| {
            let distance = (u32::from_le_bytes(*bytes) % Self::DRAWN_MAX) & !1;
            Self { first: Self::OTHER.first - distance, step }
        });
        std::iter::once(Self::OTHER).chain(drawn)
    }

    /// The offset in the place of one of the function's distinct offsets.
    pub(super) const fn placeholder(self, ordinal: u32) -> u32 {
        self.first.wrapping_add_signed(self.step * ordinal as i32)
    }

    /// Which offset a field holds that differs between [`ONE`](Self::ONE) and these, and what is
    /// added to it. The differences are not the same for any two of them, whatever is added to both.
    /// The sum fits into the field for any offset that is a parameter, and not for some alone: it is
    /// not in the key which one it is.
    pub(super) fn held(self, difference: &Difference) -> Option<(u32, u32)> {
        let Difference { at: _, one, other } = *difference;
        let step = Self::ONE.step.abs_diff(self.step);
        let missing = (self.first - Self::ONE.first).checked_sub(other.checked_sub(one)?)?;
        let ordinal = missing.is_multiple_of(step).then_some(missing / step)?;
        let addend = one.checked_sub(Self::ONE.placeholder(ordinal))?;
        let largest = addend.checked_add(OFFSET_MAX as u32)?;
        (largest < FieldKind::Word.limit()).then_some((ordinal, addend))
    }
}

// All of them are parameters' offsets, and the kinds do not overlap with the first.
const _: () = {
    let last = CONSTANTS_MAX as u32;
    assert!(Offsets::ONE.placeholder(0) as u64 >= OFFSET_MIN);
    assert!(Offsets::OTHER.placeholder(0) as u64 <= OFFSET_MAX);
    let mut at = 0;
    while at < Offsets::DRAWN_STEPS.len() {
        let first = Offsets::OTHER.first - Offsets::DRAWN_MAX;
        let least = Offsets { first, step: Offsets::DRAWN_STEPS[at] };
        assert!(Offsets::ONE.placeholder(last) < least.placeholder(last));
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::Offsets;
    use generate::edit::OFFSET_PLACEHOLDER;

    #[test]
    fn edits_make_offsets_that_are_equal_to_the_first_placeholder() {
        assert_eq!(u64::from(Offsets::ONE.placeholder(0)), OFFSET_PLACEHOLDER);
    }
}
