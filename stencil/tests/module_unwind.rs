//! Goal: whoever walks the stack finds the frames that it finds without a cache.
//! Method: an object with `.eh_frame`, linked with a `print` in C that asks the
//! system's unwinder for the frames up to C's `main`. The control
//! has no `.eh_frame`.

#[path = "../examples/language/language.rs"]
#[expect(dead_code, reason = "nothing runs in this process")]
mod language;
#[path = "language/linked.rs"]
#[expect(dead_code, reason = "one program, with a `main` of its own")]
mod linked;

use cranelift_codegen::Context;
use cranelift_module::Module;
use cranelift_object::ObjectModule;
use language::check::check;
use language::lower::Lowering;
use language::object;
use language::parser::parse;
use language::store::MemoryStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use stencil::module::{BypassReason, CachedModule};

const PROGRAM: &str = "
fn inner(x) { print(x); return x + 1; }
fn middle(x) { return inner(x) + 1; }
fn outer(x) { return middle(x) + 1; }
fn main() { return outer(1); }
";

/// Prints how many frames lie between `print` and `main`, or -1 if the walk ends
/// before it gets there.
const MAIN: &str = r#"
#include <inttypes.h>
#include <stdio.h>
#include <unwind.h>
int64_t lang_main(void);
int main(void);
struct walk { int frames; int arrived; };
static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data) {
    struct walk *walk = data;
    if (_Unwind_GetRegionStart(context) == (uintptr_t) main) {
        walk->arrived = 1;
        return _URC_END_OF_STACK;
    }
    walk->frames++;
    return _URC_NO_REASON;
}
int64_t lang_print(int64_t value) {
    struct walk walk = { -1, 0 };
    _Unwind_Backtrace(step, &walk);
    printf("%d\n", walk.arrived ? walk.frames : -1);
    return 0;
}
int main(void) { return lang_main() == 4 ? 0 : 1; }
"#;

fn with_tables(tables: bool) -> ObjectModule {
    let mut builder = object::builder(&[]).unwrap();
    builder.unwind_info(tables);
    ObjectModule::new(builder)
}

/// How many frames the walk finds in a process of the program.
#[track_caller]
fn check_frames<M: Module>(mut module: M, object: fn(M) -> ObjectModule, frames: &str) {
    let program = check(PROGRAM, parse(PROGRAM).unwrap()).unwrap();
    Lowering::new(&mut module, &program).unwrap().define(&mut module).unwrap();
    let object = object::finish(object(module)).unwrap();
    assert_eq!(linked::output(&object, MAIN).trim(), frames);
}

#[test]
fn without_a_cache_all_frames_are_found_by_their_tables() {
    check_frames(with_tables(true), |module| module, "4");
    check_frames(with_tables(false), |module| module, "-1");
}

#[test]
fn all_frames_are_found_through_a_cached_module() {
    let store = Arc::new(MemoryStore::default());
    for _ in ["cold", "warm"] {
        check_frames(
            CachedModule::new(with_tables(true), store.clone()),
            |module| {
                let bypassed = BTreeMap::from([(BypassReason::UnwindTables, 4)]);
                assert_eq!(*module.report().bypassed, bypassed);
                module.into_inner()
            },
            "4",
        );
    }
}

#[test]
fn who_denies_tables_that_are_kept_loses_them() {
    let store = Arc::new(MemoryStore::default());
    let inner = with_tables(true);
    let module = CachedModule::without_unwind_tables(inner, store);
    check_frames(module, CachedModule::into_inner, "-1");
}

/// Why a cached module may go by the target's flag.
#[test]
fn without_the_flag_the_tables_of_a_function_are_empty() {
    let program = check(PROGRAM, parse(PROGRAM).unwrap()).unwrap();
    for (flag, has_steps) in [("true", true), ("false", false)] {
        let builder = object::builder(&[("unwind_info", flag)]).unwrap();
        let mut module = ObjectModule::new(builder);
        for (id, function) in Lowering::new(&mut module, &program).unwrap().functions(&mut module) {
            let mut context = Context::for_function(function);
            module.define_function(id, &mut context).unwrap();
            let unwind = context.compiled_code().unwrap().create_unwind_info(module.isa()).unwrap();
            let steps = !format!("{unwind:?}").contains("instructions: []");
            assert_eq!(steps, has_steps, "{unwind:?}");
        }
    }
}
