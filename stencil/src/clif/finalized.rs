//! A finalized function in Cranelift's own terms: what `CompiledCode` of its
//! canonical form says, with the function's own callees, stack slots and source
//! locations in place.
//!
//! It is what `CompiledCode` of the function itself would say, except where that
//! depends on the order of declarations: a frame lies in the order in which the
//! body first uses the stack slots, and registers may be others.

use super::numbers::{known_symbol_of, lib_call_of, reloc_of, type_of};
use crate::compiled::{
    RelocationTarget, StencilDebugTag, StencilHandler, StencilRelocation, Unwind,
};
#[cfg(feature = "module")]
use crate::finalize::FinalTarget;
use crate::finalize::FinalizedFunction;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::isa::unwind::UnwindInfo;
use cranelift_codegen::{
    ExceptionContextLoc, Final, FinalizedMachCallSite, FinalizedMachExceptionHandler,
    FinalizedMachReloc, FinalizedRelocTarget, LabelValueLoc, MachBufferFrameLayout,
    MachDebugTagPos, MachSrcLoc, MachTrap, Reg, ValueLabelsRanges, ValueLocRange, entity, ir,
};
use regalloc2::VReg;
use std::num::NonZeroU8;

/// A call site; [`Self::as_mach`] is Cranelift's borrowed form of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSite {
    /// Byte offset of the return address in the code.
    pub ret_addr: u32,
    /// Distance from the stack pointer up to the frame pointer in bytes, if
    /// known.
    pub frame_offset: Option<u32>,
    /// The handlers, in the order in which they are read.
    pub exception_handlers: Vec<FinalizedMachExceptionHandler>,
}

impl From<FinalizedMachCallSite<'_>> for CallSite {
    fn from(site: FinalizedMachCallSite<'_>) -> Self {
        let FinalizedMachCallSite { ret_addr, frame_offset, exception_handlers } = site;
        Self { ret_addr, frame_offset, exception_handlers: exception_handlers.to_vec() }
    }
}

impl CallSite {
    /// In Cranelift's form.
    pub fn as_mach(&self) -> FinalizedMachCallSite<'_> {
        FinalizedMachCallSite {
            ret_addr: self.ret_addr,
            frame_offset: self.frame_offset,
            exception_handlers: &self.exception_handlers,
        }
    }
}

/// The references on the stack at one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserStackMap {
    /// Byte offset of the return address in the code.
    pub ret_addr: u32,
    /// The frame's size in bytes.
    pub frame_size: u32,
    /// The references: their types and offsets from the stack pointer in bytes.
    pub entries: Vec<(ir::Type, u32)>,
}

/// A row of `MachBufferFinalized::user_stack_maps`.
impl From<&(u32, u32, ir::UserStackMap)> for UserStackMap {
    fn from((ret_addr, frame_size, map): &(u32, u32, ir::UserStackMap)) -> Self {
        let (ret_addr, frame_size) = (*ret_addr, *frame_size);
        Self { ret_addr, frame_size, entries: map.entries().collect() }
    }
}

/// Debug tags at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct DebugTags {
    /// Byte offset in the code.
    pub offset: u32,
    /// To which instruction they belong.
    pub pos: MachDebugTagPos,
    /// The tags.
    pub tags: Vec<ir::DebugTag>,
}

/// Whether a relocation is one that this version of Cranelift makes, inside of
/// the code. Others, which only a forged entry has, would be lost below.
pub(super) fn is_known(reloc: StencilRelocation, code_len: usize) -> bool {
    let width = match reloc_of(reloc.kind) {
        None => return false,
        Some(Reloc::Abs8 | Reloc::S390xTlsGd64) => 8,
        Some(_) => 4,
    };
    reloc.offset as usize + width <= code_len
        && match reloc.target {
            RelocationTarget::Callee(_) | RelocationTarget::FunctionOffset(_) => true,
            RelocationTarget::LibCall(number) => lib_call_of(number).is_some(),
            RelocationTarget::KnownSymbol(number) => known_symbol_of(number).is_some(),
            RelocationTarget::Fixed(_) => false,
        }
}

/// The views of `MachBufferFinalized` and `CompiledCode`. An entry that another
/// version of Cranelift made, or that was forged, may lack rows here; it never
/// makes these functions panic.
impl<'a> FinalizedFunction<'a> {
    /// The code, as `MachBufferFinalized::data`.
    pub fn code(&self) -> &'a [u8] {
        self.stencil().code()
    }

    /// As `MachBufferFinalized::relocs`; names are refs of the function that was
    /// split.
    pub fn relocs(&self) -> impl Iterator<Item = FinalizedMachReloc> + use<'a> {
        let refs = &self.parameters().clif.callee_refs;
        let stencil = *self.stencil();
        stencil.relocations().filter_map(move |reloc| {
            use RelocationTarget as Target;
            let target = match reloc.target {
                Target::Callee(callee) => {
                    let name = *refs.get(callee.0 as usize)?;
                    let name = ir::UserExternalNameRef::from_u32(name);
                    FinalizedRelocTarget::ExternalName(ir::ExternalName::user(name))
                }
                Target::LibCall(number) => FinalizedRelocTarget::ExternalName(
                    ir::ExternalName::LibCall(lib_call_of(number)?),
                ),
                Target::KnownSymbol(number) => FinalizedRelocTarget::ExternalName(
                    ir::ExternalName::KnownSymbol(known_symbol_of(number)?),
                ),
                Target::FunctionOffset(offset) => FinalizedRelocTarget::Func(offset),
                Target::Fixed(_) => return None,
            };
            let kind = reloc_of(reloc.kind)?;
            Some(FinalizedMachReloc { offset: reloc.offset, kind, target, addend: reloc.addend })
        })
    }

    /// As `MachBufferFinalized::traps`.
    pub fn traps(&self) -> impl Iterator<Item = MachTrap> + use<'a> {
        self.stencil().traps().filter_map(|trap| {
            let code = ir::TrapCode::from_raw(NonZeroU8::new(trap.code)?);
            Some(MachTrap { offset: trap.offset, code })
        })
    }

    /// As `MachBufferFinalized::get_srclocs_sorted`.
    pub fn srclocs(&self) -> Vec<MachSrcLoc<Final>> {
        let mut offsets = Vec::new();
        let mut runs: Vec<MachSrcLoc<Final>> = Vec::new();
        let mut open = false;
        for (start, location) in self.sources(&mut offsets) {
            if let (true, Some(run)) = (open, runs.last_mut()) {
                run.end = start;
            }
            open = location.is_some();
            if let Some(location) = location {
                runs.push(MachSrcLoc { start, end: start, loc: ir::SourceLoc::new(location) });
            }
        }
        runs
    }

    /// As `MachBufferFinalized::call_sites`.
    pub fn call_sites(&self) -> impl Iterator<Item = CallSite> + use<'a> {
        use FinalizedMachExceptionHandler as Handler;
        let handler = |handler| match handler {
            StencilHandler::Tag { tag, offset } => {
                Handler::Tag(ir::ExceptionTag::from_u32(tag), offset)
            }
            StencilHandler::Default { offset } => Handler::Default(offset),
            StencilHandler::Context(offset) => {
                Handler::Context(ExceptionContextLoc::SPOffset(offset))
            }
            StencilHandler::ContextInRegister(register) => {
                Handler::Context(ExceptionContextLoc::GPR(register))
            }
        };
        self.stencil().call_sites().map(move |site| CallSite {
            ret_addr: site.return_offset,
            frame_offset: (site.frame_offset != u32::MAX).then_some(site.frame_offset),
            exception_handlers: site.handlers().map(handler).collect(),
        })
    }

    /// As `MachBufferFinalized::user_stack_maps`.
    pub fn user_stack_maps(&self) -> impl Iterator<Item = UserStackMap> + use<'a> {
        self.stencil().stack_maps().map(|map| UserStackMap {
            ret_addr: map.offset,
            frame_size: map.frame_size,
            entries: map
                .slots()
                .filter_map(|slot| Some((type_of(u64::from(slot.ty))?, slot.offset)))
                .collect(),
        })
    }

    fn stack_slot(&self, number: u32) -> Option<ir::StackSlot> {
        let slot = self.parameters().clif.stack_slots.get(number as usize)?;
        Some(ir::StackSlot::from_u32(*slot))
    }

    /// As `MachBufferFinalized::debug_tags`.
    pub fn debug_tags(&self) -> Vec<DebugTags> {
        let tag = |tag| match tag {
            StencilDebugTag::User(value) => Some(ir::DebugTag::User(value)),
            StencilDebugTag::StackSlot(slot) => self.stack_slot(slot).map(ir::DebugTag::StackSlot),
        };
        let lists = self.stencil().debug().into_iter().flat_map(|debug| debug.tags());
        lists
            .map(|list| DebugTags {
                offset: list.offset,
                pos: if list.starts { MachDebugTagPos::Pre } else { MachDebugTagPos::Post },
                tags: list.tags().filter_map(tag).collect(),
            })
            .collect()
    }

    /// As `MachBufferFinalized::frame_layout`; stack slots that the function
    /// never refers to, and that have no key, have no place.
    pub fn frame_layout(&self) -> Option<MachBufferFrameLayout> {
        let debug = self.stencil().debug()?;
        let frame_to_fp_offset = debug.frame_pointer()?;
        let stackslots = entity::SecondaryMap::new();
        let mut layout = MachBufferFrameLayout { frame_to_fp_offset, stackslots };
        for (number, slot) in debug.frame_slots().enumerate() {
            let Some(handle) = self.stack_slot(number as u32) else { continue };
            layout.stackslots[handle].offset = slot.offset;
            layout.stackslots[handle].key = slot.key.map(ir::StackSlotKey::new);
        }
        Some(layout)
    }

    /// As `MachBufferFinalized::patchable_call_sites`: pairs of return address
    /// and length in bytes.
    pub fn patchable_call_sites(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let debug = self.stencil().debug().into_iter();
        debug.flat_map(|debug| debug.patchable_calls()).map(|call| (call.return_offset, call.len))
    }

    /// As `CompiledCode::value_labels_ranges`.
    pub fn value_labels_ranges(&self) -> ValueLabelsRanges {
        let labels = self.stencil().debug().into_iter().flat_map(|debug| debug.value_labels());
        let range = |range: crate::compiled::StencilValueRange| ValueLocRange {
            loc: match range.register {
                Some(register) => LabelValueLoc::Reg(Reg::from(VReg::from_bits(register))),
                None => LabelValueLoc::CFAOffset(range.frame_offset),
            },
            start: range.start,
            end: range.end,
        };
        labels
            .map(|label| {
                (ir::ValueLabel::from_u32(label.label), label.ranges().map(range).collect())
            })
            .collect()
    }

    /// As `CompiledCode::create_unwind_info`.
    pub fn unwind_info(&self) -> Option<UnwindInfo> {
        match self.stencil().unwind() {
            Unwind::Cranelift(bytes) => super::unwind::decode(bytes),
            _ => None,
        }
    }

    /// As `CompiledCode::bb_starts` and `CompiledCode::bb_edges`, if the flag
    /// `machine_code_cfg_info` is set.
    pub fn basic_blocks(&self) -> (Vec<u32>, Vec<(u32, u32)>) {
        match self.stencil().debug() {
            Some(debug) => (debug.block_starts().collect(), debug.block_edges().collect()),
            None => (Vec::new(), Vec::new()),
        }
    }

    /// The relocations for a `cranelift_module::Module` that defines this
    /// function as `function`.
    #[cfg(feature = "module")]
    pub fn module_relocs(
        &self,
        function: cranelift_module::FuncId,
    ) -> Vec<cranelift_module::ModuleReloc> {
        use cranelift_module::{ModuleReloc, ModuleRelocTarget};
        let reloc = |reloc: crate::finalize::FinalRelocation| {
            let name = match reloc.target {
                FinalTarget::Name(name) => ModuleRelocTarget::user(name.namespace, name.index),
                FinalTarget::LibCall(number) => ModuleRelocTarget::LibCall(lib_call_of(number)?),
                FinalTarget::KnownSymbol(number) => {
                    ModuleRelocTarget::KnownSymbol(known_symbol_of(number)?)
                }
                FinalTarget::FunctionOffset(offset) => {
                    ModuleRelocTarget::FunctionOffset(function, offset)
                }
            };
            let (offset, addend) = (reloc.offset, reloc.addend);
            Some(ModuleReloc { offset, kind: reloc_of(reloc.kind)?, name, addend })
        };
        self.relocations().filter_map(reloc).collect()
    }
}
