//! Functions -> code that this machine runs, and the way to call it whatever
//! its signature is.

use cranelift_codegen::data_value::DataValue;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    self, AbiParam, ArgumentPurpose, ExtFuncData, ExternalName, InstBuilder, LibCall, MemFlagsData,
    Signature, UserExternalName, Value,
};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, isa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use generate::clif::constant;
use rand::rngs::SmallRng;

/// What stands in memory for one argument or result.
const PLACE_BYTES: usize = 16;
/// No function has more arguments, or more results.
const PLACES: usize = 8;

/// This machine's instruction set, or the smallest of its kind, which has
/// library calls in place of many instructions.
pub fn isa(opt_level: &str, smallest: bool) -> OwnedTargetIsa {
    let mut flags = settings::builder();
    flags.set("opt_level", opt_level).unwrap();
    flags.set("enable_llvm_abi_extensions", "true").unwrap();
    let host = cranelift_native::builder().unwrap();
    let builder = if smallest { isa::lookup(host.triple().clone()).unwrap() } else { host };
    builder.finish(settings::Flags::new(flags)).unwrap()
}

/// A function that takes the arguments of `callee` from the memory that it is
/// given, calls it, and leaves its results there.
pub fn entry(
    isa: &dyn TargetIsa,
    name: UserExternalName,
    callee: UserExternalName,
    signature: &Signature,
) -> ir::Function {
    let mut function =
        ir::Function::with_name_signature(ir::UserFuncName::User(name), entry_signature(isa));
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    let memory = builder.block_params(block)[0];
    let flags = MemFlagsData::new();
    let offset = |place: usize| (place * PLACE_BYTES) as i32;
    let types = signature.params.iter().map(|param| param.value_type).enumerate();
    let args: Vec<Value> =
        types.map(|(place, ty)| builder.ins().load(ty, flags, memory, offset(place))).collect();
    let name = builder.func.declare_imported_user_function(callee);
    let signature = builder.import_signature(signature.clone());
    let name = ExternalName::user(name);
    let data = ExtFuncData { name, signature, colocated: true, patchable: false };
    let callee = builder.import_function(data);
    let call = builder.ins().call(callee, &args);
    for (place, result) in builder.inst_results(call).to_vec().into_iter().enumerate() {
        builder.ins().store(flags, result, memory, offset(place));
    }
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
    function
}

fn entry_signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.push(AbiParam::new(I64));
    signature
}

/// Where the library calls of floating-point instructions are.
pub fn lib_call(call: LibCall) -> Option<*const u8> {
    macro_rules! of {
        ($float:ident, $function:ident $(, $arg:ident)*) => {{
            extern "C" fn call(it: $float $(, $arg: $float)*) -> $float {
                it.$function($($arg),*)
            }
            call as *const u8
        }};
    }
    Some(match call {
        LibCall::CeilF32 => of!(f32, ceil),
        LibCall::CeilF64 => of!(f64, ceil),
        LibCall::FloorF32 => of!(f32, floor),
        LibCall::FloorF64 => of!(f64, floor),
        LibCall::TruncF32 => of!(f32, trunc),
        LibCall::TruncF64 => of!(f64, trunc),
        LibCall::NearestF32 => of!(f32, round_ties_even),
        LibCall::NearestF64 => of!(f64, round_ties_even),
        LibCall::FmaF32 => of!(f32, mul_add, factor, term),
        LibCall::FmaF64 => of!(f64, mul_add, factor, term),
        _ => return None,
    })
}

/// The program's functions and, behind them, an entry for each.
pub fn with_entries(isa: &dyn TargetIsa, program: &[ir::Function]) -> Vec<ir::Function> {
    let count = program.len() as u32;
    let user = |index| UserExternalName { namespace: 0, index };
    let entries = program
        .iter()
        .zip(0..)
        .map(|(function, index)| entry(isa, user(count + index), user(index), &function.signature));
    program.iter().cloned().chain(entries).collect()
}

/// Arguments for a function.
pub fn arguments(rng: &mut SmallRng, signature: &Signature) -> Vec<DataValue> {
    let argument = |param: &AbiParam| match param.purpose {
        ArgumentPurpose::VMContext => DataValue::I64(8),
        _ => constant(rng, param.value_type),
    };
    signature.params.iter().map(argument).collect()
}

/// Bits of values, as they lie in memory.
pub fn bits(values: &[DataValue]) -> Vec<u128> {
    let bits = |value: &DataValue| {
        let mut bytes = [0; PLACE_BYTES];
        value.write_to_slice_le(&mut bytes);
        u128::from_le_bytes(bytes)
    };
    values.iter().map(bits).collect()
}

/// Calls an entry.
///
/// # Safety
///
/// `code` is that of an [`entry`] to a function of this signature, and stays
/// mapped.
pub unsafe fn call(code: *const u8, signature: &Signature, args: &[DataValue]) -> Vec<u128> {
    let mut memory = [0_u128; PLACES];
    memory[..args.len()].copy_from_slice(&bits(args));
    // SAFETY: of the caller; this is an entry's type.
    let entry = unsafe { std::mem::transmute::<*const u8, extern "C" fn(*mut u128)>(code) };
    entry(memory.as_mut_ptr());
    let result = |(place, param): (usize, &AbiParam)| {
        let unused = 128 - param.value_type.bits();
        memory[place] << unused >> unused
    };
    signature.returns.iter().enumerate().map(result).collect()
}

/// Functions in Cranelift's own JIT.
pub struct Native {
    module: Option<JITModule>,
    signatures: Vec<Signature>,
    entries: Vec<*const u8>,
}

impl Native {
    /// Of functions as [`with_entries`] gives them, each defined by `define`.
    pub fn new(
        isa: &OwnedTargetIsa,
        functions: &[ir::Function],
        mut define: impl FnMut(&mut JITModule, FuncId, &ir::Function),
    ) -> Self {
        let mut builder = JITBuilder::with_isa(isa.clone(), default_libcall_names());
        let name = default_libcall_names();
        for call in LibCall::all_libcalls() {
            if let Some(code) = lib_call(*call) {
                builder.symbol(name(*call), code);
            }
        }
        let mut module = JITModule::new(builder);
        let mut ids = Vec::new();
        for (index, function) in functions.iter().enumerate() {
            let (name, signature) = (format!("f{index}"), &function.signature);
            let id = module.declare_function(&name, Linkage::Local, signature).unwrap();
            assert_eq!(id.as_u32() as usize, index, "callees are named by it");
            ids.push(id);
        }
        for (id, function) in ids.iter().zip(functions) {
            define(&mut module, *id, function);
        }
        module.finalize_definitions().unwrap();
        let (functions, ids) = (&functions[..ids.len() / 2], &ids[ids.len() / 2..]);
        let entries = ids.iter().map(|id| module.get_finalized_function(*id)).collect();
        let signatures = functions.iter().map(|function| function.signature.clone()).collect();
        Self { module: Some(module), signatures, entries }
    }

    /// Each compiled by Cranelift alone.
    pub fn direct(isa: &OwnedTargetIsa, functions: &[ir::Function]) -> Self {
        Self::new(isa, functions, |module, id, function| {
            let mut context = Context::for_function(function.clone());
            module.define_function(id, &mut context).unwrap();
        })
    }

    pub fn run(&self, function: usize, args: &[DataValue]) -> Vec<u128> {
        // SAFETY: the entry of this function; the module lives as long as `self`.
        unsafe { call(self.entries[function], &self.signatures[function], args) }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: its code is run by `run` only, which needs `self`.
            unsafe { module.free_memory() };
        }
    }
}
