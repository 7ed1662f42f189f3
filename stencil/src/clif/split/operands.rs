//! An instruction's operands -> bytes, by the format of its opcode.

use super::Uncacheable;
use super::body::{Body, Written};
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{
    self, BlockArg, BlockCall, ExceptionTableItem, InstructionData, Value,
};

impl Body<'_> {
    #[inline]
    pub(super) fn value_number(&mut self, value: Value) -> Result<u32, Uncacheable> {
        match self.entities.values.get(value.index()) {
            Some(number) => Ok(number),
            None => self.late_number(value),
        }
    }

    /// An alias, or a value that is defined further on.
    #[cold]
    fn late_number(&mut self, value: Value) -> Result<u32, Uncacheable> {
        let dfg = &self.function.dfg;
        let mut original = value;
        for _ in 0..dfg.num_values() {
            if !dfg.value_is_valid(original) {
                return Err(Uncacheable::Undefined);
            }
            match dfg.value_alias_dest_for_serialization(original) {
                Some(next) => original = next,
                None => break,
            }
        }
        if self.entities.values.get(original.index()).is_none() && !self.is_numbered {
            self.number_all();
        }
        let number = self.entities.values.get(original.index()).ok_or(Uncacheable::Undefined)?;
        self.entities.values.set(value.index(), number);
        Ok(number)
    }

    #[inline]
    fn distance(&mut self, value: Value) -> Result<i64, Uncacheable> {
        let number = self.value_number(value)?;
        self.has_forward_use |= number >= self.next_value;
        Ok(i64::from(self.next_value) - i64::from(number))
    }

    #[inline]
    fn value(&mut self, value: Value) -> Written {
        let distance = self.distance(value)?;
        self.stencil.sleb(distance);
        Ok(())
    }

    fn values(&mut self, values: &[Value]) -> Written {
        values.iter().try_for_each(|value| self.value(*value))
    }

    fn list(&mut self, list: &ir::ValueList) -> Written {
        let values = list.as_slice(&self.function.dfg.value_lists);
        self.stencil.uleb(values.len() as u64);
        self.values(values)
    }

    fn block_number(&mut self, block: ir::Block) -> Written {
        let number = self.entities.blocks.get(block.index()).ok_or(Uncacheable::Undefined)?;
        self.stencil.uleb(u64::from(number));
        Ok(())
    }

    fn block_call(&mut self, call: &BlockCall) -> Written {
        let pool = &self.function.dfg.value_lists;
        self.block_number(call.block(pool))?;
        self.stencil.uleb(call.len(pool) as u64);
        for arg in call.args(pool) {
            match arg {
                BlockArg::Value(value) => {
                    let distance = self.distance(value)?;
                    self.stencil.uleb(crate::packed::zigzag(distance) * 3);
                }
                BlockArg::TryCallRet(index) => self.stencil.uleb(u64::from(index) * 3 + 1),
                BlockArg::TryCallExn(index) => self.stencil.uleb(u64::from(index) * 3 + 2),
            }
        }
        Ok(())
    }

    fn mem_flags(&mut self, flags: ir::MemFlags) -> Written {
        let number = self.entities.mem_flags(self.function, flags)?;
        self.stencil.uleb(u64::from(number));
        Ok(())
    }

    fn function_ref(&mut self, function: ir::FuncRef) -> Written {
        let number = self.entities.function(self.function, function)?;
        self.stencil.uleb(u64::from(number));
        Ok(())
    }

    fn signature(&mut self, signature: ir::SigRef) -> Written {
        let number = self.entities.signature(self.function, signature)?;
        self.stencil.uleb(u64::from(number));
        Ok(())
    }

    fn jump_table(&mut self, table: ir::JumpTable) -> Written {
        let table = self.function.dfg.jump_tables.get(table).ok_or(Uncacheable::Undefined)?;
        let calls = table.all_branches();
        self.stencil.uleb(calls.len() as u64);
        calls.iter().try_for_each(|call| self.block_call(call))
    }

    fn exception_table(&mut self, table: ir::ExceptionTable) -> Written {
        let tables = &self.function.dfg.exception_tables;
        let table = tables.get(table).ok_or(Uncacheable::Undefined)?;
        if table.all_branches().is_empty() {
            return Err(Uncacheable::Undefined);
        }
        self.signature(table.signature())?;
        self.block_call(table.normal_return())?;
        self.stencil.uleb(table.items().count() as u64);
        for item in table.items() {
            match item {
                ExceptionTableItem::Tag(tag, call) => {
                    self.stencil.u8(0);
                    self.stencil.uleb(u64::from(tag.as_u32()));
                    self.block_call(&call)?;
                }
                ExceptionTableItem::Default(call) => {
                    self.stencil.u8(1);
                    self.block_call(&call)?;
                }
                ExceptionTableItem::Context(value) => {
                    self.stencil.u8(2);
                    self.value(value)?;
                }
            }
        }
        Ok(())
    }

    /// Every field of every format, by name: an addition does not build until
    /// it has its place here and in `restore`.
    pub(super) fn operands(&mut self, data: &InstructionData) -> Written {
        match data {
            InstructionData::NullAry { opcode: _ } => {}
            InstructionData::Unary { opcode: _, arg } => self.value(*arg)?,
            InstructionData::Binary { opcode: _, args } => self.values(args)?,
            InstructionData::Ternary { opcode: _, args } => self.values(args)?,
            InstructionData::MultiAry { opcode: _, args } => self.list(args)?,
            InstructionData::BinaryImm8 { opcode: _, arg, imm } => {
                self.value(*arg)?;
                self.stencil.u8(*imm);
            }
            InstructionData::TernaryImm8 { opcode: _, args, imm } => {
                self.values(args)?;
                self.stencil.u8(*imm);
            }
            InstructionData::UnaryImm { opcode: _, imm } => self.stencil.sleb(imm.bits()),
            InstructionData::UnaryIeee16 { opcode: _, imm } => {
                self.stencil.raw(&imm.bits().to_le_bytes());
            }
            InstructionData::UnaryIeee32 { opcode: _, imm } => self.stencil.u32(imm.bits()),
            InstructionData::UnaryIeee64 { opcode: _, imm } => self.stencil.u64(imm.bits()),
            InstructionData::UnaryConst { opcode: _, constant_handle } => {
                let number = self.entities.constant(self.function, *constant_handle)?;
                self.stencil.uleb(u64::from(number));
            }
            InstructionData::UnaryGlobalValue { opcode: _, global_value } => {
                let number = self.entities.global_value(self.function, *global_value)?;
                self.stencil.uleb(u64::from(number));
            }
            InstructionData::Shuffle { opcode: _, args, imm } => {
                self.values(args)?;
                let number = self.entities.immediate(self.function, *imm)?;
                self.stencil.uleb(u64::from(number));
            }
            InstructionData::IntCompare { opcode: _, args, cond } => {
                self.values(args)?;
                self.stencil.u8(*cond as u8);
            }
            InstructionData::FloatCompare { opcode: _, args, cond } => {
                self.values(args)?;
                self.stencil.u8(*cond as u8);
            }
            InstructionData::IntAddTrap { opcode: _, args, code } => {
                self.values(args)?;
                self.stencil.u8(code.as_raw().get());
            }
            InstructionData::CondTrap { opcode: _, arg, code } => {
                self.value(*arg)?;
                self.stencil.u8(code.as_raw().get());
            }
            InstructionData::Trap { opcode: _, code } => self.stencil.u8(code.as_raw().get()),
            _ => return self.wide_operands(data),
        }
        Ok(())
    }

    /// The formats that refer to memory, blocks or functions.
    fn wide_operands(&mut self, data: &InstructionData) -> Written {
        match data {
            InstructionData::Load { opcode: _, arg, flags, offset } => {
                self.value(*arg)?;
                self.mem_flags(*flags)?;
                self.stencil.sleb(i64::from(*offset));
            }
            InstructionData::Store { opcode: _, args, flags, offset } => {
                self.values(args)?;
                self.mem_flags(*flags)?;
                self.stencil.sleb(i64::from(*offset));
            }
            InstructionData::LoadNoOffset { opcode: _, arg, flags } => {
                self.value(*arg)?;
                self.mem_flags(*flags)?;
            }
            InstructionData::StoreNoOffset { opcode: _, args, flags } => {
                self.values(args)?;
                self.mem_flags(*flags)?;
            }
            InstructionData::AtomicCas { opcode: _, args, flags } => {
                self.values(args)?;
                self.mem_flags(*flags)?;
            }
            InstructionData::AtomicRmw { opcode: _, args, flags, op } => {
                self.values(args)?;
                self.mem_flags(*flags)?;
                self.stencil.u8(*op as u8);
            }
            InstructionData::StackAddr { opcode: _, stack_slot, offset } => {
                let slot = self.entities.stack_slot(self.function, *stack_slot)?;
                self.stencil.uleb(u64::from(slot));
                self.stencil.sleb(i64::from(*offset));
            }
            InstructionData::DynamicStackAddr { opcode: _, dynamic_stack_slot: _ } => {
                return Err(Uncacheable::DynamicVectors);
            }
            InstructionData::Jump { opcode: _, destination } => self.block_call(destination)?,
            InstructionData::Brif { opcode: _, arg, blocks } => {
                self.value(*arg)?;
                blocks.iter().try_for_each(|call| self.block_call(call))?;
            }
            InstructionData::BranchTable { opcode: _, arg, table } => {
                self.value(*arg)?;
                self.jump_table(*table)?;
            }
            InstructionData::ExceptionHandlerAddress { opcode: _, block, imm } => {
                self.block_number(*block)?;
                self.stencil.sleb(imm.bits());
            }
            InstructionData::FuncAddr { opcode: _, func_ref } => self.function_ref(*func_ref)?,
            InstructionData::Call { opcode: _, args, func_ref } => {
                self.function_ref(*func_ref)?;
                self.list(args)?;
            }
            InstructionData::CallIndirect { opcode: _, args, sig_ref } => {
                self.signature(*sig_ref)?;
                self.list(args)?;
            }
            InstructionData::TryCall { opcode: _, args, func_ref, exception } => {
                self.function_ref(*func_ref)?;
                self.list(args)?;
                self.exception_table(*exception)?;
            }
            InstructionData::TryCallIndirect { opcode: _, args, exception } => {
                self.list(args)?;
                self.exception_table(*exception)?;
            }
            InstructionData::NullAry { .. }
            | InstructionData::Unary { .. }
            | InstructionData::Binary { .. }
            | InstructionData::Ternary { .. }
            | InstructionData::MultiAry { .. }
            | InstructionData::BinaryImm8 { .. }
            | InstructionData::TernaryImm8 { .. }
            | InstructionData::UnaryImm { .. }
            | InstructionData::UnaryIeee16 { .. }
            | InstructionData::UnaryIeee32 { .. }
            | InstructionData::UnaryIeee64 { .. }
            | InstructionData::UnaryConst { .. }
            | InstructionData::UnaryGlobalValue { .. }
            | InstructionData::Shuffle { .. }
            | InstructionData::IntCompare { .. }
            | InstructionData::FloatCompare { .. }
            | InstructionData::IntAddTrap { .. }
            | InstructionData::CondTrap { .. }
            | InstructionData::Trap { .. } => unreachable!("written by `operands`"),
        }
        Ok(())
    }
}
