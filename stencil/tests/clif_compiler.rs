//! The spine: what runs for a cold, a warm and a shared function, and that all of
//! them have the same code. Asserted by the report, an account of what ran.
#![cfg(feature = "codegen")]

#[path = "clif/sample.rs"]
mod sample;

use oracle::store::MemoryStore;
use sample::{SAMPLE, changed, isa, parse};
use std::borrow::Cow;
use std::sync::Arc;
use stencil::clif::policy::Policy;
use stencil::clif::{Compiler, Origin};
use stencil::{CacheKey, CacheStore, Lookup, MissReason, Tier};

fn compiler(store: &Arc<MemoryStore>) -> Compiler {
    Compiler::new(isa(&[]), store.clone())
}

#[test]
fn a_second_compile_generates_nothing_and_has_the_same_code() {
    let store = Arc::new(MemoryStore::default());
    let function = parse(SAMPLE);
    let mut cold = compiler(&store);
    let first = cold.compile(&function).unwrap();
    assert_eq!((cold.report().codegen, cold.report().published.stored), (1, 1));
    assert_eq!(first.origin(), Origin::Compiled);

    let mut warm = compiler(&store);
    let second = warm.compile(&function).unwrap();
    assert_eq!((warm.report().codegen, warm.report().hit_count()), (0, 1));
    assert_eq!(second.origin(), Origin::Hit(Tier::Memory));
    assert_eq!(first.code(), second.code());
    let relocs = |function: &stencil::clif::CompiledFunction| {
        function.finalized().relocs().collect::<Vec<_>>()
    };
    assert_eq!(relocs(&first), relocs(&second));
}

#[test]
fn a_renamed_callee_hits_and_is_the_one_that_is_named() {
    let store = Arc::new(MemoryStore::default());
    compiler(&store).compile(&parse(SAMPLE)).unwrap();
    let mut warm = compiler(&store);
    let renamed = warm.compile(&changed("u0:1 sig0", "u3:1234 sig0")).unwrap();
    assert_eq!(warm.report().codegen, 0);
    let finalized = renamed.finalized();
    let names: Vec<_> = finalized.relocations().map(|reloc| reloc.target).collect();
    let name = stencil::ExternalName { namespace: 3, index: 1234 };
    assert!(names.contains(&stencil::finalize::FinalTarget::Name(name)), "{names:?}");
}

#[test]
fn equal_functions_of_a_batch_are_asked_for_and_compiled_once() {
    let store = Arc::new(MemoryStore::default());
    let (one, renamed) = (parse(SAMPLE), changed("u0:1 sig0", "u3:1234 sig0"));
    let other = changed("iconst.i32 77", "iconst.i32 78");
    let mut cold = compiler(&store);
    let compiled = cold.compile_all(&[&one, &other, &renamed]);
    let origins: Vec<_> = compiled.iter().map(|of| of.as_ref().unwrap().origin()).collect();
    assert_eq!(origins, [Origin::Compiled, Origin::Compiled, Origin::Shared]);
    let report = cold.report();
    assert_eq!((report.functions, report.codegen, report.shared), (3, 2, 1));
    assert_eq!((report.misses[&MissReason::Absent], report.published.stored), (2, 2));

    let mut warm = compiler(&store);
    let again = warm.compile_all(&[&renamed, &other, &one]);
    assert_eq!((warm.report().codegen, warm.report().hit_count()), (0, 3));
    assert_eq!(again[2].as_ref().unwrap().code(), compiled[0].as_ref().unwrap().code());
}

#[test]
fn a_function_that_cannot_be_cached_does_not_keep_others_from_it() {
    let store = Arc::new(MemoryStore::default());
    let mut testcase = parse(SAMPLE);
    let callee = cranelift_codegen::ir::FuncRef::from_u32(0);
    testcase.dfg.ext_funcs[callee].name = cranelift_codegen::ir::ExternalName::testcase("f");
    let mut compiler = compiler(&store);
    let compiled = compiler.compile_all(&[&testcase, &parse(SAMPLE)]);
    assert!(compiled[0].is_err() && compiled[1].is_ok());
    assert_eq!(compiler.report().uncacheable.values().sum::<u64>(), 1);
}

#[test]
fn what_cranelift_refuses_is_not_published() {
    let store = Arc::new(MemoryStore::default());
    let mut compiler = compiler(&store);
    let broken = changed("v4 = iadd v1, v3", "v4 = iadd.i32 v30, v3");
    let error = compiler.compile(&broken).unwrap_err();
    assert!(error.to_string().starts_with("cannot compile the function"), "{error}");
    assert_eq!(compiler.report().published.stored, 0);
    compiler.compile(&parse(SAMPLE)).unwrap();
    assert_eq!(compiler.report().published.stored, 1);
}

#[test]
fn the_policy_decides_who_is_asked_and_not_what_comes_of_it() {
    let store = Arc::new(MemoryStore::default());
    let expected = compiler(&store).compile(&parse(SAMPLE)).unwrap();
    for (policy, asked) in [(Policy::always(), true), (Policy::one_by_one(), false)] {
        let mut compiler = compiler(&store);
        compiler.set_policy(policy);
        let compiled = compiler.compile(&parse(SAMPLE)).unwrap();
        assert_eq!(compiled.code(), expected.code());
        let report = compiler.report();
        assert_eq!((report.hit_count() == 1, report.unasked == 1), (asked, !asked));
        assert_eq!((report.miss_count(), report.published.stored), (0, 0));
    }
}

/// Answers for one key fewer than it is asked for.
struct Short(MemoryStore);

impl CacheStore for Short {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.get(key)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.0.insert(key, value)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let mut answers = self.0.lookup(keys);
        answers.pop();
        answers
    }
}

#[test]
fn a_store_that_answers_too_little_is_a_counted_miss() {
    let store = Arc::new(Short(MemoryStore::default()));
    let (one, other) = (parse(SAMPLE), changed("iconst.i32 77", "iconst.i32 78"));
    Compiler::new(isa(&[]), store.clone()).compile_all(&[&one, &other]);
    let mut warm = Compiler::new(isa(&[]), store);
    assert!(warm.compile_all(&[&one, &other]).iter().all(Result::is_ok));
    assert_eq!(warm.report().misses[&MissReason::Protocol], 1);
    assert_eq!((warm.report().hit_count(), warm.report().codegen), (1, 1));
}
