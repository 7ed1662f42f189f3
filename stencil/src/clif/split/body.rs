//! Blocks and instructions, in layout order -> bytes.
//!
//! ```text
//! number of blocks, then each: parameters << 1 | cold, types, instructions, 0
//! an instruction: opcode, marks, [results], [location], result types, operands,
//!                 [controlling type], [debug tags], [stack map]
//! ```
//!
//! Values are written as their distance from the next one to be defined. The
//! controlling type is that of an operand or of the first result, and is written
//! only where the operand is defined further on.

use super::Uncacheable;
use super::entities::Entities;
use super::sources::{Source, Sources};
use crate::clif::{
    MARK_DEBUG_TAGS, MARK_SOURCE_EARLIER, MARK_SOURCE_NEW, MARK_STACK_MAP, RESULTS_MANY,
    RESULTS_SHIFT,
};
use crate::function_stencil::StencilWriter;
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{
    self, DebugTag, Inst, InstructionData, Opcode, UserStackMapEntry, Value,
};

pub(super) type Written = Result<(), Uncacheable>;

/// Writes the body; gives the first use of each entity its number.
pub(super) fn write(
    stencil: &mut StencilWriter,
    entities: &mut Entities,
    sources: &mut Sources,
    function: &ir::Function,
) -> Written {
    let mut blocks = 0;
    for block in function.layout.blocks() {
        entities.blocks.set(block.index(), blocks);
        blocks += 1;
    }
    stencil.uleb(u64::from(blocks));
    let has_tags = !function.debug_tags.is_empty();
    let mut body = Body {
        stencil,
        entities,
        sources,
        function,
        has_tags,
        next_value: 0,
        is_numbered: false,
        has_forward_use: false,
    };
    for block in function.layout.blocks() {
        body.block(block)?;
    }
    Ok(())
}

pub(super) struct Body<'a> {
    pub(super) stencil: &'a mut StencilWriter,
    pub(super) entities: &'a mut Entities,
    sources: &'a mut Sources,
    pub(super) function: &'a ir::Function,
    has_tags: bool,
    pub(super) next_value: u32,
    /// All values have their numbers, not only those that were defined so far.
    pub(super) is_numbered: bool,
    /// The instruction uses a value that is defined further on.
    pub(super) has_forward_use: bool,
}

impl Body<'_> {
    fn define(&mut self, values: &[Value]) {
        for value in values {
            self.entities.values.set(value.index(), self.next_value);
            self.next_value += 1;
        }
    }

    /// Gives every value that the layout defines its number: blocks need not lie
    /// in an order in which definitions come first, though nearly all do.
    pub(super) fn number_all(&mut self) {
        let dfg = &self.function.dfg;
        let mut number = 0;
        let mut define = |values: &[Value]| {
            for value in values {
                self.entities.values.set(value.index(), number);
                number += 1;
            }
        };
        for block in self.function.layout.blocks() {
            define(dfg.block_params(block));
            for inst in self.function.layout.block_insts(block) {
                define(dfg.inst_results(inst));
            }
        }
        self.is_numbered = true;
    }

    fn block(&mut self, block: ir::Block) -> Written {
        let function = self.function;
        let params = function.dfg.block_params(block);
        let cold = function.layout.is_cold(block);
        self.stencil.uleb((params.len() as u64) << 1 | u64::from(cold));
        for param in params {
            self.stencil.uleb(function.dfg.value_type(*param).index() as u64);
        }
        self.define(params);
        for inst in function.layout.block_insts(block) {
            self.instruction(inst)?;
        }
        self.stencil.u8(0);
        Ok(())
    }

    fn instruction(&mut self, inst: Inst) -> Written {
        let dfg = &self.function.dfg;
        let data = &dfg.insts[inst];
        let opcode = data.opcode();
        if opcode.format() != ir::instructions::InstructionFormat::from(data) {
            return Err(Uncacheable::Format);
        }
        let results = dfg.inst_results(inst);
        let (source, earlier) = match self.sources.next(self.function.srclocs[inst]) {
            Source::Same => (0, None),
            Source::New => (MARK_SOURCE_NEW, None),
            Source::Earlier(ordinal) => (MARK_SOURCE_EARLIER, Some(ordinal)),
        };
        let tags = if self.has_tags { self.function.debug_tags.get(inst) } else { &[] };
        let stack_map = dfg.user_stack_map_entries(inst).unwrap_or(&[]);
        let marks = source
            | if tags.is_empty() { 0 } else { MARK_DEBUG_TAGS }
            | if stack_map.is_empty() { 0 } else { MARK_STACK_MAP };
        self.head(results, opcode, marks, earlier)?;
        self.has_forward_use = false;
        self.operands(data)?;
        if self.has_forward_use {
            self.controlling_type(inst, data)?;
        }
        if !tags.is_empty() {
            self.tags(tags)?;
        }
        if !stack_map.is_empty() {
            self.stack_map(stack_map)?;
        }
        self.define(results);
        Ok(())
    }

    /// Everything before the operands.
    #[inline]
    fn head(
        &mut self,
        results: &[Value],
        opcode: Opcode,
        marks: u8,
        earlier: Option<u32>,
    ) -> Written {
        let dfg = &self.function.dfg;
        if let ([result], None) = (results, earlier)
            && let ty @ ..0x80 = dfg.value_type(*result).index()
        {
            self.stencil.raw(&[opcode as u8, marks | 1 << RESULTS_SHIFT, ty as u8]);
            return Ok(());
        }
        let few = results.len().min(usize::from(RESULTS_MANY)) as u8;
        self.stencil.raw(&[opcode as u8, marks | few << RESULTS_SHIFT]);
        if few == RESULTS_MANY {
            self.stencil.uleb(results.len() as u64);
        }
        if let Some(ordinal) = earlier {
            self.stencil.uleb(u64::from(ordinal));
        }
        if results.is_empty() {
            // Without a result there is no other type to go by.
            let constraints = opcode.constraints();
            if constraints.is_polymorphic() && !constraints.requires_typevar_operand() {
                return Err(Uncacheable::Format);
            }
        }
        for result in results {
            self.stencil.uleb(dfg.value_type(*result).index() as u64);
        }
        Ok(())
    }

    fn controlling_type(&mut self, inst: Inst, data: &InstructionData) -> Written {
        let dfg = &self.function.dfg;
        let constraints = data.opcode().constraints();
        if !constraints.is_polymorphic() || !constraints.requires_typevar_operand() {
            return Ok(());
        }
        let operand = data.typevar_operand(&dfg.value_lists).ok_or(Uncacheable::Format)?;
        if self.value_number(operand)? >= self.next_value {
            self.stencil.uleb(dfg.ctrl_typevar(inst).index() as u64);
        }
        Ok(())
    }

    fn tags(&mut self, tags: &[DebugTag]) -> Written {
        self.stencil.uleb(tags.len() as u64);
        for tag in tags {
            match tag {
                DebugTag::User(value) => self.stencil.uleb(u64::from(*value) << 1),
                DebugTag::StackSlot(slot) => {
                    let slot = self.entities.stack_slot(self.function, *slot)?;
                    self.stencil.uleb(u64::from(slot) << 1 | 1);
                }
            }
        }
        Ok(())
    }

    fn stack_map(&mut self, entries: &[UserStackMapEntry]) -> Written {
        self.stencil.uleb(entries.len() as u64);
        for UserStackMapEntry { ty, slot, offset } in entries {
            let slot = self.entities.stack_slot(self.function, *slot)?;
            self.stencil.uleb(ty.index() as u64);
            self.stencil.uleb(u64::from(slot));
            self.stencil.uleb(u64::from(*offset));
        }
        Ok(())
    }
}
