//! Cached code does what the function says: generated programs are run by
//! Cranelift's interpreter, as code compiled directly, and as code from a cold
//! and a warm cache, and all four agree.
//!
//! `STENCIL_RUN_PROGRAMS` is how many programs, 300 without it.

#![cfg(feature = "module")]

mod native;

use cranelift_codegen::data_value::DataValue;
use cranelift_codegen::ir;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_interpreter::environment::FunctionStore;
use cranelift_interpreter::interpreter::{Interpreter, InterpreterState};
use cranelift_interpreter::step::ControlFlow;
use cranelift_module::Module;
use generate::clif::Generator;
use native::{Native, bits, with_entries};
use oracle::store::MemoryStore;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use std::collections::HashSet;
use std::sync::Arc;
use stencil::clif::{Compiler, Report};

const FUNCTIONS: u32 = 5;
const ARGUMENT_SETS: u32 = 4;

#[derive(Default)]
struct Totals {
    functions: usize,
    executions: usize,
    alike: usize,
    identical: usize,
    original_bytes: usize,
    stencil_bytes: usize,
    entry_bytes: usize,
    cold: Report,
}

/// The interpreter puts frames one behind the other without alignment.
fn with_aligned_frame(function: &ir::Function) -> ir::Function {
    let mut function = function.clone();
    let missing = function.fixed_stack_size().next_multiple_of(16) - function.fixed_stack_size();
    let padding = ir::StackSlotData::new(ir::StackSlotKind::ExplicitSlot, missing, 0);
    function.create_sized_stack_slot(padding);
    function
}

fn interpret(program: &[ir::Function], function: usize, args: &[DataValue]) -> Vec<u128> {
    let mut store = FunctionStore::default();
    for function in program {
        store.add(function.name.to_string(), function);
    }
    let state = InterpreterState::default().with_function_store(store);
    let mut interpreter = Interpreter::new(state);
    let name = program[function].name.to_string();
    match interpreter.call_by_name(&name, args) {
        Ok(ControlFlow::Return(values)) => bits(&values),
        other => panic!("{name} does not return: {other:?}\n{}", program[function]),
    }
}

/// Is everything that the stencil numbers anew declared once, used, and used
/// in the order in which it was declared? Otherwise the stencil's frame has
/// other places or fewer, and addresses that were two are one.
fn is_numbered_alike(function: &ir::Function) -> bool {
    let insts = function.layout.blocks().flat_map(|block| function.layout.block_insts(block));
    let mut slots = Vec::new();
    for slot in insts.filter_map(|inst| function.dfg.insts[inst].stack_slot()) {
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    let callees = function.dfg.ext_funcs.values().map(|callee| callee.name.clone());
    let names: HashSet<_> = callees.clone().collect();
    slots.into_iter().eq(function.sized_stack_slots.keys()) && names.len() == callees.count()
}

/// Puts every function into a module by way of the cache.
fn cached(isa: &OwnedTargetIsa, functions: &[ir::Function], compiler: &mut Compiler) -> Native {
    Native::new(isa, functions, |module, id, function| {
        let compiled = compiler.compile(function).unwrap();
        let relocs = compiled.finalized().module_relocs(id);
        let alignment = u64::from(compiled.alignment());
        module.define_function_bytes(id, alignment, compiled.code(), &relocs).unwrap();
    })
}

/// One program, by every way.
#[track_caller]
fn check(isa: &OwnedTargetIsa, seed: u64, totals: &mut Totals) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let program = Generator::new(&**isa).program(&mut rng, FUNCTIONS);
    for function in &program {
        let compared = oracle::clif::check(&**isa, function);
        let alike = is_numbered_alike(function);
        assert!(compared.identical || !alike, "seed {seed}: other bytes\n{function}");
        totals.alike += usize::from(alike);
        totals.functions += 1;
        totals.identical += usize::from(compared.identical);
        totals.original_bytes += compared.original_bytes;
        totals.stencil_bytes += compared.stencil_bytes;
        totals.entry_bytes += compared.entry_bytes;
    }
    let functions = with_entries(&**isa, &program);
    let direct = Native::direct(isa, &functions);
    let store = Arc::new(MemoryStore::default());
    let mut cold = Compiler::new(isa.clone(), store.clone());
    let from_cold = cached(isa, &functions, &mut cold);
    let mut warm = Compiler::new(isa.clone(), store);
    let from_warm = cached(isa, &functions, &mut warm);
    assert_eq!(warm.report().hit_count(), functions.len() as u64, "seed {seed}: all hit");
    assert_eq!((warm.report().miss_count(), warm.report().codegen), (0, 0), "seed {seed}");
    totals.cold.codegen += cold.report().codegen;
    totals.cold.functions += cold.report().functions;

    let interpreted: Vec<_> = program.iter().map(with_aligned_frame).collect();
    for (index, function) in program.iter().enumerate() {
        for _ in 0..ARGUMENT_SETS {
            let args = native::arguments(&mut rng, &function.signature);
            let expected = interpret(&interpreted, index, &args);
            let place = format!("seed {seed}, function {index}, arguments {args:?}\n{function}");
            assert_eq!(direct.run(index, &args), expected, "directly, {place}");
            assert_eq!(from_cold.run(index, &args), expected, "cold, {place}");
            assert_eq!(from_warm.run(index, &args), expected, "warm, {place}");
            totals.executions += 1;
        }
    }
}

#[test]
fn a_program_does_the_same_directly_and_from_a_cold_and_a_warm_cache() {
    let programs = std::env::var("STENCIL_RUN_PROGRAMS");
    let programs: u64 = programs.map_or(300, |count| count.parse().unwrap());
    let isas = [
        native::isa("speed", false),
        native::isa("none", false),
        native::isa("speed_and_size", false),
        native::isa("speed", true),
    ];
    let mut totals = Totals::default();
    for seed in 0..programs {
        check(&isas[seed as usize % isas.len()], seed, &mut totals);
    }
    let Totals { functions, executions, identical, original_bytes, stencil_bytes, .. } = totals;
    let ratio = stencil_bytes as f64 / original_bytes as f64;
    println!(
        "{programs} programs, {functions} functions, {executions} argument sets, each run 4 ways; \
         {identical} functions with identical bytes ({:.2} %), among them all {} that are numbered \
         alike; \
         code {original_bytes} B directly, {stencil_bytes} B from stencils ({:+.3} %), \
         entries {} B; cold: {} of {} functions compiled",
        100.0 * identical as f64 / functions as f64,
        totals.alike,
        100.0 * (ratio - 1.0),
        totals.entry_bytes,
        totals.cold.codegen,
        totals.cold.functions,
    );
    assert!((0.995..=1.005).contains(&ratio), "code size is {ratio} of the originals'");
}
