//! Functions from a warm cache in a code image do what the same functions do
//! when Cranelift's own JIT compiles them; and a hit calls whom this caller
//! calls, not whom the function called that the code was compiled for.

#![cfg(all(feature = "image", feature = "module"))]

#[path = "clif_run/native.rs"]
mod native;

use cranelift_codegen::ir::{
    self, ExtFuncData, FuncRef, InstBuilder, LibCall, Signature, UserExternalName, UserFuncName,
};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use generate::clif::Generator;
use native::{Native, call, with_entries};
use oracle::store::MemoryStore;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use std::sync::Arc;
use stencil::ExternalName;
use stencil::clif::{CompiledFunction, Compiler};
use stencil::image::{Builtin, CodeImage, Fragment, FragmentError, Generation};

const PROGRAMS: u64 = 60;
const FUNCTIONS: u32 = 5;

fn address_of(builtin: Builtin) -> Option<u64> {
    match builtin {
        Builtin::LibCall(call) => native::lib_call(call).map(|code| code as u64),
        _ => None,
    }
}

/// Whose namespace is the program's gets another name.
fn renamed(name: &UserExternalName) -> UserExternalName {
    UserExternalName { namespace: name.namespace + 5, index: name.index + 100 }
}

/// The same function under another name, that calls others by other names.
fn rename(function: &ir::Function) -> ir::Function {
    let mut function = function.clone();
    let named: Vec<_> = function.params.user_named_funcs().iter().map(|(it, _)| it).collect();
    for name in named {
        let to = renamed(&function.params.user_named_funcs()[name]);
        function.params.reset_user_func_name(name, to);
    }
    if let UserFuncName::User(name) = &mut function.name {
        *name = renamed(name);
    }
    function
}

fn name_of(function: &ir::Function) -> ExternalName {
    let name = function.name.get_user().unwrap();
    ExternalName { namespace: name.namespace, index: name.index }
}

fn compile_all(isa: &OwnedTargetIsa, functions: &[ir::Function], store: &Arc<MemoryStore>) -> Warm {
    let mut compiler = Compiler::new(isa.clone(), store.clone());
    let compiled = functions.iter().map(|function| compiler.compile(function).unwrap()).collect();
    Warm { compiled, hits: compiler.report().hit_count() }
}

struct Warm {
    compiled: Vec<CompiledFunction>,
    hits: u64,
}

fn commit(functions: &[ir::Function], compiled: &[CompiledFunction]) -> Generation {
    let mut image = CodeImage::for_host().unwrap();
    for (index, (function, compiled)) in functions.iter().zip(compiled).enumerate() {
        let fragment = Fragment::of(&compiled.finalized(), address_of).unwrap();
        // Callers come before and behind those they call.
        let put = if index % 2 == 0 { CodeImage::append } else { CodeImage::prepend };
        put(&mut image, name_of(function), fragment).unwrap();
    }
    image.commit().unwrap()
}

fn run(
    generation: &Generation,
    entry: &ir::Function,
    signature: &Signature,
    args: &[cranelift_codegen::data_value::DataValue],
) -> Vec<u128> {
    let code = generation.address_of(name_of(entry)).unwrap();
    // SAFETY: an entry to a function of this signature; `generation` lives.
    unsafe { call(code, signature, args) }
}

#[track_caller]
fn check(isa: &OwnedTargetIsa, seed: u64) -> usize {
    let mut rng = SmallRng::seed_from_u64(seed);
    let program = Generator::new(&**isa).program(&mut rng, FUNCTIONS);
    let functions = with_entries(&**isa, &program);
    let direct = Native::direct(isa, &functions);
    let store = Arc::new(MemoryStore::default());
    compile_all(isa, &functions, &store);

    let other: Vec<ir::Function> = functions.iter().map(rename).collect();
    let mut generations = Vec::new();
    for functions in [&functions, &other] {
        let warm = compile_all(isa, functions, &store);
        assert_eq!(warm.hits, functions.len() as u64, "seed {seed}: all hit");
        generations.push((commit(functions, &warm.compiled), functions));
    }
    for (index, function) in program.iter().enumerate() {
        let args = native::arguments(&mut rng, &function.signature);
        let expected = direct.run(index, &args);
        for (generation, functions) in &generations {
            let entry = &functions[program.len() + index];
            let got = run(generation, entry, &function.signature, &args);
            assert_eq!(got, expected, "seed {seed}, {}\n{function}", entry.name);
        }
    }
    program.len() * generations.len()
}

#[test]
fn a_program_from_a_warm_cache_runs_in_an_image_under_any_names() {
    let isas = [native::isa("speed", false), native::isa("none", true)];
    let runs: usize =
        (0..PROGRAMS).map(|seed| check(&isas[seed as usize % isas.len()], seed)).sum();
    println!("{PROGRAMS} programs, {runs} functions run in images");
}

/// A function of one number that `body` makes another of.
fn function(
    isa: &OwnedTargetIsa,
    index: u32,
    body: impl FnOnce(&mut FunctionBuilder<'_>, ir::Value) -> ir::Value,
) -> ir::Function {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.push(ir::AbiParam::new(ir::types::F64));
    signature.returns.push(ir::AbiParam::new(ir::types::F64));
    let mut function = ir::Function::with_name_signature(UserFuncName::user(0, index), signature);
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    let argument = builder.block_params(block)[0];
    let result = body(&mut builder, argument);
    builder.ins().return_(&[result]);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
    function
}

fn import(builder: &mut FunctionBuilder<'_>, index: u32) -> FuncRef {
    let signature = builder.func.signature.clone();
    let signature = builder.import_signature(signature);
    let name = UserExternalName { namespace: 0, index };
    let name = builder.func.declare_imported_user_function(name);
    let name = ir::ExternalName::user(name);
    builder.import_function(ExtFuncData { name, signature, colocated: true, patchable: false })
}

fn caller(isa: &OwnedTargetIsa, index: u32, callee: u32) -> ir::Function {
    function(isa, index, |builder, argument| {
        let callee = import(builder, callee);
        let call = builder.ins().call(callee, &[argument]);
        let result = builder.inst_results(call)[0];
        builder.ins().fadd(result, argument)
    })
}

#[test]
fn a_hit_calls_whom_this_caller_calls() {
    let isa = native::isa("speed", false);
    let halved = function(&isa, 1, |builder, argument| {
        let two = builder.ins().f64const(2.0);
        builder.ins().fdiv(argument, two)
    });
    let negated = function(&isa, 2, |builder, argument| builder.ins().fneg(argument));
    let store = Arc::new(MemoryStore::default());
    compile_all(&isa, &[caller(&isa, 0, 1)], &store);
    let functions = [halved, negated, caller(&isa, 3, 1), caller(&isa, 4, 2)];
    let warm = compile_all(&isa, &functions, &store);
    assert_eq!(warm.hits, 2, "both callers hit");
    let generation = commit(&functions, &warm.compiled);
    for (caller, result) in [(&functions[2], 15.0), (&functions[3], 0.0)] {
        let code = generation.address_of(name_of(caller)).unwrap();
        // SAFETY: `caller` makes a function of this type; `generation` lives.
        let code = unsafe { std::mem::transmute::<*const u8, extern "C" fn(f64) -> f64>(code) };
        assert_eq!(code(10.0), result);
    }
}

#[test]
fn a_library_call_without_an_address_is_named() {
    let isa = native::isa("none", true);
    let floor = function(&isa, 0, |builder, argument| builder.ins().floor(argument));
    let warm = compile_all(&isa, &[floor], &Arc::default());
    let finalized = warm.compiled[0].finalized();
    let builtin = Builtin::LibCall(LibCall::FloorF64);
    let error = Fragment::of(&finalized, |_| None).unwrap_err();
    assert!(matches!(error, FragmentError::Unresolved { builtin: it, .. } if it == builtin));
    assert!(error.to_string().contains("FloorF64"), "{error}");
    let mut asked = Vec::new();
    let fragment = Fragment::of(&finalized, |it| {
        asked.push(it);
        address_of(it)
    });
    assert_eq!((fragment.unwrap().relocations.len(), asked), (1, vec![builtin]));
}
