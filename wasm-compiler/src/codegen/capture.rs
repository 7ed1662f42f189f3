//! What Wasmtime's compiler gives back -> a stencil: names become ordinals of
//! the parameters, source locations ordinals of the body.

use crate::compiler::Backend;
use crate::pieces::{Piece, external_name, is_fixed};
use cranelift_codegen::binemit::Reloc;
use std::collections::HashMap;
use stencil::clif::{reloc_number, stack_map_slots};
use stencil::compiled::{
    RelocationTarget, StencilHandler, StencilRelocation, StencilSource, StencilTrap,
};
use stencil::{CalleeIndex, FunctionParameters, SourceOrdinal, StencilBuilder};
use wasmtime_internal_cranelift::CompiledFunction;

/// Why no stencil can hold a piece of code. No configuration that the key covers
/// is known to make such code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CaptureError {
    /// The compiler's result has another type than expected.
    Foreign,
    /// A relocation of a kind that entries have no number for.
    Relocation,
    /// The code calls a function that its body does not name.
    Callee,
    /// The body names two functions, and they are one.
    Callees,
    /// The code has a source location where no operator starts.
    Source,
    /// Unwind information that is not System V's.
    Unwind,
    /// An exception handler's context is in a register.
    Context,
    /// More than an entry may have.
    TooLarge,
}

impl CaptureError {
    /// For the report.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Foreign => "code of an unknown kind",
            Self::Relocation => "a relocation of an unknown kind",
            Self::Callee => "a call that the body does not name",
            Self::Callees => "two callees of one name",
            Self::Source => "a source location between operators",
            Self::Unwind => "unwind information of an unknown kind",
            Self::Context => "an exception context in a register",
            Self::TooLarge => "a function too large for an entry",
        }
    }
}

/// The kinds of relocation between functions of a module.
const RELOCS: &[Reloc] = &[
    Reloc::X86CallPCRel4,
    Reloc::Arm64Call,
    Reloc::RiscvCallPlt,
    Reloc::S390xPLTRel32Dbl,
    Reloc::S390xPCRel32Dbl,
];

/// The kind of relocation behind a number in an entry, if a module can have it.
pub(crate) fn reloc_of(kind: u8) -> Option<Reloc> {
    stencil::clif::reloc_of(kind).filter(|reloc| RELOCS.contains(reloc))
}

/// Turns a compiled function into a stencil for functions with the same
/// parameters' shape. `code` is the function's, or what has been made of it.
pub(super) fn capture(
    function: &CompiledFunction,
    needs_gc_heap: bool,
    code: Vec<u8>,
    piece: &Piece,
    backend: &Backend,
) -> Result<StencilBuilder, CaptureError> {
    let parameters = &piece.parameters;
    let mut stencil = StencilBuilder::new(
        code,
        function.alignment,
        parameters.callees.len() as u32,
        parameters.source.len(),
    );
    stencil.needs_gc_heap(needs_gc_heap);
    stencil.number_count(parameters.numbers.len() as u32);
    relocations(&mut stencil, function, piece)?;
    for trap in function.traps(&backend.settings.tunables) {
        stencil.trap(StencilTrap { offset: trap.code_offset, code: trap.trap_code.as_u8() });
    }
    sources(&mut stencil, function, parameters)?;
    call_sites(&mut stencil, function)?;
    stack_maps(&mut stencil, function);
    if !backend.frames.add(&mut stencil, function.unwind_info()) {
        return Err(CaptureError::Unwind);
    }
    Ok(stencil)
}

fn relocations(
    stencil: &mut StencilBuilder,
    function: &CompiledFunction,
    piece: &Piece,
) -> Result<(), CaptureError> {
    let callees = piece.parameters.callees.iter().zip(0..);
    let callees: HashMap<_, u32> = callees.map(|(callee, at)| (*callee, at)).collect();
    // Of two of one name, calls of the one could pass for calls of the other. No body is known
    // to have them: that an import is a function of its own module is never known.
    if callees.len() < piece.parameters.callees.len() {
        return Err(CaptureError::Callees);
    }
    for relocation in function.relocations() {
        let name = external_name(relocation.reloc_target);
        let target = match callees.get(&name) {
            Some(callee) => RelocationTarget::Callee(CalleeIndex(*callee)),
            None if is_fixed(relocation.reloc_target) => RelocationTarget::Fixed(name),
            // What is never cached may name anyone.
            None if piece.cache_key.is_none() => RelocationTarget::Fixed(name),
            None => return Err(CaptureError::Callee),
        };
        let kind = reloc_number(relocation.reloc).filter(|_| RELOCS.contains(&relocation.reloc));
        stencil.relocation(StencilRelocation {
            offset: relocation.offset,
            kind: kind.ok_or(CaptureError::Relocation)?,
            addend: relocation.addend,
            target,
        });
    }
    Ok(())
}

/// The address map, without runs that repeat the one before (as
/// `AddressMapSection::push` leaves them out).
fn sources(
    stencil: &mut StencilBuilder,
    function: &CompiledFunction,
    parameters: &FunctionParameters,
) -> Result<(), CaptureError> {
    let mut offsets = Vec::new();
    parameters.source.expand_into(&mut offsets);
    let mut last = None;
    for instruction in &function.address_map().instructions {
        let location = instruction.srcloc.file_offset();
        if last == Some(location) {
            continue;
        }
        last = Some(location);
        let ordinal = match location {
            None => None,
            Some(location) => {
                let at = offsets.binary_search(&location);
                let at = at.map_err(|_| CaptureError::Source)?;
                Some(SourceOrdinal(at as u32))
            }
        };
        stencil.source(StencilSource { offset: instruction.code_offset, ordinal });
    }
    Ok(())
}

/// The calls with handlers.
fn call_sites(
    stencil: &mut StencilBuilder,
    function: &CompiledFunction,
) -> Result<(), CaptureError> {
    for site in function.buffer.call_sites() {
        let handlers: Vec<StencilHandler> =
            site.exception_handlers.iter().map(StencilHandler::from).collect();
        if handlers.iter().any(|handler| matches!(handler, StencilHandler::ContextInRegister(_))) {
            return Err(CaptureError::Context);
        }
        if handlers.iter().any(|handler| !matches!(handler, StencilHandler::Context(_))) {
            let frame_offset = site.frame_offset.unwrap_or(u32::MAX);
            stencil.call_site(site.ret_addr, frame_offset, &handlers);
        }
    }
    Ok(())
}

fn stack_maps(stencil: &mut StencilBuilder, function: &CompiledFunction) {
    for (offset, frame_size, map) in function.buffer.user_stack_maps() {
        let slots = stack_map_slots(map);
        if !slots.is_empty() {
            stencil.stack_map(*offset, *frame_size, &slots);
        }
    }
}
