//! The body of a stencil -> blocks and instructions.

use super::Reader;
use super::entities::Entities;
use super::operands::Operands;
use crate::clif::numbers::opcode_of;
use crate::clif::{
    MARK_DEBUG_TAGS, MARK_SOURCE_EARLIER, MARK_SOURCE_NEW, MARK_STACK_MAP, NO_LOCATION,
    RESULTS_MANY, RESULTS_SHIFT,
};
use cranelift_codegen::ir::{
    self, Block, BlockArg, DebugTag, Inst, InstructionData, Opcode, SourceLoc, Type,
    UserStackMapEntry, Value, types,
};

/// Appends all blocks; gives the number of values that they define.
pub(super) fn read(
    reader: &mut Reader<'_>,
    entities: &Entities,
    function: &mut ir::Function,
) -> Option<u32> {
    let blocks = reader.uleb32().filter(|count| *count as usize <= reader.bytes.len())?;
    for _ in 0..blocks {
        let block = function.dfg.make_block();
        function.layout.append_block(block);
    }
    let mut body = Body {
        reader,
        entities,
        function,
        blocks,
        last_ordinal: NO_LOCATION,
        ordinals: 1,
        result_types: Vec::new(),
        values: Vec::new(),
        args: Vec::new(),
    };
    for block in 0..blocks {
        body.block(Block::from_u32(block))?;
    }
    let values = u32::try_from(body.function.dfg.num_values()).ok()?;
    // A use may come before its definition, but not without one.
    for block in body.function.layout.blocks() {
        for inst in body.function.layout.block_insts(block) {
            if body.function.dfg.inst_values(inst).any(|value| value.as_u32() >= values) {
                return None;
            }
        }
    }
    Some(values)
}

struct Body<'r, 'a> {
    reader: &'r mut Reader<'a>,
    entities: &'r Entities,
    function: &'r mut ir::Function,
    blocks: u32,
    last_ordinal: u32,
    /// The next new one.
    ordinals: u32,
    // Buffers for the lists of one instruction.
    result_types: Vec<Type>,
    values: Vec<Value>,
    args: Vec<BlockArg>,
}

impl Body<'_, '_> {
    fn block(&mut self, block: Block) -> Option<()> {
        let head = self.reader.uleb()?;
        if head & 1 != 0 {
            self.function.layout.set_cold(block);
        }
        if head >> 1 > u64::from(u16::MAX) {
            return None;
        }
        for _ in 0..head >> 1 {
            let ty = self.reader.ty()?;
            self.function.dfg.append_block_param(block, ty);
        }
        loop {
            match self.reader.u8()? {
                0 => return Some(()),
                opcode => self.instruction(block, opcode_of(opcode)?)?,
            }
        }
    }

    fn instruction(&mut self, block: Block, opcode: Opcode) -> Option<()> {
        let marks = self.reader.u8()?;
        let results = match marks >> RESULTS_SHIFT {
            RESULTS_MANY => self.reader.below(u32::from(u16::MAX))?,
            few => u32::from(few),
        };
        let ordinal = self.ordinal(marks)?;
        self.result_types.clear();
        for _ in 0..results {
            self.result_types.push(self.reader.ty()?);
        }
        let data = Operands {
            reader: self.reader,
            entities: self.entities,
            dfg: &mut self.function.dfg,
            blocks: self.blocks,
            values: &mut self.values,
            args: &mut self.args,
        }
        .read(opcode)?;
        let controlling = self.controlling_type(&data)?;
        let inst = self.function.dfg.make_inst(data);
        self.results(inst, controlling)?;
        self.function.layout.append_inst(inst, block);
        if ordinal != NO_LOCATION {
            self.function.set_srcloc(inst, SourceLoc::new(ordinal));
        }
        if marks & MARK_DEBUG_TAGS != 0 {
            self.tags(inst)?;
        }
        if marks & MARK_STACK_MAP != 0 {
            self.stack_map(inst)?;
        }
        Some(())
    }

    /// That of the operand that decides, of the first result, or none.
    fn controlling_type(&mut self, data: &InstructionData) -> Option<Type> {
        // Of a vector of dynamic size, which no stencil has.
        if data.opcode() == Opcode::ExtractVector {
            return None;
        }
        let constraints = data.opcode().constraints();
        if !constraints.is_polymorphic() {
            return Some(types::INVALID);
        }
        let dfg = &self.function.dfg;
        let ty = if constraints.requires_typevar_operand() {
            let operand = data.typevar_operand(&dfg.value_lists)?;
            if operand.as_u32() as usize >= dfg.num_values() {
                self.reader.ty()?
            } else {
                dfg.value_type(operand)
            }
        } else {
            *self.result_types.first()?
        };
        constraints.ctrl_typeset()?.contains(ty).then_some(ty)
    }

    fn ordinal(&mut self, marks: u8) -> Option<u32> {
        match marks & (MARK_SOURCE_NEW | MARK_SOURCE_EARLIER) {
            0 => {}
            MARK_SOURCE_NEW => {
                self.last_ordinal = self.ordinals;
                self.ordinals += 1;
            }
            MARK_SOURCE_EARLIER => self.last_ordinal = self.reader.below(self.ordinals)?,
            _ => return None,
        }
        Some(self.last_ordinal)
    }

    /// Defines the results, which have to be of the types that the opcode gives.
    fn results(&mut self, inst: Inst, controlling: Type) -> Option<()> {
        let dfg = &mut self.function.dfg;
        let expected = self.result_types.iter().copied();
        dfg.inst_result_types(inst, controlling).eq(expected).then_some(())?;
        dfg.make_inst_results(inst, controlling);
        Some(())
    }

    fn tags(&mut self, inst: Inst) -> Option<()> {
        let mut tags = Vec::new();
        for _ in 0..self.reader.uleb32()? {
            let head = self.reader.uleb()?;
            let value = u32::try_from(head >> 1).ok()?;
            tags.push(if head & 1 == 0 {
                DebugTag::User(value)
            } else {
                DebugTag::StackSlot(self.entities.stack_slot(value)?)
            });
        }
        self.function.debug_tags.set(inst, tags);
        Some(())
    }

    fn stack_map(&mut self, inst: Inst) -> Option<()> {
        self.function.dfg.insts[inst].opcode().is_safepoint().then_some(())?;
        for _ in 0..self.reader.uleb32()? {
            let ty = self.reader.ty()?;
            let slot = self.reader.uleb32()?;
            let slot = self.entities.stack_slot(slot)?;
            let entry = UserStackMapEntry { ty, slot, offset: self.reader.uleb32()? };
            self.function.dfg.append_user_stack_map_entry(inst, entry);
        }
        Some(())
    }
}
