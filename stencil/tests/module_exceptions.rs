//! Goal: an exception is caught by the handler that catches it without a cache.
//! Method: four functions on the stack, thrown from the last one through frames
//! that may come from the cache, to the second one, which has a `try_call`. The
//! thrower is Wasmtime's unwinder over the JIT's own tables. The control defines
//! all of them as a careless cache would, from bytes alone.

#[path = "../examples/language/store.rs"]
mod store;

use cranelift_codegen::{Context, ir};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, default_libcall_names};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;
use stencil::module::{BypassReason, CachedModule};
use store::MemoryStore;
use wasmtime_internal_unwinder::{Frame, Handler, UnwindHost};

/// `enter(value)` calls `catch`, which calls `pass` with a handler, which calls
/// `throw`, which throws odd values and returns even ones. Each tells its way:
/// a value that is returned gains 1000, one that is caught 2000.
const FUNCTIONS: &str = "
function u0:0(i64) -> i64 system_v {
    sig0 = (i64, i64) -> i64 tail
    fn0 = colocated u0:1 sig0
block0(v0: i64):
    v1 = get_frame_pointer.i64
    v2 = call fn0(v1, v0)
    return v2
}

function u0:1(i64, i64) -> i64 tail {
    sig0 = (i64, i64) -> i64 tail
    fn0 = colocated u0:2 sig0
block0(v0: i64, v1: i64):
    try_call fn0(v0, v1), sig0, block1(ret0), [ tag7: block2(exn0, exn1) ]
block1(v2: i64):
    v3 = iconst.i64 1000
    v4 = iadd v2, v3
    return v4
block2(v5: i64, v6: i64):
    v7 = iadd v5, v6
    return v7
}

function u0:2(i64, i64) -> i64 tail {
    sig0 = (i64, i64) -> i64 tail
    fn0 = colocated u0:3 sig0
block0(v0: i64, v1: i64):
    v2 = call fn0(v0, v1)
    return v2
}

function u0:3(i64, i64) -> i64 tail {
    sig0 = (i64, i64, i64, i64) -> i64 system_v
    fn0 = u0:4 sig0
block0(v0: i64, v1: i64):
    v7 = iconst.i64 1
    v2 = band v1, v7
    brif v2, block1, block2
block1:
    v3 = get_frame_pointer.i64
    v4 = load.i64 v3
    v5 = get_return_address.i64
    v6 = call fn0(v0, v4, v5, v1)
    return v6
block2:
    return v1
}
";

const NAMES: [&str; 4] = ["enter", "catch", "pass", "throw"];
const TAG: u32 = 7;
const NOT_CAUGHT: i64 = -1;

thread_local! {
    /// The module whose code runs on this thread.
    static RUNNING: Cell<*const JITModule> = const { Cell::new(ptr::null()) };
}

/// Throws from the frame of `exit_fp`, in which `exit_pc` is a return address,
/// to the first handler below `entry_fp`; returns if there is none.
extern "C" fn throw(entry_fp: usize, exit_fp: usize, exit_pc: usize, value: usize) -> i64 {
    // SAFETY: `run` keeps the module borrowed while its code runs.
    let module = unsafe { &*RUNNING.get() };
    let handler = |frame: &Frame| {
        let (base, table) = module.lookup_wasmtime_exception_data(frame.pc())?;
        let offset = u32::try_from(frame.pc() - base).ok()?;
        let (frame_offset, mut handlers) = table.lookup_pc(offset);
        let found = handlers.find(|handler| handler.tag == Some(TAG))?;
        let frame_offset = frame_offset.expect("a call with handlers knows its frame");
        Some((base + found.handler_offset as usize, frame.fp() - frame_offset as usize))
    };
    // SAFETY: all code between the two frames keeps frame pointers, and runs.
    let found = unsafe { Handler::find(&UnwindHost, handler, exit_pc, exit_fp, entry_fp) };
    match found {
        // SAFETY: the handler is that of a `try_call` of a `tail` function, in a
        // frame that is active; no frame of Rust's that is left has a destructor.
        Some(found) => unsafe { found.resume_tailcc(value, 2000) },
        None => NOT_CAUGHT,
    }
}

fn empty_module() -> JITModule {
    let flags = [("preserve_frame_pointers", "true"), ("unwind_info", "false")];
    let mut builder = JITBuilder::with_flags(&flags, default_libcall_names()).unwrap();
    builder.symbol("host_throw", throw as *const u8);
    JITModule::new(builder)
}

/// Declares all functions; their ids are those of the text's names.
fn declared<M: Module>(module: &mut M) -> Vec<(FuncId, ir::Function)> {
    let functions = cranelift_reader::parse_functions(FUNCTIONS).unwrap();
    let mut ids = Vec::new();
    for (name, function) in NAMES.iter().zip(&functions) {
        ids.push(module.declare_function(name, Linkage::Local, &function.signature).unwrap());
    }
    let host = functions[3].dfg.signatures.values().next().unwrap();
    module.declare_function("host_throw", Linkage::Import, host).unwrap();
    ids.into_iter().zip(functions).collect()
}

/// What `enter` returns for each of `values`.
fn run<const N: usize>(mut module: JITModule, values: [i64; N]) -> [i64; N] {
    module.finalize_definitions().unwrap();
    let enter = module.get_finalized_function(FuncId::from_u32(0));
    // SAFETY: `enter` has this type, and the module lives until its memory is freed.
    let enter = unsafe { std::mem::transmute::<*const u8, extern "C" fn(i64) -> i64>(enter) };
    RUNNING.set(&raw const module);
    let results = values.map(|value| enter(value));
    RUNNING.set(ptr::null());
    // SAFETY: nothing of the module runs any more.
    unsafe { module.free_memory() };
    results
}

#[test]
fn an_exception_is_caught_without_a_cache() {
    let mut module = empty_module();
    for (id, function) in declared(&mut module) {
        module.define_function(id, &mut Context::for_function(function)).unwrap();
    }
    assert_eq!(run(module, [10, 11]), [1010, 2011]);
}

#[test]
fn code_without_its_tables_catches_nothing() {
    let mut module = empty_module();
    for (id, function) in declared(&mut module) {
        let mut context = Context::for_function(function);
        let compiled = context.compile(module.isa(), &mut Default::default()).unwrap();
        let (code, alignment) = (compiled.code_buffer().to_vec(), compiled.buffer.alignment);
        let relocs: Vec<ModuleReloc> = compiled
            .buffer
            .relocs()
            .to_vec()
            .iter()
            .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &context.func, id))
            .collect();
        module.define_function_bytes(id, u64::from(alignment), &code, &relocs).unwrap();
    }
    assert_eq!(run(module, [10, 11]), [1010, 1000 + NOT_CAUGHT]);
}

#[test]
fn an_exception_is_caught_through_frames_from_the_cache() {
    let store = Arc::new(MemoryStore::default());
    for (all_at_once, hits) in [(false, 0), (false, 3), (true, 3)] {
        // The flag `unwind_info` is not set: nothing else is bypassed.
        let mut module = CachedModule::new(empty_module(), store.clone());
        let functions = declared(&mut module);
        if all_at_once {
            module.define_all(functions).unwrap();
        } else {
            for (id, function) in functions {
                module.define_function(id, &mut Context::for_function(function)).unwrap();
            }
        }
        let report = module.report();
        assert_eq!(*report.bypassed, BTreeMap::from([(BypassReason::TryCall, 1)]));
        assert_eq!(report.cache.hit_count(), hits);
        assert_eq!(run(module.into_inner(), [10, 11]), [1010, 2011]);
    }
}
