//! A type -> an instruction that gives it, over values in scope.

use super::body::Body;
use super::{constant, type_of};
use cranelift_codegen::data_value::DataValue;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64, I128};
use cranelift_codegen::ir::{ConstantData, InstBuilder, MemFlagsData, Type, Value};
use rand::RngExt as _;

impl Body<'_> {
    pub fn expression(&mut self) {
        let ty = type_of(self.rng);
        let value = if ty.is_vector() {
            self.vector(ty)
        } else if ty.is_float() {
            self.float(ty)
        } else if self.chance(0.3) {
            self.converted(ty)
        } else if self.chance(0.25) {
            self.scalar(ty)
        } else {
            self.integer(ty)
        };
        self.values.push(value);
    }

    pub fn constant(&mut self, ty: Type) -> Value {
        if ty.is_vector() && self.chance(0.5) {
            let lane = self.constant(ty.lane_type());
            return self.builder.ins().splat(ty, lane);
        }
        let value = constant(self.rng, ty);
        let ins = self.builder.ins();
        match value {
            DataValue::F32(value) => ins.f32const(value),
            DataValue::F64(value) => ins.f64const(value),
            DataValue::V128(bytes) => {
                let bytes = ConstantData::from(&bytes[..]);
                let handle = self.builder.func.dfg.constants.insert(bytes);
                self.builder.ins().vconst(ty, handle)
            }
            DataValue::I128(value) => {
                let low = ins.iconst(I64, value as i64);
                let high = self.builder.ins().iconst(I64, (value >> 64) as i64);
                self.builder.ins().iconcat(low, high)
            }
            DataValue::I8(value) => ins.iconst(I8, i64::from(value.cast_unsigned())),
            DataValue::I16(value) => ins.iconst(I16, i64::from(value.cast_unsigned())),
            DataValue::I32(value) => ins.iconst(I32, i64::from(value.cast_unsigned())),
            DataValue::I64(value) => ins.iconst(I64, value),
            other => panic!("no constant is {other}"),
        }
    }

    fn int_cc(&mut self) -> IntCC {
        IntCC::all()[self.rng.random_range(0..IntCC::all().len())]
    }

    /// Operators that all integers have.
    fn scalar(&mut self, ty: Type) -> Value {
        let (a, b) = (self.value(ty), self.value(ty));
        let condition_type = if self.chance(0.5) { I8 } else { I32 };
        let condition = self.value(condition_type);
        let ins = self.builder.ins();
        match self.rng.random_range(0..10) {
            0 => ins.select(condition, a, b),
            1 => ins.ishl(a, b),
            2 => ins.ushr(a, b),
            3 => ins.sshr(a, b),
            4 => ins.rotl(a, b),
            5 => ins.rotr(a, b),
            6 => ins.clz(a),
            7 => ins.ctz(a),
            8 => ins.popcnt(a),
            _ if ty == I8 => ins.bitrev(a),
            _ => ins.bswap(a),
        }
    }

    fn integer(&mut self, ty: Type) -> Value {
        let (a, b) = (self.value(ty), self.value(ty));
        let ops = if ty == I128 { 7 } else { 20 };
        let op = self.rng.random_range(0..ops);
        if (12..16).contains(&op) {
            return self.divide(ty, a, b, op);
        }
        if op >= 16 {
            return self.with_overflow(a, b, op);
        }
        let ins = self.builder.ins();
        match op {
            0 => ins.iadd(a, b),
            1 => ins.isub(a, b),
            2 => ins.imul(a, b),
            3 => ins.band(a, b),
            4 => ins.bor(a, b),
            5 => ins.bxor(a, b),
            6 => ins.bnot(a),
            7 => ins.ineg(a),
            8 => ins.smin(a, b),
            9 => ins.umax(a, b),
            10 if ty != I8 => ins.umulhi(a, b),
            11 if ty != I8 => ins.smulhi(a, b),
            _ => ins.umin(a, b),
        }
    }

    /// By a positive number: neither zero nor an overflow traps.
    fn divide(&mut self, ty: Type, a: Value, b: Value, op: u32) -> Value {
        let largest = (1_u64 << (ty.bits() - 1)) - 1;
        let mask = self.builder.ins().iconst(ty, largest.cast_signed());
        let positive = self.builder.ins().band(b, mask);
        let one = self.builder.ins().iconst(ty, 1);
        let divisor = self.builder.ins().bor(positive, one);
        let ins = self.builder.ins();
        match op {
            12 => ins.udiv(a, divisor),
            13 => ins.urem(a, divisor),
            14 => ins.sdiv(a, divisor),
            _ => ins.srem(a, divisor),
        }
    }

    fn with_overflow(&mut self, a: Value, b: Value, op: u32) -> Value {
        let ins = self.builder.ins();
        let (value, overflow) = match op {
            16 => ins.uadd_overflow(a, b),
            17 => ins.sadd_overflow(a, b),
            18 => ins.usub_overflow(a, b),
            _ => ins.smul_overflow(a, b),
        };
        self.values.push(overflow);
        value
    }

    /// From a value of another type.
    fn converted(&mut self, ty: Type) -> Value {
        let narrow: Vec<Type> =
            [I8, I16, I32, I64].into_iter().filter(|it| it.bits() < ty.bits()).collect();
        let wide: Vec<Type> =
            [I16, I32, I64, I128].into_iter().filter(|it| it.bits() > ty.bits()).collect();
        match self.rng.random_range(0..8) {
            0..3 if !narrow.is_empty() => {
                let from = narrow[self.rng.random_range(0..narrow.len())];
                let value = self.value(from);
                let ins = self.builder.ins();
                if self.rng.random_bool(0.5) {
                    ins.uextend(ty, value)
                } else {
                    ins.sextend(ty, value)
                }
            }
            0..5 if !wide.is_empty() => {
                let from = wide[self.rng.random_range(0..wide.len())];
                let value = self.value(from);
                self.builder.ins().ireduce(ty, value)
            }
            5 if ty == I64 => {
                let value = self.value(I128);
                let (low, high) = self.builder.ins().isplit(value);
                self.values.push(low);
                high
            }
            5 if ty == I128 => {
                let (low, high) = (self.value(I64), self.value(I64));
                self.builder.ins().iconcat(low, high)
            }
            6 if ty == I32 || ty == I64 => {
                let from = if ty == I32 { F32 } else { F64 };
                let value = self.value(from);
                match self.rng.random_range(0..3) {
                    0 => self.builder.ins().bitcast(ty, MemFlagsData::new(), value),
                    1 => self.builder.ins().fcvt_to_sint_sat(ty, value),
                    _ => self.builder.ins().fcvt_to_uint_sat(ty, value),
                }
            }
            _ if ty == I8 => self.compared(),
            _ => {
                let value = self.compared();
                self.builder.ins().uextend(ty, value)
            }
        }
    }

    fn compared(&mut self) -> Value {
        if self.chance(0.3) {
            let ty = if self.chance(0.5) { F32 } else { F64 };
            let (a, b) = (self.value(ty), self.value(ty));
            let condition = FloatCC::all()[self.rng.random_range(0..FloatCC::all().len())];
            return self.builder.ins().fcmp(condition, a, b);
        }
        let ty = [I8, I16, I32, I64, I128][self.rng.random_range(0..5)];
        let (a, b) = (self.value(ty), self.value(ty));
        let condition = self.int_cc();
        self.builder.ins().icmp(condition, a, b)
    }

    fn float(&mut self, ty: Type) -> Value {
        let (a, b) = (self.value(ty), self.value(ty));
        let (same, other) = if ty == F32 { (I32, F64) } else { (I64, F32) };
        let (int, foreign) = (self.value(same), self.value(other));
        let op = self.rng.random_range(0..20);
        let ins = self.builder.ins();
        let value = match op {
            0 | 1 => ins.fadd(a, b),
            2 => ins.fsub(a, b),
            3 => ins.fmul(a, b),
            4 => ins.fdiv(a, b),
            5 => ins.sqrt(a),
            6 => ins.fneg(a),
            7 => ins.fabs(a),
            8 => ins.fcopysign(a, b),
            9 => ins.fmin(a, b),
            10 => ins.fmax(a, b),
            11 => ins.ceil(a),
            12 => ins.floor(a),
            13 => ins.trunc(a),
            14 => ins.nearest(a),
            15 => ins.fcvt_from_sint(ty, int),
            16 => ins.fcvt_from_uint(ty, int),
            17 => ins.bitcast(ty, MemFlagsData::new(), int),
            18 => ins.fma(a, b, a),
            _ if ty == F32 => ins.fdemote(F32, foreign),
            _ => ins.fpromote(F64, foreign),
        };
        self.number(ty, value)
    }

    /// Which bits "not a number" has is not defined, so that it goes no further.
    fn number(&mut self, ty: Type, value: Value) -> Value {
        let is_nan = self.builder.ins().fcmp(FloatCC::Unordered, value, value);
        let instead = self.builder.ins();
        let instead = if ty == F32 { instead.f32const(1.5) } else { instead.f64const(1.5) };
        self.builder.ins().select(is_nan, instead, value)
    }

    fn vector(&mut self, ty: Type) -> Value {
        let (a, b) = (self.value(ty), self.value(ty));
        let lane = self.value(ty.lane_type());
        let index = self.rng.random_range(0..ty.lane_count()) as u8;
        let condition = self.int_cc();
        let op = self.rng.random_range(0..12);
        let ins = self.builder.ins();
        match op {
            0 | 1 => ins.iadd(a, b),
            2 => ins.isub(a, b),
            3 => ins.band(a, b),
            4 => ins.bxor(a, b),
            5 => ins.bnot(a),
            6 => ins.icmp(condition, a, b),
            7 => ins.splat(ty, lane),
            8 => ins.insertlane(a, lane, index),
            9 => {
                let lane = ins.extractlane(a, index);
                self.values.push(lane);
                a
            }
            10 => ins.bitselect(a, b, a),
            _ => ins.bor(a, b),
        }
    }
}
