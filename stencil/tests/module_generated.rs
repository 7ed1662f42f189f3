//! Goal: no program finds code that is not its own. Method: generated programs
//! and edits of them, one after the other in front of one store, against a plain
//! module: what they do, and their objects to the byte.

#[path = "language/generated.rs"]
mod generated;
#[path = "../examples/language/language.rs"]
mod language;

use cranelift_object::ObjectModule;
use language::check::{CheckedProgram, check};
use language::lower::Lowering;
use language::parser::parse;
use language::store::MemoryStore;
use language::{jit, object};
use std::sync::Arc;
use stencil::module::CachedModule;

const PROGRAMS: u64 = 40;

fn checked(source: &str) -> CheckedProgram<'_> {
    check(source, parse(source).unwrap()).unwrap()
}

/// The same in a plain module and in cached ones; how many functions were hits
/// in the first of those.
#[track_caller]
fn check_program(source: &str, flags: &[(&str, &str)], store: &Arc<MemoryStore>) -> u64 {
    let program = checked(source);
    let mut plain = jit::module(flags).unwrap();
    let mut lowering = Lowering::new(&mut plain, &program).unwrap();
    lowering.define(&mut plain).unwrap();
    let expected = jit::run(plain, lowering.main()).unwrap();
    let hits = [(); 2].map(|()| {
        let inner = jit::module(flags).unwrap();
        let mut module = CachedModule::without_unwind_tables(inner, store.clone());
        let mut lowering = Lowering::new(&mut module, &program).unwrap();
        let functions = lowering.functions(&mut module);
        module.define_all(functions).unwrap();
        let hits = module.report().cache.hit_count();
        assert_eq!(jit::run(module.into_inner(), lowering.main()).unwrap(), expected, "{source}");
        hits
    });
    assert_eq!(hits[1], program.functions().len() as u64, "{source}");

    let object = || ObjectModule::new(object::builder(flags).unwrap());
    let mut plain = object();
    Lowering::new(&mut plain, &program).unwrap().define(&mut plain).unwrap();
    let mut cached = CachedModule::without_unwind_tables(object(), store.clone());
    Lowering::new(&mut cached, &program).unwrap().define(&mut cached).unwrap();
    let cached = object::finish(cached.into_inner()).unwrap();
    assert!(object::finish(plain).unwrap() == cached, "other bytes:\n{source}");
    hits[0]
}

#[test]
fn generated_programs_and_their_edits_find_no_code_but_their_own() {
    for flags in [&[("opt_level", "speed")], &[("opt_level", "none")]] {
        let store = Arc::new(MemoryStore::default());
        let mut hits = 0;
        for seed in 0..PROGRAMS {
            let source = generated::program(seed);
            check_program(&source, flags, &store);
            let edits = [
                source.replace(" + ", " - "),
                source.replace(" < ", " <= "),
                source.replace("/ 1", "/ 2"),
                source.replace("f0(", "g("),
            ];
            for edited in edits {
                hits += check_program(&edited, flags, &store);
            }
        }
        // A control: edits do leave functions that are found.
        assert!(hits > PROGRAMS * 4, "{hits}");
    }
}
