//! A stencil -> the compiled half of it: the canonical function is restored,
//! compiled, and what Cranelift gives back is taken in.

use super::numbers::reloc_number;
use super::{NO_LOCATION, restore};
use crate::compiled::{
    DebugBuilder, RelocationTarget, StencilBuilder, StencilDebugTag, StencilFrameSlot,
    StencilHandler, StencilPatchableCall, StencilRelocation, StencilSlot, StencilSource,
    StencilTrap, StencilValueRange,
};
use crate::function_stencil::FunctionStencil;
use crate::parameters::{CalleeIndex, SourceOrdinal};
use cranelift_codegen::ir;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{
    CodegenError, CompiledCode, Context, ExceptionContextLoc, FinalizedMachExceptionHandler,
    FinalizedRelocTarget, LabelValueLoc, MachDebugTagPos,
};
use cranelift_control::ControlPlane;

/// Why a stencil has no code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// Cranelift refuses the function.
    #[error("cannot compile the function: {0}")]
    Codegen(#[from] CodegenError),
    /// The code has something that no entry can hold.
    #[error("no entry can hold the function's code: {0}")]
    Unheld(&'static str),
    /// Not a stencil.
    #[error(transparent)]
    Malformed(#[from] restore::MalformedStencil),
}

/// Compiles a stencil of a function whose parameters have `callees` callees and
/// `sources` source locations. The context's function is replaced.
///
/// # Errors
///
/// [`GenerateError`].
pub fn generate(
    stencil: &FunctionStencil<'_>,
    callees: u32,
    sources: u32,
    isa: &dyn TargetIsa,
    context: &mut Context,
) -> Result<StencilBuilder, GenerateError> {
    context.clear();
    context.func = restore::restore(stencil)?;
    let slots = context.func.sized_stack_slots.len();
    // Tests of Cranelift perturb code generation with it; a cache must not.
    let mut control_plane = ControlPlane::default();
    let compiled = context.compile(isa, &mut control_plane).map_err(|error| error.inner)?;
    capture(compiled, callees, sources, slots, isa).map_err(GenerateError::Unheld)
}

type Captured = Result<(), &'static str>;

fn capture(
    compiled: &CompiledCode,
    callees: u32,
    sources: u32,
    slots: usize,
    isa: &dyn TargetIsa,
) -> Result<StencilBuilder, &'static str> {
    let buffer = &compiled.buffer;
    let mut stencil =
        StencilBuilder::new(buffer.data().to_vec(), buffer.alignment, callees, sources);
    relocations(&mut stencil, compiled)?;
    if !buffer.traps().is_sorted_by_key(|trap| trap.offset) {
        return Err("traps out of order");
    }
    for trap in buffer.traps() {
        stencil.trap(StencilTrap { offset: trap.offset, code: trap.code.as_raw().get() });
    }
    source_map(&mut stencil, compiled)?;
    call_sites(&mut stencil, compiled)?;
    for (offset, frame_size, map) in buffer.user_stack_maps() {
        let slots = stack_map_slots(map);
        stencil.stack_map(*offset, *frame_size, &slots);
    }
    let unwind = compiled.create_unwind_info(isa).map_err(|_| "unwind information")?;
    if let Some(unwind) = unwind {
        stencil.unwind_cranelift(super::unwind::encode(&unwind).ok_or("unwind information")?);
    }
    stencil.debug(&debug(compiled, slots)?);
    Ok(stencil)
}

fn relocations(stencil: &mut StencilBuilder, compiled: &CompiledCode) -> Captured {
    if !compiled.buffer.relocs().is_sorted_by_key(|reloc| reloc.offset) {
        return Err("relocations out of order");
    }
    for reloc in compiled.buffer.relocs() {
        let target = match &reloc.target {
            FinalizedRelocTarget::ExternalName(ir::ExternalName::User(name)) => {
                // The canonical function declares its callees in this order.
                RelocationTarget::Callee(CalleeIndex(name.as_u32()))
            }
            FinalizedRelocTarget::ExternalName(ir::ExternalName::LibCall(call)) => {
                RelocationTarget::LibCall(*call as u32)
            }
            FinalizedRelocTarget::ExternalName(ir::ExternalName::KnownSymbol(symbol)) => {
                RelocationTarget::KnownSymbol(*symbol as u32)
            }
            FinalizedRelocTarget::ExternalName(ir::ExternalName::TestCase(_)) => {
                return Err("a name of a test case");
            }
            FinalizedRelocTarget::Func(offset) => RelocationTarget::FunctionOffset(*offset),
        };
        let kind = reloc_number(reloc.kind).ok_or("a relocation of an unknown kind")?;
        let (offset, addend) = (reloc.offset, reloc.addend);
        stencil.relocation(StencilRelocation { offset, kind, addend, target });
    }
    Ok(())
}

/// Runs of code; `None` where no run is.
fn source_map(stencil: &mut StencilBuilder, compiled: &CompiledCode) -> Captured {
    let mut end = None;
    for run in compiled.buffer.get_srclocs_sorted() {
        match end {
            Some(end) if end > run.start => return Err("source locations out of order"),
            Some(end) if end < run.start => {
                stencil.source(StencilSource { offset: end, ordinal: None });
            }
            _ => {}
        }
        let ordinal = if run.loc.is_default() { NO_LOCATION } else { run.loc.bits() };
        let ordinal = Some(SourceOrdinal(ordinal));
        stencil.source(StencilSource { offset: run.start, ordinal });
        end = Some(run.end);
    }
    if let Some(end) = end {
        stencil.source(StencilSource { offset: end, ordinal: None });
    }
    Ok(())
}

impl From<&FinalizedMachExceptionHandler> for StencilHandler {
    fn from(handler: &FinalizedMachExceptionHandler) -> Self {
        match *handler {
            FinalizedMachExceptionHandler::Tag(tag, offset) => {
                Self::Tag { tag: tag.as_u32(), offset }
            }
            FinalizedMachExceptionHandler::Default(offset) => Self::Default { offset },
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::SPOffset(offset)) => {
                Self::Context(offset)
            }
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::GPR(register)) => {
                Self::ContextInRegister(register)
            }
        }
    }
}

/// The slots of one of Cranelift's stack maps.
pub fn stack_map_slots(map: &ir::UserStackMap) -> Vec<StencilSlot> {
    map.entries().map(|(ty, offset)| StencilSlot { ty: ty.index() as u16, offset }).collect()
}

fn call_sites(stencil: &mut StencilBuilder, compiled: &CompiledCode) -> Captured {
    let mut last = 0;
    for site in compiled.buffer.call_sites() {
        if site.ret_addr < last {
            return Err("call sites out of order");
        }
        last = site.ret_addr;
        let handlers: Vec<StencilHandler> =
            site.exception_handlers.iter().map(StencilHandler::from).collect();
        stencil.call_site(site.ret_addr, site.frame_offset.unwrap_or(u32::MAX), &handlers);
    }
    Ok(())
}

fn debug(compiled: &CompiledCode, slots: usize) -> Result<DebugBuilder, &'static str> {
    let buffer = &compiled.buffer;
    let mut debug = DebugBuilder::default();
    if let Some(layout) = buffer.frame_layout() {
        debug.frame_pointer(layout.frame_to_fp_offset);
        for slot in 0..slots {
            let slot = &layout.stackslots[ir::StackSlot::from_u32(slot as u32)];
            let key = slot.key.map(|key| key.bits());
            debug.frame_slot(StencilFrameSlot { offset: slot.offset, key });
        }
    }
    let mut last = 0;
    for list in buffer.debug_tags() {
        if list.offset < last {
            return Err("debug tags out of order");
        }
        last = list.offset;
        let tag = |tag: &ir::DebugTag| match tag {
            ir::DebugTag::User(value) => StencilDebugTag::User(*value),
            ir::DebugTag::StackSlot(slot) => StencilDebugTag::StackSlot(slot.as_u32()),
        };
        let tags: Vec<StencilDebugTag> = list.tags.iter().map(tag).collect();
        debug.tags(list.offset, list.pos == MachDebugTagPos::Pre, &tags);
    }
    let calls: Vec<StencilPatchableCall> = buffer
        .patchable_call_sites()
        .map(|call| StencilPatchableCall { return_offset: call.ret_addr, len: call.len })
        .collect();
    if !calls.is_sorted_by_key(|call| call.return_offset) {
        return Err("patchable calls out of order");
    }
    if !calls.is_empty() {
        calls.iter().for_each(|call| debug.patchable_call(*call));
        buffer.nop_units.iter().for_each(|no_op| debug.no_op(no_op));
    }
    value_labels(&mut debug, compiled);
    compiled.bb_starts.iter().for_each(|start| debug.block_start(*start));
    compiled.bb_edges.iter().for_each(|(from, to)| debug.block_edge(*from, *to));
    Ok(debug)
}

fn value_labels(debug: &mut DebugBuilder, compiled: &CompiledCode) {
    let mut labels: Vec<_> = compiled.value_labels_ranges.iter().collect();
    labels.sort_by_key(|(label, _)| label.as_u32());
    for (label, ranges) in labels {
        let range = |range: &cranelift_codegen::ValueLocRange| {
            let (register, frame_offset) = match range.loc {
                LabelValueLoc::Reg(register) => {
                    (Some(regalloc2::VReg::from(register).bits() as u32), 0)
                }
                LabelValueLoc::CFAOffset(offset) => (None, offset),
            };
            StencilValueRange { start: range.start, end: range.end, register, frame_offset }
        };
        let ranges: Vec<StencilValueRange> = ranges.iter().map(range).collect();
        debug.value_label(label.as_u32(), &ranges);
    }
}
