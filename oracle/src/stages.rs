//! Off, cold, warm: the three ways to get an artifact, each of which has to give
//! Wasmtime's bytes.

use crate::same::{assert_same, stock};
use stencil::CacheStore;
use wasm_compiler::{Compiler, NoCache, Report};
use wasmtime::Engine;

/// Compiles without a cache, on a store, and on the store again. Returns
/// Wasmtime's artifact and the second compile's report, or `None` if Wasmtime
/// refuses the input and so does the compiler.
pub fn assert_stages(
    what: &str,
    engine: &Engine,
    compiler: &Compiler,
    store: &dyn CacheStore,
    wasm: &[u8],
) -> Option<(Vec<u8>, Report)> {
    let expected = match stock(engine, wasm) {
        Ok(expected) => expected,
        Err(refusal) => {
            let ours = compiler.compile(wasm, &NoCache);
            assert!(ours.is_err(), "{what}: only Wasmtime refuses it: {refusal:#}");
            return None;
        }
    };
    let compile = |stage: &str, store: &dyn CacheStore| {
        let (artifact, report) = compiler
            .compile(wasm, store)
            .unwrap_or_else(|error| panic!("{what}, {stage}: only Wasmtime compiles it: {error}"));
        assert_same(&format!("{what}, {stage}"), wasm, &expected, &artifact);
        let counted = (report.lookups, report.bypassed);
        assert_eq!(counted, (report.hits.total() + report.misses, 0), "{what}, {stage}");
        assert_eq!(report.rejected, 0, "{what}, {stage}: {:?}", report.miss_reasons);
        assert_eq!(report.conflicts, 0, "{what}, {stage}");
        report
    };
    let off = compile("off", &NoCache);
    assert!(off.lookups >= off.functions, "{what}: a function was not looked up");
    let cold = compile("cold", store);
    let warm = compile("warm", store);
    let missed = (warm.misses, warm.codegen);
    assert_eq!(missed, (0, 0), "{what}, warm: {:?}", warm.miss_reasons);
    assert_eq!((off.lookups, cold.lookups), (warm.lookups, warm.lookups), "{what}");
    Some((expected, cold))
}
