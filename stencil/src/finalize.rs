//! [`CompiledStencil`] + [`FunctionParameters`] -> this module's code, relocations
//! and source locations.
//!
//! No other code knows which kinds of fixup there are.

use crate::compiled::{CompiledStencil, RelocationTarget, StencilField};
use crate::parameters::{ExternalName, FunctionParameters, NumberIndex};
use std::borrow::Cow;

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
    "entry is for {stencil_callees} callees, {stencil_numbers} numbers and \
     {stencil_sources} source locations, the function has {callees}, {numbers} and {sources}"
)]
pub struct ParameterMismatch {
    /// Callees that the stencil refers to.
    pub stencil_callees: u32,
    /// Numbers that the stencil refers to.
    pub stencil_numbers: u32,
    /// Source locations that the stencil refers to.
    pub stencil_sources: u32,
    /// Callees of the parameters.
    pub callees: u32,
    /// Numbers that the parameters have, and that fit their fields.
    pub numbers: u32,
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
    let function = FinalizedFunction { stencil, parameters };
    let numbers = function.numbers_that_fit();
    if stencil.callee_count() != callees
        || stencil.number_count() != numbers
        || stencil.source_count() != sources
    {
        return Err(ParameterMismatch {
            stencil_callees: stencil.callee_count(),
            stencil_numbers: stencil.number_count(),
            stencil_sources: stencil.source_count(),
            callees,
            numbers,
            sources,
        });
    }
    Ok(function)
}

impl<'a> FinalizedFunction<'a> {
    /// The parameters that the stencil was bound to.
    pub fn parameters(&self) -> &'a FunctionParameters {
        self.parameters
    }

    /// The stencil: code with its fields not filled in, traps and the tables that no
    /// parameter changes.
    pub fn stencil(&self) -> &CompiledStencil<'a> {
        &self.stencil
    }

    /// The machine code in its module; calls are not resolved yet.
    pub fn final_code(&self) -> Cow<'a, [u8]> {
        let code = self.stencil.code();
        if self.stencil.field_count() == 0 {
            return Cow::Borrowed(code);
        }
        let mut filled = code.to_vec();
        self.fill(&mut filled);
        Cow::Owned(filled)
    }

    /// [`final_code`](Self::final_code) into a place of the same size.
    pub fn copy_code_to(&self, place: &mut [u8]) {
        place.copy_from_slice(self.stencil.code());
        self.fill(place);
    }

    /// Fills in the fields of a copy of the stencil's code.
    fn fill(&self, code: &mut [u8]) {
        for field in self.stencil.fields() {
            if let Some(number) = self.number(field) {
                field.kind.write(code, field.offset, number);
            }
        }
    }

    /// What a field holds in this module, if it can.
    fn number(&self, field: StencilField) -> Option<u32> {
        let NumberIndex(index) = field.number;
        let number = self.parameters.numbers.get(index as usize)?;
        let addend = field.kind.read(self.stencil.code(), field.offset)?;
        number.checked_add(addend).filter(|number| *number < field.kind.limit())
    }

    /// The count of the parameters' numbers; 0 or another that belongs to no
    /// stencil with such fields if one of them does not fit.
    fn numbers_that_fit(&self) -> u32 {
        let mut fields = self.stencil.fields();
        match fields.all(|field| self.number(field).is_some()) {
            true => u32::try_from(self.parameters.numbers.len()).unwrap_or(u32::MAX),
            false => 0,
        }
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
