//! Signs -> instructions. A comparison gives 0 or 1, as 64 bits.

use super::super::ast::Binary;
use super::Body;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_module::Module;

impl<M: Module> Body<'_, '_, M> {
    pub(super) fn binary(&mut self, binary: Binary, left: Value, right: Value) -> Value {
        let condition = match binary {
            Binary::Add => return self.builder.ins().iadd(left, right),
            Binary::Subtract => return self.builder.ins().isub(left, right),
            Binary::Multiply => return self.builder.ins().imul(left, right),
            Binary::Divide => return self.builder.ins().sdiv(left, right),
            Binary::Remainder => return self.builder.ins().srem(left, right),
            Binary::Equal => IntCC::Equal,
            Binary::NotEqual => IntCC::NotEqual,
            Binary::Less => IntCC::SignedLessThan,
            Binary::LessOrEqual => IntCC::SignedLessThanOrEqual,
            Binary::Greater => IntCC::SignedGreaterThan,
            Binary::GreaterOrEqual => IntCC::SignedGreaterThanOrEqual,
        };
        let bit = self.builder.ins().icmp(condition, left, right);
        self.builder.ins().uextend(types::I64, bit)
    }

    pub(super) fn is_zero(&mut self, value: Value) -> Value {
        let zero = self.builder.ins().iconst(types::I64, 0);
        self.binary(Binary::Equal, value, zero)
    }

    pub(super) fn is_not_zero(&mut self, value: Value) -> Value {
        let zero = self.builder.ins().iconst(types::I64, 0);
        self.binary(Binary::NotEqual, value, zero)
    }
}
