//! [`CompiledStencil`] + [`FunctionParameters`] -> this module's relocations and
//! source locations.
//!
//! No other code knows which kinds of fixup there are.

use crate::compiled::{CompiledStencil, RelocationTarget};
use crate::parameters::{ExternalName, FunctionParameters};

/// Whom a function's relocation names in its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinalTarget {
    /// A function, or what else has a name of this form.
    Name(ExternalName),
    /// One of Cranelift's library calls, by its place in their list.
    LibCall(u32),
    /// One of Cranelift's well-known symbols, by its place in their list.
    KnownSymbol(u32),
    /// A byte offset in the function itself.
    FunctionOffset(u32),
}

/// A relocation of a function in its module: the stencil's, with the name of
/// whom this function calls there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalRelocation {
    /// Byte offset in the function's code.
    pub offset: u32,
    /// Which kind of relocation, in the numbering of the compiler's side.
    pub kind: u8,
    /// Added to the target's address.
    pub addend: i64,
    /// Who is named.
    pub target: FinalTarget,
}

/// A compiled stencil bound to one function's parameters.
#[derive(Clone, Copy, Debug)]
pub struct FinalizedFunction<'a> {
    stencil: CompiledStencil<'a>,
    parameters: &'a FunctionParameters,
}

/// A stencil and parameters that were not split from the same function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry is for {stencil_callees} callees and {stencil_sources} source locations, \
     the function has {callees} and {sources}"
)]
pub struct ParameterMismatch {
    /// Callees that the stencil refers to.
    pub stencil_callees: u32,
    /// Source locations that the stencil refers to.
    pub stencil_sources: u32,
    /// Callees of the parameters.
    pub callees: u32,
    /// Source locations of the parameters.
    pub sources: u32,
}

/// Binds a stencil to a function's parameters.
///
/// # Errors
///
/// [`ParameterMismatch`] if they do not belong together. With a right key this
/// cannot happen; it is checked so that an entry that lies can do less harm.
pub fn finalize<'a>(
    stencil: CompiledStencil<'a>,
    parameters: &'a FunctionParameters,
) -> Result<FinalizedFunction<'a>, ParameterMismatch> {
    let callees = u32::try_from(parameters.callees.len()).unwrap_or(u32::MAX);
    let sources = parameters.source.len();
    if stencil.callee_count() != callees || stencil.source_count() != sources {
        return Err(ParameterMismatch {
            stencil_callees: stencil.callee_count(),
            stencil_sources: stencil.source_count(),
            callees,
            sources,
        });
    }
    Ok(FinalizedFunction { stencil, parameters })
}

impl<'a> FinalizedFunction<'a> {
    /// The parameters that the stencil was bound to.
    pub fn parameters(&self) -> &'a FunctionParameters {
        self.parameters
    }

    /// The stencil: code, traps and the tables that no parameter changes.
    pub fn stencil(&self) -> &CompiledStencil<'a> {
        &self.stencil
    }

    /// The relocations, in ascending order of offset.
    pub fn relocations(&self) -> impl Iterator<Item = FinalRelocation> + use<'a> {
        let callees = &self.parameters.callees;
        self.stencil.relocations().filter_map(|relocation| {
            let target = match relocation.target {
                RelocationTarget::Callee(callee) => {
                    FinalTarget::Name(*callees.get(callee.0 as usize)?)
                }
                RelocationTarget::Fixed(name) => FinalTarget::Name(name),
                RelocationTarget::LibCall(number) => FinalTarget::LibCall(number),
                RelocationTarget::KnownSymbol(number) => FinalTarget::KnownSymbol(number),
                RelocationTarget::FunctionOffset(offset) => FinalTarget::FunctionOffset(offset),
            };
            Some(FinalRelocation {
                offset: relocation.offset,
                kind: relocation.kind,
                addend: relocation.addend,
                target,
            })
        })
    }

    /// The source map as pairs of byte offset in the code and byte offset in
    /// the input; `None` for code that belongs to no operator. `offsets` is
    /// working memory.
    pub fn sources<'b>(
        &'b self,
        offsets: &'b mut Vec<u32>,
    ) -> impl Iterator<Item = (u32, Option<u32>)> + 'b {
        self.parameters.source.expand_into(offsets);
        let offsets: &Vec<u32> = offsets;
        self.stencil.sources().map(|source| {
            let input = source.ordinal.and_then(|ordinal| offsets.get(ordinal.0 as usize));
            (source.offset, input.copied())
        })
    }
}
