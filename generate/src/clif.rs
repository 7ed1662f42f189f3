//! A seed -> a program: functions of Cranelift's IR that call one another,
//! built as front ends do, with one context for all of them.
//!
//! Invariant: every function ends, never traps, and gives the same bits
//! wherever it runs: loops count down, divisors are positive, no value that is
//! not a number goes on, no context is a stack limit that is met, and stack
//! slots are written before they are read.

mod body;
mod ops;
pub mod scramble;

use body::Body;
use cranelift_codegen::Context;
use cranelift_codegen::data_value::DataValue;
use cranelift_codegen::ir::types::{F32, F64, I8, I8X16, I16, I16X8, I32, I32X4, I64, I64X2, I128};
use cranelift_codegen::ir::{self, AbiParam, ArgumentPurpose, Signature, Type};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig, TargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use rand::{Rng, RngExt as _};

const TYPES: [Type; 11] = [I64, I32, I8, I16, F64, F32, I128, I32X4, I8X16, I16X8, I64X2];

/// Makes one program after the other; its buffers are reused.
pub struct Generator {
    context: Context,
    frontend: FunctionBuilderContext,
    config: TargetFrontendConfig,
    call_conv: CallConv,
}

impl Generator {
    /// Functions for one target.
    pub fn new(isa: &dyn TargetIsa) -> Self {
        Self {
            context: Context::new(),
            frontend: FunctionBuilderContext::new(),
            config: isa.frontend_config(),
            call_conv: isa.default_call_conv(),
        }
    }

    /// Functions `u0:0`, `u0:1` ..; each calls only those before it.
    pub fn program(&mut self, rng: &mut dyn Rng, functions: u32) -> Vec<ir::Function> {
        let mut program: Vec<ir::Function> = Vec::new();
        for index in 0..functions {
            let callees: Vec<Signature> =
                program.iter().map(|function| function.signature.clone()).collect();
            program.push(self.function(rng, index, &callees));
        }
        program
    }

    fn function(&mut self, rng: &mut dyn Rng, index: u32, callees: &[Signature]) -> ir::Function {
        self.context.clear();
        let function = &mut self.context.func;
        function.name = ir::UserFuncName::user(0, index);
        function.signature = signature(rng, self.call_conv);
        let builder = FunctionBuilder::new(function, &mut self.frontend);
        Body::new(builder, rng, callees).fill(self.config);
        self.context.func.clone()
    }
}

fn type_of(rng: &mut dyn Rng) -> Type {
    // The first ones are what most programs are made of.
    let types = if rng.random_bool(0.6) { 4 } else { TYPES.len() };
    TYPES[rng.random_range(0..types)]
}

fn signature(rng: &mut dyn Rng, call_conv: CallConv) -> Signature {
    let mut signature = Signature::new(call_conv);
    if rng.random_bool(0.2) {
        signature.params.push(AbiParam::special(I64, ArgumentPurpose::VMContext));
    }
    if rng.random_bool(0.3) {
        signature.params.extend([AbiParam::new(I64); 2]);
        signature.returns.push(AbiParam::new(I64));
        return signature;
    }
    for _ in 0..rng.random_range(0..5) {
        signature.params.push(param(rng));
    }
    signature.returns.push(param(rng));
    if signature.returns[0].value_type != I128 && rng.random_bool(0.3) {
        signature.returns.push(AbiParam::new(I64));
    }
    signature
}

fn param(rng: &mut dyn Rng) -> AbiParam {
    let param = AbiParam::new(type_of(rng));
    let narrow = [I8, I16, I32].contains(&param.value_type);
    match rng.random_range(0..6) {
        0 if narrow => param.uext(),
        1 if narrow => param.sext(),
        _ => param,
    }
}

/// A value of this type; few of its bits are set, or most.
pub fn constant(rng: &mut dyn Rng, ty: Type) -> DataValue {
    let float = match rng.random_range(0..4) {
        0 => f64::from(rng.random_range(-4..5_i8)),
        1 => -0.0,
        2 => rng.random_range(-1e12..1e12),
        _ => f64::INFINITY,
    };
    let bits: u128 = match rng.random_range(0..4) {
        0 => rng.random(),
        1 => u128::from(rng.random_range(0..20_u8)),
        2 => !u128::from(rng.random_range(0..20_u8)),
        _ => 1 << rng.random_range(0..128),
    };
    match ty {
        F32 => DataValue::F32((float as f32).into()),
        F64 => DataValue::F64(float.into()),
        _ => DataValue::read_from_slice_le(&bits.to_le_bytes()[..ty.bytes() as usize], ty),
    }
}
