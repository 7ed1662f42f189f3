//! A real program's functions, as Wasmtime's front end makes them, through the cache of
//! Cranelift's functions: the same code, about as much of it, and the same keys again.

use benches::clif::sameness::Sameness;
use benches::clif::stability::{Equal, Stability};
use benches::clif::{FrontEndFunction, front_end_ir, timed};
use cranelift_codegen::isa::TargetIsa;
use std::sync::{Arc, LazyLock};

const LEDGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/wasm/ledger.wasm");

/// Instances, functions of the module and trampolines.
const FUNCTIONS: usize = 757;

static FRONT_END: LazyLock<Vec<FrontEndFunction>> = LazyLock::new(|| {
    let front_end = front_end_ir(&std::fs::read(LEDGER).unwrap()).unwrap();
    assert_eq!(front_end.unreadable, []);
    assert_eq!(front_end.functions.len(), FUNCTIONS);
    front_end.functions
});

fn isa() -> Arc<dyn TargetIsa> {
    timed::host_isa().unwrap()
}

#[track_caller]
fn check(equal: Equal) {
    assert_eq!((equal.functions, equal.ours), (FUNCTIONS, FUNCTIONS), "{equal:?}");
}

#[test]
fn every_function_goes_all_the_way_and_its_code_has_about_the_same_size() {
    let sameness = Sameness::of(&*isa(), &FRONT_END);
    assert_eq!(sameness.functions, FUNCTIONS);
    let (share, ratio) = (sameness.identical_share(), sameness.size_ratio());
    assert!((0.995..=1.005).contains(&ratio), "{ratio} times the original's code");
    assert!(share > 0.5, "{share} of the functions have the original's bytes");
    assert!(sameness.entry_bytes_total() > sameness.stencil_bytes);
}

#[test]
fn every_key_is_equal_in_another_thread_a_reused_splitter_and_another_order() {
    let stability = Stability::of(&*isa(), &FRONT_END).unwrap();
    check(stability.other_thread);
    check(stability.reused_splitter);
    check(stability.rebuilt);
    // The functions were built in another way indeed: a key of their declarations differs.
    assert!(stability.rebuilt.cranelift < FUNCTIONS, "{stability:?}");
}
