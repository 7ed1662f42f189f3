//! A scan says what is in a function, and a policy what follows from it: functions
//! of IR text are scanned, each beside one that differs in what the claim is about.

#![cfg(feature = "codegen")]

use cranelift_codegen::cursor::{Cursor as _, FuncCursor};
use cranelift_codegen::ir::{Function, InstBuilder as _, types};
use stencil::clif::policy::Policy;
use stencil::clif::scan::{Feature, Scan};

const RETURNS: &str = "function %f() { block0: return }";

const ONCE: &str = "function %f(i32) -> i32 {
block0(v0: i32):
    jump block1(v0)
block1(v1: i32):
    v2 = iadd v1, v0
    jump block2
block2:
    return v2
}";

const LOOPS: &str = "function %f(i32) -> i32 {
block0(v0: i32):
    jump block1(v0)
block1(v1: i32):
    v2 = iadd v1, v0
    brif v2, block1(v2), block2
block2:
    return v2
}";

#[track_caller]
fn function(text: &str) -> Function {
    let mut functions = cranelift_reader::parse_functions(text).unwrap();
    functions.pop().expect("a function")
}

#[track_caller]
fn scan(text: &str) -> Scan {
    Scan::of(&function(text))
}

/// These counts, and no others.
#[track_caller]
fn check(text: &str, expected: &[(Feature, u32)]) {
    let scan = scan(text);
    let counted = Feature::ALL.map(|feature| (feature, scan.count(feature)));
    let counted: Vec<_> = counted.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, expected);
}

/// A straight line of so many additions.
fn additions(count: usize) -> Function {
    let mut function = function("function %f(i32) -> i32 { block0(v0: i32): return v0 }");
    let mut cursor = FuncCursor::new(&mut function);
    cursor.next_block();
    let mut sum = cursor.func.dfg.block_params(cursor.current_block().unwrap())[0];
    cursor.next_inst();
    for _ in 0..count {
        sum = cursor.ins().iadd(sum, sum);
    }
    function
}

#[test]
fn every_feature_is_counted_in_its_place() {
    check(RETURNS, &[(Feature::Blocks, 1), (Feature::Control, 1)]);
    check(
        ONCE,
        &[
            (Feature::Blocks, 3),
            (Feature::Edges, 2),
            (Feature::EdgeArguments, 1),
            (Feature::Values, 3),
            (Feature::Arithmetic, 1),
            (Feature::Control, 3),
        ],
    );
    let all = "function %f(i64, f32x4) -> i64 {
    sig0 = (i64, i64) -> i64
    fn0 = %g sig0
    fn1 = %h sig0
block0(v0: i64, v1: f32x4):
    v2 = iconst.i64 8
    v3 = load.i32 v0
    v4 = uextend.i64 v3
    v5 = fadd v1, v1
    store v5, v0
    v6 = call fn0(v2, v4)
    v7 = get_stack_pointer.i64
    return v6
}";
    check(
        all,
        &[
            (Feature::Blocks, 1),
            (Feature::Values, 8),
            (Feature::FloatsAndVectors, 1),
            (Feature::Conversions, 1),
            (Feature::Memory, 2),
            (Feature::Calls, 1),
            (Feature::CallArguments, 2),
            (Feature::Control, 1),
            (Feature::Constants, 1),
            (Feature::Other, 1),
        ],
    );
    assert_eq!((scan(all).callees(), scan(all).instructions()), (2, 8));
}

#[test]
fn integers_in_vectors_are_not_arithmetic() {
    let of = |ty: &str| {
        scan(&format!("function %f({ty}) {{ block0(v0: {ty}): v1 = iadd v0, v0 return }}"))
    };
    assert_eq!(of("i32").count(Feature::Arithmetic), 1);
    assert_eq!(of("i32x4").count(Feature::Arithmetic), 0);
    assert_eq!(of("i32x4").count(Feature::FloatsAndVectors), 1);
}

#[test]
fn an_added_loop_raises_the_estimate() {
    let (once, looping) = (scan(ONCE), scan(LOOPS));
    assert_eq!((once.count(Feature::Loops), looping.count(Feature::Loops)), (0, 1));
    assert_eq!(once.instructions(), looping.instructions());
    assert!(looping.compile_ns() > once.compile_ns());
}

#[test]
fn two_edges_back_to_one_block_are_one_loop() {
    let table = LOOPS
        .replace("brif v2, block1(v2), block2", "br_table v2, block2, [block1(v2), block1(v1)]");
    let scan = scan(&table);
    assert_eq!((scan.count(Feature::Loops), scan.count(Feature::Edges)), (1, 4));
}

#[test]
fn an_edge_to_a_block_further_on_is_no_loop() {
    // The last block jumps to the middle one, which is laid out before it, and is not
    // counted for going forward to the last.
    let crossed = "function %f() {
block0:
    jump block2
block1:
    jump block2
block2:
    return
}";
    assert_eq!(scan(crossed).count(Feature::Loops), 0);
    let back = crossed.replace("    return", "    jump block1");
    assert_eq!(scan(&back).count(Feature::Loops), 1);
}

#[test]
fn dead_instructions_do_not_count() {
    let mut function = function(LOOPS);
    let before = Scan::of(&function);
    let entry = function.layout.entry_block().unwrap();
    let first = function.layout.first_inst(entry).unwrap();
    let added = FuncCursor::new(&mut function).at_inst(first).ins().iconst(types::I64, 1);
    assert_ne!(Scan::of(&function), before);
    let inst = function.dfg.value_def(added).unwrap_inst();
    function.layout.remove_inst(inst);
    assert_eq!(Scan::of(&function), before);
}

#[test]
fn more_instructions_cost_more() {
    let mut last = 0;
    for count in [0, 1, 10, 100, 1000] {
        let scan = Scan::of(&additions(count));
        assert_eq!(scan.count(Feature::Arithmetic) as usize, count);
        assert!(scan.compile_ns() > last, "{count} additions");
        last = scan.compile_ns();
    }
}

#[test]
fn asked_one_by_one_a_function_that_only_returns_is_not_worth_it() {
    let (small, large) = (scan(RETURNS), Scan::of(&additions(1000)));
    let policy = Policy::one_by_one();
    assert!(!policy.worth_lookup(&small) && !policy.worth_publishing(&small));
    assert!(policy.worth_lookup(&large) && policy.worth_publishing(&large));
}

#[test]
fn the_default_policy_asks_even_for_a_function_that_only_returns() {
    let policy = Policy::default();
    assert!(policy.worth_lookup(&scan(RETURNS)) && policy.worth_publishing(&scan(RETURNS)));
    let never = Policy { lookup_from_ns: u64::MAX, ..policy };
    assert!(!never.worth_lookup(&scan(RETURNS)));
}

#[test]
fn what_is_not_asked_for_is_not_published() {
    let policy = Policy { lookup_from_ns: u64::MAX, publish_from_ns: 0 };
    assert!(!policy.worth_publishing(&Scan::of(&additions(1000))));
    let policy = Policy { lookup_from_ns: 0, publish_from_ns: u64::MAX };
    assert!(policy.worth_lookup(&scan(RETURNS)) && !policy.worth_publishing(&scan(RETURNS)));
}

#[test]
fn a_policy_of_always_needs_no_scan() {
    assert!(!Policy::always().needs_scan());
    assert!(!Policy::default().needs_scan());
    assert!(Policy::in_batches().needs_scan() && Policy::one_by_one().needs_scan());
    let policy = Policy::always();
    assert!(policy.worth_lookup(&scan(RETURNS)) && policy.worth_publishing(&scan(RETURNS)));
}
