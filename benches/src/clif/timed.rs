//! Functions of IR -> how long Cranelift takes for each, beside what a scan says of it.

use crate::clif::FrontEndFunction;
use anyhow::{Context as _, Result};
use cranelift_codegen::incremental_cache::compute_cache_key;
use cranelift_codegen::isa::{self, TargetIsa};
use cranelift_codegen::settings::{self, Configurable as _};
use cranelift_codegen::{Context, ir};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use stencil::clif::scan::Scan;

/// One function, measured. Times are the shortest of some rounds.
pub struct TimedFunction {
    /// What is in it.
    pub scan: Scan,
    /// A whole compile, in nanoseconds.
    pub compile_ns: f64,
    /// The scan of IR that was not touched for a while, in nanoseconds.
    pub first_scan_ns: f64,
    /// The scan of IR in the processor's cache, where it is when it was just made, in
    /// nanoseconds.
    pub scan_ns: f64,
    /// Cranelift's own hash of the function, in nanoseconds.
    pub key_ns: f64,
}

/// This machine, with the flags that Wasmtime has by default.
///
/// # Errors
///
/// If Cranelift does not know the machine.
pub fn host_isa() -> Result<Arc<dyn TargetIsa>> {
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("enable_verifier", "false"),
        ("enable_probestack", "false"),
        ("preserve_frame_pointers", "true"),
        ("unwind_info", "true"),
    ] {
        flags.set(name, value)?;
    }
    let host: isa::Builder = cranelift_native::builder().map_err(anyhow::Error::msg)?;
    host.finish(settings::Flags::new(flags)).context("Cranelift does not take these flags")
}

/// Measures all functions, one after the other on this thread; `rounds` of 0 are one.
///
/// The first figure given back is how many could not be compiled.
pub fn time_all(
    isa: &dyn TargetIsa,
    functions: &[FrontEndFunction],
    rounds: u32,
) -> (usize, Vec<TimedFunction>) {
    let mut context = Context::new();
    let timed: Vec<_> =
        functions.iter().filter_map(|of| time(isa, &mut context, &of.function, rounds)).collect();
    (functions.len() - timed.len(), timed)
}

fn time(
    isa: &dyn TargetIsa,
    context: &mut Context,
    function: &ir::Function,
    rounds: u32,
) -> Option<TimedFunction> {
    let mut shortest = TimedFunction {
        scan: Scan::of(function),
        compile_ns: f64::INFINITY,
        first_scan_ns: f64::INFINITY,
        scan_ns: f64::INFINITY,
        key_ns: f64::INFINITY,
    };
    for _ in 0..rounds.max(1) {
        let first_scan_ns = nanoseconds(|| Scan::of(black_box(function))).1;
        let scan_ns = nanoseconds(|| Scan::of(black_box(function))).1;
        let key_ns = nanoseconds(|| compute_cache_key(isa, black_box(function))).1;
        context.clear();
        context.func = function.clone();
        let (compiled, compile_ns) =
            nanoseconds(|| context.compile(isa, &mut Default::default()).is_ok());
        if !compiled {
            return None;
        }
        shortest.first_scan_ns = shortest.first_scan_ns.min(first_scan_ns);
        shortest.scan_ns = shortest.scan_ns.min(scan_ns);
        shortest.key_ns = shortest.key_ns.min(key_ns);
        shortest.compile_ns = shortest.compile_ns.min(compile_ns);
    }
    Some(shortest)
}

fn nanoseconds<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = black_box(work());
    (done, start.elapsed().as_secs_f64() * 1e9)
}
