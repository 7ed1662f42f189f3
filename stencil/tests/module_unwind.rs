//! Goal: whoever walks the stack finds the frames that it finds without a cache.
//! Method: an object with `.eh_frame`, linked with a `print` in C that asks the
//! system's unwinder for the frames up to C's `main`. The control defines the
//! functions as a careless cache would, from bytes alone.

#[path = "../examples/language/language.rs"]
#[expect(dead_code, reason = "nothing runs in this process")]
mod language;
#[path = "language/linked.rs"]
#[expect(dead_code, reason = "one program, with a `main` of its own")]
mod linked;

use cranelift_object::ObjectModule;
use language::check::check;
use language::lower::Lowering;
use language::object;
use language::parser::parse;

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

#[test]
fn all_frames_are_found_without_a_cache() {
    let program = check(PROGRAM, parse(PROGRAM).unwrap()).unwrap();
    let mut builder = object::builder(&[]).unwrap();
    builder.unwind_info(true);
    let mut module = ObjectModule::new(builder);
    Lowering::new(&mut module, &program).unwrap().define(&mut module).unwrap();
    assert_eq!(linked::output(&object::finish(module).unwrap(), MAIN), "4\n");
}

#[test]
fn code_without_its_tables_ends_the_walk() {
    let program = check(PROGRAM, parse(PROGRAM).unwrap()).unwrap();
    let mut module = ObjectModule::new(object::builder(&[]).unwrap());
    Lowering::new(&mut module, &program).unwrap().define(&mut module).unwrap();
    assert_eq!(linked::output(&object::finish(module).unwrap(), MAIN), "-1\n");
}
