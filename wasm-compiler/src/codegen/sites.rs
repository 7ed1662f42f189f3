//! Machine code of one function -> the fields in it that hold where something
//! lies in the `VMContext`, or which of the module's types is meant.
//!
//! Wasmtime translates an access to a module's entity into a load or a store at
//! an offset from the `VMContext`, and a check of a type into a load from the
//! array of type ids, which the `VMContext` points to. Nothing else in a
//! function's code knows the layout. So the fields are found by following the
//! `VMContext` pointer from the register in which it arrives: through moves,
//! spills and reloads, along every path. The displacement of each access that it
//! is the base of is a site.
//!
//! Invariant: whatever instruction has the pointer in a way that is not one of
//! these makes the whole function [`Unexplained`]. No site is found by what its
//! bytes look like.
//!
//! For constants that are parameters a target also says where given words stand, what two
//! codes differ in, and puts constants in the place of reads ([`Finder`]).

mod x86_64;

use std::ops::Range;
use stencil::NumberIndex;
use stencil::compiled::StencilField;
use target_lexicon::Architecture;

/// What an access is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Base {
    /// The function's own `VMContext`.
    VmContext,
    /// The array of type ids.
    TypeIds,
}

/// A field of the code that holds a distance from a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    /// Byte offset of the field in the code.
    pub(crate) at: u32,
    /// Size of the field in bytes: 1 or 4; 0 if a distance of 0 takes none.
    pub(crate) width: u8,
    pub(crate) base: Base,
    /// The distance in bytes.
    pub(crate) displacement: u32,
    /// Where the instruction starts that the field is of.
    pub(crate) instruction: u32,
}

/// Code that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {at} of the function's code")]
pub(crate) struct Unexplained {
    pub(crate) at: u32,
    pub(crate) what: &'static str,
}

/// A call that an exception may leave.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    /// The call's return address, as a byte offset in the code.
    pub(crate) return_offset: u32,
    /// Where its handlers start.
    pub(crate) handlers: Vec<u32>,
}

/// One function's machine code, and what its bytes alone do not tell.
#[derive(Clone, Debug)]
pub(crate) struct Code<'a> {
    pub(crate) bytes: &'a [u8],
    /// Byte offsets of the fields that relocations fill in, ascending.
    pub(crate) relocated: &'a [u32],
    pub(crate) landings: &'a [Landing],
    /// Where the `VMContext` points to the array of type ids.
    pub(crate) type_ids_at: u32,
}

/// A read of a placeholder, in the place of which a constant is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// The displacement.
    pub(crate) site: Site,
    /// Which of the parameters' numbers the constant is.
    pub(crate) number: NumberIndex,
    /// The constant's size in bytes: 4 or 8.
    pub(crate) bytes: u8,
}

/// Four bytes of an instruction that hold a number which is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Byte offset in the code.
    pub(crate) at: u32,
    /// Where the instruction starts.
    pub(crate) instruction: u32,
    pub(crate) value: u32,
    /// They are the displacement of an access whose address is the sum of two registers and
    /// the number.
    pub(crate) is_added_to_two: bool,
}

impl Word {
    /// Its size.
    pub(crate) const BYTES: u32 = 4;
}

/// A field of four bytes in which two codes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Byte offset of the field in the code.
    pub(crate) at: u32,
    /// What it holds in the one.
    pub(crate) one: u32,
    /// What it holds in the other.
    pub(crate) other: u32,
}

/// A number that final code has to hold, in the place of what was compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A displacement.
    Displacement { site: Site, number: u32 },
    /// The offset of an access, in a field of four bytes.
    Field { at: u32, number: u32 },
    /// A constant of 4 or 8 bytes, where a placeholder was read.
    Constant { site: Site, value: u32, bytes: u8 },
}

/// What finds numbers in an architecture's code, and puts them there.
pub(crate) trait Finder: Sync {
    /// Finds the sites.
    fn find(&self, code: &Code<'_>) -> Result<Vec<Site>, Unexplained>;

    /// Puts constants in the place of reads; gives the fields that they stand in, in
    /// ascending order of offset. No instruction moves, and what the constants need besides
    /// is behind the code.
    fn plug(&self, code: &mut Vec<u8>, reads: &[Read]) -> Result<Vec<StencilField>, Unexplained>;

    /// Finds whatever four bytes of an instruction hold one of some numbers.
    fn words(&self, code: &Code<'_>, values: &Range<u32>) -> Result<Vec<Word>, Unexplained>;

    /// Finds the fields in which two codes differ, in ascending order of offset, if they
    /// differ in nothing but displacements and constants of their instructions.
    fn differences(&self, one: &Code<'_>, other: &[u8]) -> Result<Vec<Difference>, Unexplained>;

    /// Checks final code against what it was made of.
    fn check(
        &self,
        template: &Code<'_>,
        final_code: &[u8],
        expected: &[Expected],
    ) -> Result<(), Unexplained>;
}

/// The finder of an architecture; none for those whose code is not understood yet,
/// on which the layout stays a part of the key.
pub(crate) fn finder(architecture: Architecture) -> Option<&'static dyn Finder> {
    match architecture {
        Architecture::X86_64 => Some(&x86_64::X86_64),
        _ => None,
    }
}
