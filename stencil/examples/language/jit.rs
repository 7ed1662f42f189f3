//! A `JITModule` with the program's definitions -> what the program did.

#![expect(clippy::result_large_err, reason = "the error of `Module`, by value like there")]

use super::check::PRINT;
use super::lower::symbol;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, ModuleResult, default_libcall_names};
use std::cell::RefCell;

/// What a run printed and what `main` returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One number a call of `print`.
    pub printed: Vec<i64>,
    /// Of `main`.
    pub result: i64,
}

thread_local! {
    /// What the program that runs on this thread has printed.
    static PRINTED: RefCell<Vec<i64>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn print(value: i64) -> i64 {
    PRINTED.with_borrow_mut(|printed| printed.push(value));
    0
}

/// An empty module that compiles for this machine and knows `print`; `flags`
/// are Cranelift's settings.
pub fn module(flags: &[(&str, &str)]) -> ModuleResult<JITModule> {
    let mut builder = JITBuilder::with_flags(flags, default_libcall_names())?;
    builder.symbol(symbol(PRINT), print as *const u8);
    Ok(JITModule::new(builder))
}

/// Runs `main`, and frees the module's memory.
pub fn run(mut module: JITModule, main: FuncId) -> ModuleResult<Outcome> {
    module.finalize_definitions()?;
    let address = module.get_finalized_function(main);
    PRINTED.take();
    // SAFETY: `check` admits no `main` with parameters and `lower` returns one
    // 64-bit integer from every function, in the calling convention of this
    // machine. The code's memory is freed below.
    let main = unsafe { std::mem::transmute::<*const u8, extern "C" fn() -> i64>(address) };
    let result = main();
    // SAFETY: no code of the module runs any more, and its addresses end here.
    unsafe { module.free_memory() };
    Ok(Outcome { printed: PRINTED.take(), result })
}
