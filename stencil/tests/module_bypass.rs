//! Goal: what the inner module has to compile is compiled by it, is counted, and
//! is what it would have been; errors are the inner module's own. Method: the
//! same definitions in a plain module and in a cached one.

#[path = "../examples/language/language.rs"]
#[expect(dead_code, reason = "nothing is run")]
mod language;

use cranelift_codegen::ir::{self, InstBuilder, types};
use cranelift_codegen::{Context, isa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Linkage, Module, ModuleError, ModuleResult};
use cranelift_object::ObjectModule;
use language::check::check;
use language::lower::Lowering;
use language::parser::parse;
use language::store::MemoryStore;
use language::{jit, object};
use std::collections::BTreeMap;
use std::sync::Arc;
use stencil::clif::Origin;
use stencil::module::{BypassReason, CachedModule};
use stencil::{MissReason, Tier};

const NO_UNWIND: &[(&str, &str)] = &[("unwind_info", "false")];

/// A function that computes a number and returns it; a missing `return` is Cranelift's to find.
fn number(value: i64, returns: bool) -> ir::Function {
    let mut function = ir::Function::new();
    function.signature = signature();
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let block = builder.create_block();
    builder.switch_to_block(block);
    builder.seal_block(block);
    let more = builder.ins().iconst(types::I64, value + 1);
    let one = builder.ins().iconst(types::I64, 1);
    let value = builder.ins().isub(more, one);
    match returns {
        true => builder.ins().return_(&[value]),
        false => builder.ins().return_(&[]),
    };
    builder.finalize(jit::module(&[]).unwrap().target_config());
    function
}

fn signature() -> ir::Signature {
    let call_conv = isa::CallConv::triple_default(jit::module(&[]).unwrap().isa().triple());
    let mut signature = ir::Signature::new(call_conv);
    signature.returns.push(ir::AbiParam::new(types::I64));
    signature
}

fn declare<M: Module>(module: &mut M, name: &str, linkage: Linkage) -> FuncId {
    module.declare_function(name, linkage, &signature()).unwrap()
}

fn cached_jit(flags: &[(&str, &str)], store: &Arc<MemoryStore>) -> CachedModule<JITModule> {
    CachedModule::without_unwind_tables(jit::module(flags).unwrap(), store.clone())
}

fn said<T>(result: ModuleResult<T>) -> String {
    result.map(|_| ()).expect_err("it is wrong").to_string()
}

fn is_empty(store: &MemoryStore) -> bool {
    store.0.lock().unwrap().is_empty()
}

#[test]
fn a_target_with_unwind_information_is_bypassed_unless_the_caller_says_more() {
    let count = |cached: fn(JITModule, Arc<MemoryStore>) -> CachedModule<JITModule>, flags| {
        let store = Arc::new(MemoryStore::default());
        let mut module = cached(jit::module(flags).unwrap(), store.clone());
        let id = declare(&mut module, "seven", Linkage::Local);
        module.define_function(id, &mut Context::for_function(number(7, true))).unwrap();
        let report = module.report();
        assert_eq!(report.cache.functions + report.bypassed_count(), 1);
        assert_eq!(is_empty(&store), report.cache.functions == 0);
        report.bypassed.clone()
    };
    let bypassed = BTreeMap::from([(BypassReason::UnwindTables, 1)]);
    assert_eq!(count(|inner, store| CachedModule::new(inner, store), &[]), bypassed);
    let through = BTreeMap::new();
    assert_eq!(count(|inner, store| CachedModule::new(inner, store), NO_UNWIND), through);
    let without =
        |inner, store: Arc<MemoryStore>| CachedModule::without_unwind_tables(inner, store);
    assert_eq!(count(without, &[]), through);
}

#[test]
fn a_bypassed_object_has_its_tables() {
    let source = "fn f(x) { return x + 1; } fn main() { return f(3); }";
    let program = check(source, parse(source).unwrap()).unwrap();
    let with_tables = || {
        let mut builder = object::builder(&[]).unwrap();
        builder.unwind_info(true);
        ObjectModule::new(builder)
    };
    let mut plain = with_tables();
    Lowering::new(&mut plain, &program).unwrap().define(&mut plain).unwrap();
    let plain = object::finish(plain).unwrap();

    let finish = |mut module: CachedModule<ObjectModule>, bypassed| {
        Lowering::new(&mut module, &program).unwrap().define(&mut module).unwrap();
        assert_eq!(module.report().bypassed_count(), bypassed);
        object::finish(module.into_inner()).unwrap()
    };
    let store = Arc::new(MemoryStore::default());
    assert!(finish(CachedModule::new(with_tables(), store.clone()), 2) == plain);
    // Who says what is not so gets an object without them.
    let store = Arc::new(MemoryStore::default());
    assert!(finish(CachedModule::without_unwind_tables(with_tables(), store), 0) != plain);
}

#[test]
fn an_import_is_refused_by_the_inner_module_before_anything_is_published() {
    let mut plain = jit::module(NO_UNWIND).unwrap();
    let id = declare(&mut plain, "import", Linkage::Import);
    let expected = said(plain.define_function(id, &mut Context::for_function(number(7, true))));
    assert_eq!(expected, "Invalid to define identifier declared as an import: import");

    let store = Arc::new(MemoryStore::default());
    let mut module = cached_jit(NO_UNWIND, &store);
    let id = declare(&mut module, "import", Linkage::Import);
    let mut context = Context::for_function(number(7, true));
    assert_eq!(said(module.define_function(id, &mut context)), expected);
    assert_eq!(said(module.define(id, &mut context)), expected);
    assert_eq!(said(module.define_all(vec![(id, number(7, true))])), expected);
    assert_eq!((module.report().cache.functions, module.report().bypassed_count()), (0, 0));
    assert!(is_empty(&store));
}

#[test]
fn a_second_definition_is_refused_by_the_inner_module_before_anything_is_published() {
    let expected = "Duplicate definition of identifier: twice";
    type Define = fn(&mut CachedModule<JITModule>, FuncId);
    let first: [Define; 3] = [
        |module, id| {
            let mut context = Context::for_function(number(1, true));
            module.define_function(id, &mut context).unwrap();
        },
        |module, id| module.define_function_bytes(id, 1, &[0xc3], &[]).unwrap(),
        |module, id| drop(module.define_all(vec![(id, number(1, true))]).unwrap()),
    ];
    for define in first {
        let store = Arc::new(MemoryStore::default());
        let mut module = cached_jit(NO_UNWIND, &store);
        let id = declare(&mut module, "twice", Linkage::Local);
        define(&mut module, id);
        let stored = store.0.lock().unwrap().len();
        let mut context = Context::for_function(number(2, true));
        assert_eq!(said(module.define_function(id, &mut context)), expected);
        assert_eq!(said(module.define_all(vec![(id, number(2, true))])), expected);
        assert_eq!(store.0.lock().unwrap().len(), stored, "the second one is not published");
    }
}

#[test]
fn a_batch_is_defined_up_to_what_is_wrong_in_it() {
    let store = Arc::new(MemoryStore::default());
    let mut module = cached_jit(NO_UNWIND, &store);
    let [a, b, c] = ["a", "b", "c"].map(|name| declare(&mut module, name, Linkage::Local));
    let batch = vec![
        (a, number(1, true)),
        (b, number(2, true)),
        (a, number(3, true)),
        (c, number(4, true)),
    ];
    assert_eq!(said(module.define_all(batch)), "Duplicate definition of identifier: a");
    assert_eq!(store.0.lock().unwrap().len(), 2);
    // The others can be defined still.
    module.define_all(vec![(c, number(4, true))]).unwrap();
    assert_eq!(
        said(module.define_all(vec![(b, number(2, true))])),
        "Duplicate definition of identifier: b"
    );
}

#[test]
fn what_cranelift_refuses_is_told_as_without_a_cache() {
    let wrong = || Context::for_function(number(7, false));
    let mut plain = jit::module(NO_UNWIND).unwrap();
    let id = declare(&mut plain, "wrong", Linkage::Local);
    let told = |error: ModuleError| format!("{error}: {error:?}");
    let expected = told(plain.define_function(id, &mut wrong()).unwrap_err());
    assert!(expected.contains("arguments of return must match"), "{expected}");

    let store = Arc::new(MemoryStore::default());
    let mut module = cached_jit(NO_UNWIND, &store);
    let id = declare(&mut module, "wrong", Linkage::Local);
    assert_eq!(told(module.define_function(id, &mut wrong()).unwrap_err()), expected);
    assert_eq!(told(module.define_all(vec![(id, number(7, false))]).unwrap_err()), expected);
    assert!(is_empty(&store));
    // It is not defined, and can be.
    module.define_function(id, &mut Context::for_function(number(7, true))).unwrap();
}

#[test]
fn no_earlier_functions_code_is_left_in_the_context() {
    let store = Arc::new(MemoryStore::default());
    let mut with_unwind = CachedModule::new(jit::module(&[]).unwrap(), store.clone());
    let id = declare(&mut with_unwind, "bypassed", Linkage::Local);
    let mut context = Context::for_function(number(1, true));
    with_unwind.define_function(id, &mut context).unwrap();
    assert!(context.compiled_code().is_some(), "the inner module leaves it there");

    let mut module = cached_jit(&[], &store);
    let id = declare(&mut module, "cached", Linkage::Local);
    context.func = number(2, true);
    module.define_function(id, &mut context).unwrap();
    assert!(context.compiled_code().is_none());
}

#[test]
fn define_tells_where_the_code_came_from() {
    let store = Arc::new(MemoryStore::default());
    let origins: Vec<_> = (0..2)
        .map(|_| {
            let mut module = cached_jit(&[], &store);
            let [a, b] = ["a", "b"].map(|name| declare(&mut module, name, Linkage::Local));
            let batch = vec![(a, number(7, true)), (b, number(7, true))];
            let defined = module.define_all(batch).unwrap();
            defined.iter().map(|defined| defined.origin().unwrap()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(origins[0], [Origin::Compiled, Origin::Shared]);
    assert_eq!(origins[1], [Origin::Hit(Tier::Memory); 2]);

    let mut module = CachedModule::new(jit::module(&[]).unwrap(), store);
    let id = declare(&mut module, "a", Linkage::Local);
    let mut context = Context::for_function(number(7, true));
    let defined = module.define(id, &mut context).unwrap();
    assert_eq!(defined.origin(), Err(BypassReason::UnwindTables));
    assert!(context.compiled_code().is_none());
    assert!(defined.create_unwind_info(module.isa()).unwrap().is_some());
    assert_eq!(defined.code(), defined.as_bypassed().unwrap().code_buffer());
}

#[test]
fn a_module_of_another_target_in_its_place_has_other_keys() {
    let store = Arc::new(MemoryStore::default());
    let speed: &[(&str, &str)] = &[("opt_level", "speed"), ("unwind_info", "false")];
    let define = |module: &mut CachedModule<JITModule>, name: &str| {
        let id = declare(module, name, Linkage::Local);
        let defined = module.define(id, &mut Context::for_function(number(7, true))).unwrap();
        (defined.code().to_vec(), defined.origin().unwrap())
    };
    let mut module = cached_jit(NO_UNWIND, &store);
    let (code, origin) = define(&mut module, "a");
    assert_eq!(origin, Origin::Compiled);
    assert_eq!(define(&mut module, "b"), (code.clone(), Origin::Hit(Tier::Memory)));

    *module.inner_mut() = jit::module(speed).unwrap();
    let first = ["d", "e"].map(|name| declare(&mut module, name, Linkage::Local));
    let mut context = Context::for_function(number(7, true));
    let defined = module.define(first[0], &mut context).unwrap();
    assert_eq!(defined.origin(), Err(BypassReason::NotDefinable), "for all that is known");
    let mut fresh = cached_jit(speed, &Arc::new(MemoryStore::default()));
    let (folded, origin) = define(&mut module, "c");
    assert_eq!((folded.clone(), origin), (define(&mut fresh, "c").0, Origin::Compiled));
    assert_ne!(folded, code);
    assert_eq!(module.report().cache.functions, 3, "what was counted stays");
}

#[test]
fn damaged_entries_are_misses_with_their_reason_and_are_made_again() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, MissReason); 4] = [
        (|bytes| *bytes.last_mut().unwrap() ^= 1, MissReason::Checksum),
        (|bytes| bytes.truncate(bytes.len() / 2), MissReason::Checksum),
        (|bytes| bytes.clear(), MissReason::Checksum),
        (|bytes| bytes[4] ^= 0x40, MissReason::Version),
    ];
    for (damage, reason) in damages {
        let store = Arc::new(MemoryStore::default());
        let define = || {
            let mut module = cached_jit(&[], &store);
            let id = declare(&mut module, "seven", Linkage::Local);
            let code = module.define(id, &mut Context::for_function(number(7, true))).unwrap();
            (code.code().to_vec(), module.report().cache.misses.clone())
        };
        let (code, misses) = define();
        assert_eq!(misses, BTreeMap::from([(MissReason::Absent, 1)]));
        store.0.lock().unwrap().values_mut().for_each(damage);
        assert_eq!(define(), (code.clone(), BTreeMap::from([(reason, 1)])));
        assert_eq!(define(), (code, BTreeMap::new()), "{reason}: it is there again");
    }
}

#[test]
fn an_entry_of_another_function_is_a_miss() {
    let store = Arc::new(MemoryStore::default());
    let define = |value| {
        let mut module = cached_jit(&[], &store);
        let id = declare(&mut module, "f", Linkage::Local);
        let code = module.define(id, &mut Context::for_function(number(value, true))).unwrap();
        (code.code().to_vec(), module.report().cache.misses.clone())
    };
    let codes = [7, 9].map(|value| define(value).0);
    let mut entries = store.0.lock().unwrap();
    let mut values: Vec<Vec<u8>> = entries.values().cloned().collect();
    values.reverse();
    entries.values_mut().zip(values).for_each(|(entry, other)| *entry = other);
    drop(entries);
    let wrong = BTreeMap::from([(MissReason::WrongKey, 1)]);
    assert_eq!(define(7), (codes[0].clone(), wrong.clone()));
    assert_eq!(define(9), (codes[1].clone(), wrong));
}

#[test]
fn a_function_whose_disassembly_is_asked_for_is_compiled() {
    let store = Arc::new(MemoryStore::default());
    for (want_disasm, origin) in
        [(false, Ok(Origin::Compiled)), (true, Err(BypassReason::Disassembly))]
    {
        let mut module = cached_jit(NO_UNWIND, &store);
        let id = declare(&mut module, "number", Linkage::Export);
        let mut context = Context::for_function(number(7, true));
        context.want_disasm = want_disasm;
        let defined = module.define(id, &mut context).unwrap();
        assert_eq!(defined.origin(), origin);
        let disassembled = defined.as_bypassed().is_some_and(|code| code.vcode.is_some());
        assert_eq!(disassembled, want_disasm);
    }
}

#[test]
fn a_policy_survives_a_change_of_the_inner_module() {
    let store = Arc::new(MemoryStore::default());
    let mut module = cached_jit(NO_UNWIND, &store);
    module.set_policy(stencil::clif::policy::Policy::one_by_one());
    let _ = module.inner_mut();
    let id = declare(&mut module, "number", Linkage::Export);
    module.define(id, &mut Context::for_function(number(7, true))).unwrap();
    assert_eq!(module.report().cache.unasked, 1);
    assert!(is_empty(&store));
}
