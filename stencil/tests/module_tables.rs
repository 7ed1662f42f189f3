//! Goal: `define` returns what `Context::compiled_code` of a plain module says,
//! whether a function was bypassed, compiled or found; and code finds the data
//! objects and library calls of its own module. Method: every view of every
//! function, against the context of a plain module.

#[path = "../examples/language/language.rs"]
#[expect(dead_code, reason = "no program is run")]
mod language;
#[path = "language/linked.rs"]
#[expect(dead_code, reason = "nothing is linked")]
mod linked;

use cranelift_codegen::ir::{self, AbiParam, InstBuilder, MemFlagsData, types};
use cranelift_codegen::isa::CallConv;
use cranelift_codegen::{CompiledCode, Context};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::JITModule;
use cranelift_module::{DataDescription, FuncId, Linkage, Module};
use language::check::check;
use language::jit;
use language::lower::Lowering;
use language::parser::parse;
use language::store::MemoryStore;
use std::sync::Arc;
use stencil::clif::Origin;
use stencil::module::{BypassReason, CachedModule, Defined};

const SETTINGS: [&[(&str, &str)]; 3] = [
    &[("opt_level", "none")],
    &[("opt_level", "speed"), ("enable_verifier", "false")],
    &[("opt_level", "speed_and_size"), ("unwind_info", "false")],
];

/// Everything that `define` returns, against the compiled code of a plain module.
#[track_caller]
fn check_defined(module: &JITModule, code: &CompiledCode, defined: &Defined, what: &str) {
    let buffer = &code.buffer;
    assert_eq!(defined.code(), code.code_buffer(), "{what}: code");
    assert_eq!(defined.alignment(), buffer.alignment, "{what}: alignment");
    assert_eq!(defined.relocs(), buffer.relocs(), "{what}: relocations");
    assert_eq!(defined.traps(), buffer.traps(), "{what}: traps");
    assert_eq!(defined.srclocs(), buffer.get_srclocs_sorted(), "{what}: source map");
    let expected: Vec<_> = buffer.call_sites().map(|site| format!("{site:?}")).collect();
    let sites = defined.call_sites();
    let sites: Vec<_> = sites.iter().map(|site| format!("{:?}", site.as_mach())).collect();
    assert_eq!(sites, expected, "{what}: call sites");
    let expected: Vec<(u32, u32, Vec<_>)> = buffer
        .user_stack_maps()
        .iter()
        .map(|(offset, size, map)| (*offset, *size, map.entries().collect()))
        .collect();
    let maps = defined.user_stack_maps().into_iter();
    let maps: Vec<_> = maps.map(|map| (map.ret_addr, map.frame_size, map.entries)).collect();
    assert_eq!(maps, expected, "{what}: stack maps");
    let isa = module.isa();
    let expected = format!("{:?}", code.create_unwind_info(isa).unwrap());
    let unwind = format!("{:?}", defined.create_unwind_info(isa).unwrap());
    assert_eq!(unwind, expected, "{what}: unwind information");
}

/// Defines functions in a plain module and, bypassed, cold and warm, in cached
/// ones, whose functions `declare` declares.
#[track_caller]
fn check_functions(
    flags: &[(&str, &str)],
    store: &Arc<MemoryStore>,
    what: &str,
    declare: impl Fn(&mut dyn Module) -> Vec<(FuncId, ir::Function)>,
) {
    let mut plain = jit::module(flags).unwrap();
    let contexts: Vec<Context> = declare(&mut plain)
        .into_iter()
        .map(|(id, function)| {
            let mut context = Context::for_function(function);
            plain.define_function(id, &mut context).unwrap();
            context
        })
        .collect();
    let check_module = |mut module: CachedModule<JITModule>, state: &str| {
        let functions = declare(&mut module);
        let all = module.define_all(functions).unwrap();
        for (number, (context, defined)) in contexts.iter().zip(&all).enumerate() {
            let what = format!("{what}, {state}, {number}, {flags:?}");
            check_defined(&plain, context.compiled_code().unwrap(), defined, &what);
            match state {
                "bypassed" => {
                    assert_eq!(defined.origin(), Err(BypassReason::UnwindTables), "{what}");
                }
                "warm" => assert!(matches!(defined.origin(), Ok(Origin::Hit(_))), "{what}"),
                _ => assert!(defined.origin().is_ok(), "{what}"),
            }
        }
    };
    let module = || jit::module(flags).unwrap();
    if plain.isa().flags().unwind_info() {
        check_module(CachedModule::new(module(), store.clone()), "bypassed");
    }
    check_module(CachedModule::without_unwind_tables(module(), store.clone()), "cold");
    check_module(CachedModule::without_unwind_tables(module(), store.clone()), "warm");
}

#[test]
fn define_returns_what_the_context_would_have_said() {
    let (_, source) = linked::programs().into_iter().find(|(name, _)| name == "numbers").unwrap();
    let moved = linked::moved(&source);
    for flags in SETTINGS {
        let store = Arc::new(MemoryStore::default());
        for (source, what) in [(&source, "numbers"), (&moved, "numbers, moved")] {
            let program = check(source, parse(source).unwrap()).unwrap();
            check_functions(flags, &store, what, |mut module| {
                Lowering::new(&mut module, &program).unwrap().functions(&mut module)
            });
        }
    }
}

/// Keeps a reference over two calls of itself. One only: Cranelift lays out stack
/// slots by their numbers, and those of a stencil are in the order of first use.
fn with_stack_maps(id: FuncId, module: &mut dyn Module) -> ir::Function {
    let mut function = ir::Function::new();
    function.signature = module.declarations().get_function_decl(id).signature.clone();
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let value = builder.block_params(block)[0];
    builder.declare_value_needs_stack_map(value);
    let callee = module.declare_func_in_func(id, builder.func);
    let call = builder.ins().call(callee, &[value]);
    let first = builder.inst_results(call)[0];
    builder.ins().call(callee, &[value]);
    let sum = builder.ins().iadd(first, value);
    builder.ins().return_(&[sum]);
    builder.finalize(module.target_config());
    function
}

#[test]
fn stack_maps_come_with_the_code() {
    let maps = |module: &mut dyn Module| {
        let mut signature = module.make_signature();
        signature.params.push(AbiParam::new(types::I64));
        signature.returns.push(AbiParam::new(types::I64));
        let id = module.declare_function("maps", Linkage::Local, &signature).unwrap();
        vec![(id, with_stack_maps(id, module))]
    };
    for flags in SETTINGS {
        let store = Arc::new(MemoryStore::default());
        check_functions(flags, &store, "stack maps", maps);
        let mut module = CachedModule::without_unwind_tables(jit::module(flags).unwrap(), store);
        let functions = maps(&mut module);
        assert_eq!(module.define_all(functions).unwrap()[0].user_stack_maps().len(), 2);
    }
}

/// `copy` copies a number from one data object to another, with a library call,
/// and loads it there. `padding` other objects are declared before the two.
fn copied(module: &mut dyn Module, number: i64, padding: usize) -> (FuncId, ir::Function) {
    let config = module.target_config();
    for index in 0..padding {
        module.declare_data(&format!("padding{index}"), Linkage::Local, false, false).unwrap();
    }
    let [from, to] = [(Some(number), false), (None, true)].map(|(number, writable)| {
        let name = format!("data_{writable}_{padding}");
        let id = module.declare_data(&name, Linkage::Local, writable, false).unwrap();
        let mut data = DataDescription::new();
        match number {
            Some(number) => data.define(Box::new(number.to_ne_bytes())),
            None => data.define_zeroinit(8),
        }
        module.define_data(id, &data).unwrap();
        id
    });
    let mut function = ir::Function::new();
    function.signature = ir::Signature::new(CallConv::triple_default(module.isa().triple()));
    function.signature.returns.push(AbiParam::new(types::I64));
    let id = module.declare_function("copy", Linkage::Export, &function.signature).unwrap();
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let block = builder.create_block();
    builder.switch_to_block(block);
    builder.seal_block(block);
    let [from, to] = [from, to].map(|id| {
        let global = module.declare_data_in_func(id, builder.func);
        builder.ins().symbol_value(types::I64, global)
    });
    let size = builder.ins().iconst(types::I64, 8);
    builder.call_memcpy(config, to, from, size);
    let number = builder.ins().load(types::I64, MemFlagsData::trusted(), to, 0);
    builder.ins().return_(&[number]);
    builder.finalize(config);
    (id, function)
}

#[test]
fn a_hit_finds_the_data_and_the_library_calls_of_its_own_module() {
    let store = Arc::new(MemoryStore::default());
    for (number, padding, hits) in [(7, 0, 0), (-9, 3, 1), (11, 5, 1)] {
        let inner = jit::module(&[]).unwrap();
        let mut module = CachedModule::without_unwind_tables(inner, store.clone());
        let (id, function) = copied(&mut module, number, padding);
        module.define_all(vec![(id, function)]).unwrap();
        assert_eq!(module.report().cache.hit_count(), hits);
        assert_eq!(jit::run(module.into_inner(), id).unwrap().result, number);
    }
}
