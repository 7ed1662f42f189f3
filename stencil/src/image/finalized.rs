//! A finalized function -> a [`Fragment`]: its own names stay names, what only
//! the program knows becomes an address.

use super::{Fragment, FragmentRelocation, FragmentTarget};
use crate::clif::{known_symbol_of, lib_call_of, reloc_of};
use crate::finalize::{FinalTarget, FinalizedFunction};
use cranelift_codegen::ir::{KnownSymbol, LibCall};
use std::fmt;

/// What code refers to without a name that the program gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Builtin {
    /// A function that Cranelift calls in place of an instruction.
    LibCall(LibCall),
    /// One of Cranelift's well-known symbols.
    KnownSymbol(KnownSymbol),
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LibCall(call) => write!(f, "the library call {call}"),
            Self::KnownSymbol(symbol) => write!(f, "the symbol {symbol}"),
        }
    }
}

/// Why a finalized function is no fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// The caller has no address for it.
    #[error("the code refers to {builtin} at offset {offset}; give it an address")]
    Unresolved {
        /// Byte offset of the relocation in the code.
        offset: u32,
        /// To what it refers.
        builtin: Builtin,
    },
    /// A number that this version of Cranelift has no meaning for: another
    /// version sealed the entry, or nobody did.
    #[error(
        "the entry's relocation at offset {offset} has a number that this version of Cranelift \
         does not have; compile the function without the cache"
    )]
    UnknownNumber {
        /// Byte offset of the relocation in the code.
        offset: u32,
    },
}

impl<'a> Fragment<'a> {
    /// The fragment of a function that came through a cache. `address_of` says
    /// where the library calls and symbols are that its code refers to; it is
    /// asked once for each reference.
    ///
    /// # Errors
    ///
    /// [`FragmentError`]. Everything else that may be wrong with an entry is
    /// found when the fragment is put into an image.
    pub fn of(
        function: &FinalizedFunction<'a>,
        mut address_of: impl FnMut(Builtin) -> Option<u64>,
    ) -> Result<Self, FragmentError> {
        let mut relocations = Vec::new();
        for relocation in function.relocations() {
            let offset = relocation.offset;
            let unknown = FragmentError::UnknownNumber { offset };
            let mut address = |builtin| {
                let address = address_of(builtin);
                let address = address.ok_or(FragmentError::Unresolved { offset, builtin })?;
                Ok(FragmentTarget::Address(address))
            };
            let target = match relocation.target {
                FinalTarget::Name(name) => FragmentTarget::Function(name),
                FinalTarget::FunctionOffset(offset) => FragmentTarget::Own(offset),
                FinalTarget::LibCall(number) => {
                    address(Builtin::LibCall(lib_call_of(number).ok_or(unknown)?))?
                }
                FinalTarget::KnownSymbol(number) => {
                    address(Builtin::KnownSymbol(known_symbol_of(number).ok_or(unknown)?))?
                }
            };
            let kind = reloc_of(relocation.kind).ok_or(unknown)?;
            let addend = relocation.addend;
            relocations.push(FragmentRelocation { offset, kind, addend, target });
        }
        let alignment = function.stencil().alignment();
        Ok(Self { code: function.code(), alignment, relocations })
    }
}
