//! Goal: a program does the same without a cache, with an empty one and with a
//! full one, and its code is the same to the byte. Method: the example's
//! programs, run in this process and linked to one of their own; objects are
//! compared whole, JIT code function by function before it is relocated.

#[path = "../examples/language/language.rs"]
mod language;
#[path = "language/linked.rs"]
mod linked;

use cranelift_module::{FuncId, Module};
use cranelift_object::ObjectModule;
use language::check::{CheckedProgram, check};
use language::jit::Outcome;
use language::lower::Lowering;
use language::parser::parse;
use language::store::MemoryStore;
use language::{jit, object};
use std::sync::Arc;
use stencil::module::CachedModule;

const SETTINGS: [&[(&str, &str)]; 3] = [
    &[("opt_level", "none")],
    &[("opt_level", "speed"), ("enable_verifier", "false")],
    &[("opt_level", "speed_and_size"), ("unwind_info", "false")],
];

fn checked(source: &str) -> CheckedProgram<'_> {
    check(source, parse(source).unwrap()).unwrap()
}

fn empty_object(flags: &[(&str, &str)]) -> ObjectModule {
    ObjectModule::new(object::builder(flags).unwrap())
}

/// How a program's functions are given to a module.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    OneByOne,
    AllAtOnce,
}

/// Hits, misses and the module with the program in it.
fn through_cache<M: Module>(
    inner: M,
    program: &CheckedProgram<'_>,
    store: &Arc<MemoryStore>,
    form: Form,
) -> (M, FuncId, u64, u64) {
    let mut module = CachedModule::without_unwind_tables(inner, store.clone());
    let mut lowering = Lowering::new(&mut module, program).unwrap();
    match form {
        Form::OneByOne => lowering.define(&mut module).unwrap(),
        Form::AllAtOnce => {
            let functions = lowering.functions(&mut module);
            module.define_all(functions).unwrap();
        }
    }
    let report = module.report();
    assert_eq!(report.bypassed_count(), 0, "{:?}", report.bypassed);
    let counts = (report.cache.hit_count(), report.cache.miss_count());
    (module.into_inner(), lowering.main(), counts.0, counts.1)
}

/// Runs in this process: without a cache, and with one that becomes full.
#[track_caller]
fn check_jit(name: &str, source: &str, flags: &[(&str, &str)]) {
    let program = checked(source);
    let mut plain = jit::module(flags).unwrap();
    let mut lowering = Lowering::new(&mut plain, &program).unwrap();
    lowering.define(&mut plain).unwrap();
    let expected = jit::run(plain, lowering.main()).unwrap();
    let functions = program.functions().len() as u64;
    for form in [Form::OneByOne, Form::AllAtOnce] {
        let store = Arc::new(MemoryStore::default());
        for state in ["cold", "warm"] {
            let inner = jit::module(flags).unwrap();
            let (module, main, hits, _) = through_cache(inner, &program, &store, form);
            let outcome = jit::run(module, main).unwrap();
            assert_eq!(outcome, expected, "{name}, {state}, {form:?}, {flags:?}");
            if state == "warm" {
                assert_eq!(hits, functions, "{name}, {form:?}, {flags:?}");
            }
        }
    }
}

/// As objects: the bytes without a cache, with an empty and with a full one.
#[track_caller]
fn check_object(name: &str, source: &str, flags: &[(&str, &str)]) {
    let program = checked(source);
    let mut module = empty_object(flags);
    Lowering::new(&mut module, &program).unwrap().define(&mut module).unwrap();
    let plain = object::finish(module).unwrap();
    let expected: Outcome = linked::outcome(&plain);
    let store = Arc::new(MemoryStore::default());
    let functions = program.functions().len() as u64;
    let states = [Form::OneByOne, Form::AllAtOnce, Form::OneByOne].map(|form| {
        let (module, _, hits, _) = through_cache(empty_object(flags), &program, &store, form);
        (object::finish(module).unwrap(), hits)
    });
    let [(cold, _), (warm, warm_hits), (again, again_hits)] = states;
    assert_eq!([warm_hits, again_hits], [functions, functions], "{name}, {flags:?}");
    assert!(cold == warm && warm == again, "{name}, {flags:?}: cold and warm differ");
    assert!(cold == plain, "{name}, {flags:?}: plain and cached differ");
    assert_eq!(linked::outcome(&warm), expected, "{name}, {flags:?}");
}

#[test]
fn programs_do_the_same_in_this_process() {
    for (name, source) in linked::programs() {
        for flags in SETTINGS {
            check_jit(&name, &source, flags);
        }
    }
}

#[test]
fn objects_are_the_same_to_the_byte_and_so_are_their_processes() {
    for (name, source) in linked::programs() {
        for flags in SETTINGS {
            check_object(&name, &source, flags);
        }
    }
}

#[test]
fn names_and_places_of_the_source_are_in_no_key() {
    let (_, source) = linked::programs().into_iter().find(|(name, _)| name == "numbers").unwrap();
    let moved = linked::moved(&source);
    let (before, after) = (checked(&source), checked(&moved));
    for flags in SETTINGS {
        let store = Arc::new(MemoryStore::default());
        let inner = jit::module(flags).unwrap();
        let (module, main, ..) = through_cache(inner, &before, &store, Form::AllAtOnce);
        let expected = jit::run(module, main).unwrap();
        for form in [Form::OneByOne, Form::AllAtOnce] {
            let inner = jit::module(flags).unwrap();
            let (module, main, hits, misses) = through_cache(inner, &after, &store, form);
            assert_eq!((hits, misses), (after.functions().len() as u64, 0), "{form:?}, {flags:?}");
            assert_eq!(jit::run(module, main).unwrap(), expected, "{form:?}, {flags:?}");
        }
    }
}

#[test]
fn a_changed_function_misses_alone() {
    let source =
        "fn f(x) { return x + 1; } fn g(x) { return f(x) * 2; } fn main() { return g(3); }";
    let changed = source.replace("x + 1", "x + 2");
    let store = Arc::new(MemoryStore::default());
    for (source, hits, misses, result) in
        [(source, 0, 3, 8), (source, 3, 0, 8), (&changed, 2, 1, 10)]
    {
        let inner = jit::module(SETTINGS[1]).unwrap();
        let (module, main, got_hits, got_misses) =
            through_cache(inner, &checked(source), &store, Form::OneByOne);
        assert_eq!((got_hits, got_misses), (hits, misses), "{source}");
        assert_eq!(jit::run(module, main).unwrap().result, result, "{source}");
    }
}

#[test]
fn a_call_out_of_the_module_is_not_one_within_it() {
    let within = "fn f(x) { return x + 1; } fn main() { return f(3); }";
    let out = within.replace("return f(3)", "return print(3)");
    let store = Arc::new(MemoryStore::default());
    for (source, counts, result) in [(within, (0, 2), 4), (&out, (1, 1), 0)] {
        let inner = jit::module(SETTINGS[1]).unwrap();
        let (module, main, hits, misses) =
            through_cache(inner, &checked(source), &store, Form::OneByOne);
        assert_eq!((hits, misses), counts, "{source}");
        assert_eq!(jit::run(module, main).unwrap().result, result, "{source}");
    }
}

#[test]
fn a_hit_calls_the_callee_of_its_own_module() {
    let adds = "fn f(x) { return x + 1; } fn g(x) { return x * 9; } fn main() { return f(3); }";
    // `main` calls a function of another name, at another place of the module.
    let multiplies =
        "fn h(x) { return x * 9; } fn main() { return k(3); } fn k(x) { return x - 5; }";
    let store = Arc::new(MemoryStore::default());
    for (source, hits, result) in [(adds, 0, 4), (multiplies, 2, -2)] {
        let inner = jit::module(SETTINGS[1]).unwrap();
        let (module, main, got, _) =
            through_cache(inner, &checked(source), &store, Form::AllAtOnce);
        assert_eq!(got, hits, "{source}");
        assert_eq!(jit::run(module, main).unwrap().result, result, "{source}");
    }
    // The same, linked.
    let store = Arc::new(MemoryStore::default());
    for (source, result) in [(adds, 4), (multiplies, -2)] {
        let inner = empty_object(SETTINGS[1]);
        let (module, ..) = through_cache(inner, &checked(source), &store, Form::AllAtOnce);
        let object = object::finish(module).unwrap();
        assert_eq!(linked::outcome(&object).result, result, "{source}");
    }
}
