//! A stencil from a cache -> whether it can be linked at all.
//!
//! A seal finds damage. It does not tell whether an entry was made by a compiler
//! like this one; what was not would be found out when it is too late to compile
//! the function.

use crate::codegen::reloc_of;
use crate::compiler::Backend;
use crate::lookup::Slots;
use crate::pieces::{external_name, is_fixed};
use cranelift_codegen::binemit::Reloc;
use std::collections::HashSet;
use stencil::compiled::{RelocationTarget, StencilHandler, StencilRelocation, Unwind};
use stencil::{CompiledStencil, ExternalName};
use target_lexicon::Architecture;

/// What relocations of one artifact look like.
pub(crate) struct Linkability {
    call: Option<Call>,
    /// The functions that a stencil may name.
    fixed: HashSet<ExternalName>,
}

/// How one architecture calls a function.
#[derive(Clone, Copy)]
struct Call {
    kind: Reloc,
    addend: i64,
    /// Of the instruction, in bytes.
    align: u32,
}

impl Call {
    fn of(architecture: Architecture) -> Option<Self> {
        let call = |kind, addend, align| Some(Self { kind, addend, align });
        match architecture {
            Architecture::X86_64 => call(Reloc::X86CallPCRel4, -4, 1),
            Architecture::Aarch64(_) => call(Reloc::Arm64Call, 0, 4),
            _ => None,
        }
    }

    fn is(self, relocation: &StencilRelocation) -> bool {
        reloc_of(relocation.kind) == Some(self.kind)
            && relocation.addend == self.addend
            && relocation.offset.is_multiple_of(self.align)
    }
}

impl Linkability {
    pub(crate) fn new(backend: &Backend, slots: &Slots<'_>) -> Self {
        let all = slots.pieces.iter().chain(&slots.builtins);
        let fixed = all.map(|slotted| slotted.piece.func_key).filter(|key| is_fixed(*key));
        Self {
            call: Call::of(backend.compiler.triple().architecture),
            fixed: fixed.map(external_name).collect(),
        }
    }

    /// Whether all of a stencil's relocations are calls of functions that the
    /// artifact can have, and its tables such as the artifact's sections hold.
    pub(crate) fn of(&self, stencil: &CompiledStencil<'_>) -> bool {
        let in_register =
            |handler: StencilHandler| matches!(handler, StencilHandler::ContextInRegister(_));
        !stencil.call_sites().any(|site| site.handlers().any(in_register))
            && !stencil.stack_maps().any(|map| map.slots().any(|slot| slot.offset % 4 != 0))
            && !matches!(stencil.unwind(), Unwind::Cranelift(_))
            && stencil.tables_are_sound()
            && self.relocations_of(stencil)
    }

    fn relocations_of(&self, stencil: &CompiledStencil<'_>) -> bool {
        stencil.relocations().all(|relocation| {
            let is_call = match self.call {
                Some(call) => call.is(&relocation),
                // This build has no compiler for other architectures than the
                // host's, whose code the linker's own checks have to do for.
                None => reloc_of(relocation.kind).is_some(),
            };
            is_call
                && match relocation.target {
                    RelocationTarget::Callee(_) => true,
                    RelocationTarget::Fixed(name) => self.fixed.contains(&name),
                    _ => false,
                }
        })
    }
}
