//! An instruction's operands, by the format of its opcode.

use super::Reader;
use super::entities::Entities;
use crate::clif::numbers::{atomic_rmw_op_of, float_cc_of, int_cc_of};
use cranelift_codegen::ir::immediates::{Ieee16, Ieee32, Ieee64};
use cranelift_codegen::ir::instructions::InstructionFormat;
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, DataFlowGraph, ExceptionTable, ExceptionTableData,
    ExceptionTableItem, ExceptionTag, InstructionData, JumpTable, JumpTableData, Opcode, TrapCode,
    Value, ValueList,
};
use std::num::NonZeroU8;

/// No value has a higher number: two bits of a block's argument tell its kind.
const VALUE_MAX: u32 = (1 << 30) - 1;

pub(super) struct Operands<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) entities: &'r Entities,
    pub(super) dfg: &'r mut DataFlowGraph,
    pub(super) blocks: u32,
    pub(super) values: &'r mut Vec<Value>,
    pub(super) args: &'r mut Vec<BlockArg>,
}

impl Operands<'_, '_> {
    fn distance(&self, distance: i64) -> Option<Value> {
        let next = i64::try_from(self.dfg.num_values()).ok()?;
        let number = u32::try_from(next.checked_sub(distance)?).ok()?;
        (number <= VALUE_MAX).then(|| Value::from_u32(number))
    }

    #[inline]
    fn value(&mut self) -> Option<Value> {
        let distance = self.reader.sleb()?;
        self.distance(distance)
    }

    fn values<const N: usize>(&mut self) -> Option<[Value; N]> {
        let mut values = [Value::from_u32(0); N];
        for value in &mut values {
            *value = self.value()?;
        }
        Some(values)
    }

    fn list(&mut self) -> Option<ValueList> {
        self.values.clear();
        for _ in 0..self.reader.uleb32()? {
            let value = self.value()?;
            self.values.push(value);
        }
        Some(ValueList::from_slice(self.values, &mut self.dfg.value_lists))
    }

    /// What is called by its address is the first of the arguments.
    fn called(&mut self) -> Option<ValueList> {
        self.list().filter(|list| !list.is_empty())
    }

    fn block(&mut self) -> Option<Block> {
        self.reader.below(self.blocks).map(Block::from_u32)
    }

    fn block_call(&mut self) -> Option<BlockCall> {
        let block = self.block()?;
        self.args.clear();
        for _ in 0..self.reader.uleb32()? {
            let head = self.reader.uleb()?;
            let payload = head / 3;
            let index = u32::try_from(payload).ok().filter(|index| *index <= VALUE_MAX);
            let arg = match head % 3 {
                0 => BlockArg::Value(self.distance(crate::packed::unzigzag(payload))?),
                1 => BlockArg::TryCallRet(index?),
                _ => BlockArg::TryCallExn(index?),
            };
            self.args.push(arg);
        }
        let args = self.args.iter().copied();
        Some(BlockCall::new(block, args, &mut self.dfg.value_lists))
    }

    fn trap_code(&mut self) -> Option<TrapCode> {
        NonZeroU8::new(self.reader.u8()?).map(TrapCode::from_raw)
    }

    fn jump_table(&mut self) -> Option<JumpTable> {
        let count = self.reader.uleb32()?;
        let default = (count > 0).then(|| self.block_call())??;
        let mut table = Vec::new();
        for _ in 1..count {
            table.push(self.block_call()?);
        }
        Some(self.dfg.jump_tables.push(JumpTableData::new(default, &table)))
    }

    fn exception_table(&mut self) -> Option<ExceptionTable> {
        let signature = self.entities.signature(self.reader)?;
        let normal_return = self.block_call()?;
        let mut items = Vec::new();
        for _ in 0..self.reader.uleb32()? {
            items.push(match self.reader.u8()? {
                0 => {
                    let tag = ExceptionTag::from_u32(self.reader.uleb32()?);
                    ExceptionTableItem::Tag(tag, self.block_call()?)
                }
                1 => ExceptionTableItem::Default(self.block_call()?),
                2 => ExceptionTableItem::Context(self.value()?),
                _ => return None,
            });
        }
        let data = ExceptionTableData::new(signature, normal_return, items);
        Some(self.dfg.exception_tables.push(data))
    }

    pub(super) fn read(mut self, opcode: Opcode) -> Option<InstructionData> {
        use InstructionFormat as Format;
        Some(match opcode.format() {
            Format::NullAry => InstructionData::NullAry { opcode },
            Format::Unary => InstructionData::Unary { opcode, arg: self.value()? },
            Format::Binary => InstructionData::Binary { opcode, args: self.values()? },
            Format::Ternary => InstructionData::Ternary { opcode, args: self.values()? },
            Format::MultiAry => InstructionData::MultiAry { opcode, args: self.list()? },
            Format::BinaryImm8 => {
                InstructionData::BinaryImm8 { opcode, arg: self.value()?, imm: self.reader.u8()? }
            }
            Format::TernaryImm8 => InstructionData::TernaryImm8 {
                opcode,
                args: self.values()?,
                imm: self.reader.u8()?,
            },
            Format::UnaryImm => {
                InstructionData::UnaryImm { opcode, imm: self.reader.sleb()?.into() }
            }
            Format::UnaryIeee16 => {
                let bits = u16::from_le_bytes(self.reader.raw()?);
                InstructionData::UnaryIeee16 { opcode, imm: Ieee16::with_bits(bits) }
            }
            Format::UnaryIeee32 => {
                let bits = u32::from_le_bytes(self.reader.raw()?);
                InstructionData::UnaryIeee32 { opcode, imm: Ieee32::with_bits(bits) }
            }
            Format::UnaryIeee64 => {
                let bits = u64::from_le_bytes(self.reader.raw()?);
                InstructionData::UnaryIeee64 { opcode, imm: Ieee64::with_bits(bits) }
            }
            Format::UnaryConst => {
                let constant_handle = self.entities.constant(self.reader)?;
                InstructionData::UnaryConst { opcode, constant_handle }
            }
            Format::UnaryGlobalValue => {
                let global_value = self.reader.uleb32()?;
                let global_value = self.entities.global_value(global_value)?;
                InstructionData::UnaryGlobalValue { opcode, global_value }
            }
            Format::Shuffle => {
                let args = self.values()?;
                InstructionData::Shuffle {
                    opcode,
                    args,
                    imm: self.entities.immediate(self.reader)?,
                }
            }
            Format::IntCompare => {
                let args = self.values()?;
                InstructionData::IntCompare { opcode, args, cond: int_cc_of(self.reader.u8()?)? }
            }
            Format::FloatCompare => {
                let args = self.values()?;
                InstructionData::FloatCompare {
                    opcode,
                    args,
                    cond: float_cc_of(self.reader.u8()?)?,
                }
            }
            Format::IntAddTrap => InstructionData::IntAddTrap {
                opcode,
                args: self.values()?,
                code: self.trap_code()?,
            },
            Format::CondTrap => {
                InstructionData::CondTrap { opcode, arg: self.value()?, code: self.trap_code()? }
            }
            Format::Trap => InstructionData::Trap { opcode, code: self.trap_code()? },
            _ => return self.wide(opcode),
        })
    }

    /// The formats that refer to memory, blocks or functions.
    fn wide(mut self, opcode: Opcode) -> Option<InstructionData> {
        use InstructionFormat as Format;
        Some(match opcode.format() {
            Format::Load => {
                let (arg, flags) = (self.value()?, self.entities.mem_flags(self.reader)?);
                let offset = self.reader.sleb32()?.into();
                InstructionData::Load { opcode, arg, flags, offset }
            }
            Format::Store => {
                let (args, flags) = (self.values()?, self.entities.mem_flags(self.reader)?);
                let offset = self.reader.sleb32()?.into();
                InstructionData::Store { opcode, args, flags, offset }
            }
            Format::LoadNoOffset => {
                let (arg, flags) = (self.value()?, self.entities.mem_flags(self.reader)?);
                InstructionData::LoadNoOffset { opcode, arg, flags }
            }
            Format::StoreNoOffset => {
                let (args, flags) = (self.values()?, self.entities.mem_flags(self.reader)?);
                InstructionData::StoreNoOffset { opcode, args, flags }
            }
            Format::AtomicCas => {
                let (args, flags) = (self.values()?, self.entities.mem_flags(self.reader)?);
                InstructionData::AtomicCas { opcode, args, flags }
            }
            Format::AtomicRmw => {
                let (args, flags) = (self.values()?, self.entities.mem_flags(self.reader)?);
                let op = atomic_rmw_op_of(self.reader.u8()?)?;
                InstructionData::AtomicRmw { opcode, args, flags, op }
            }
            Format::StackAddr => {
                let slot = self.reader.uleb32()?;
                let stack_slot = self.entities.stack_slot(slot)?;
                let offset = self.reader.sleb32()?.into();
                InstructionData::StackAddr { opcode, stack_slot, offset }
            }
            Format::Jump => InstructionData::Jump { opcode, destination: self.block_call()? },
            Format::Brif => {
                let arg = self.value()?;
                let blocks = [self.block_call()?, self.block_call()?];
                InstructionData::Brif { opcode, arg, blocks }
            }
            Format::BranchTable => {
                let arg = self.value()?;
                InstructionData::BranchTable { opcode, arg, table: self.jump_table()? }
            }
            Format::ExceptionHandlerAddress => InstructionData::ExceptionHandlerAddress {
                opcode,
                block: self.block()?,
                imm: self.reader.sleb()?.into(),
            },
            Format::FuncAddr => {
                let func_ref = self.entities.function(self.reader)?;
                InstructionData::FuncAddr { opcode, func_ref }
            }
            Format::Call => {
                let func_ref = self.entities.function(self.reader)?;
                InstructionData::Call { opcode, args: self.list()?, func_ref }
            }
            Format::CallIndirect => {
                let sig_ref = self.entities.signature(self.reader)?;
                InstructionData::CallIndirect { opcode, args: self.called()?, sig_ref }
            }
            Format::TryCall => {
                let func_ref = self.entities.function(self.reader)?;
                let args = self.list()?;
                let exception = self.exception_table()?;
                InstructionData::TryCall { opcode, args, func_ref, exception }
            }
            Format::TryCallIndirect => {
                let args = self.called()?;
                InstructionData::TryCallIndirect {
                    opcode,
                    args,
                    exception: self.exception_table()?,
                }
            }
            // Vectors of dynamic size have no stencil; the others are read by `read`.
            _ => return None,
        })
    }
}
