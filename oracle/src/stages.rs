//! Off, cold, warm, filled by another: the ways to get an artifact, each of which has to give
//! Wasmtime's bytes, or with relocatable stencils the same ones.

use crate::same::{assert_same, stock};
use crate::store::MemoryStore;
use stencil::CacheStore;
use wasm_compiler::{Compiler, NoCache, Report, Stencils};
use wasmtime::Engine;

/// What every artifact has to be: Wasmtime's, or with relocatable stencils what the
/// compiler makes without a cache. `None` if Wasmtime refuses the input and so does the
/// compiler on this store.
fn judged(
    what: &str,
    engine: &Engine,
    compiler: &Compiler,
    store: &dyn CacheStore,
    wasm: &[u8],
) -> Option<Vec<u8>> {
    match stock(engine, wasm) {
        Ok(expected) if compiler.settings().stencils() == Stencils::Exact => Some(expected),
        Ok(_) => {
            let ours = compiler.compile(wasm, &NoCache);
            Some(
                ours.unwrap_or_else(|error| panic!("{what}: only Wasmtime compiles it: {error}")).0,
            )
        }
        Err(refusal) => {
            let ours = compiler.compile(wasm, store);
            assert!(ours.is_err(), "{what}: only Wasmtime refuses it: {refusal:#}");
            None
        }
    }
}

/// Compiles without a cache, on a store, and on the store again. Returns
/// the artifact and the second compile's report, or `None` if Wasmtime
/// refuses the input and so does the compiler.
pub fn assert_stages(
    what: &str,
    engine: &Engine,
    compiler: &Compiler,
    store: &dyn CacheStore,
    wasm: &[u8],
) -> Option<(Vec<u8>, Report)> {
    let expected = judged(what, engine, compiler, &NoCache, wasm)?;
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

/// What a compile on other inputs' entries gave.
pub struct Warmed {
    /// The artifact, as it has to be.
    pub artifact: Vec<u8>,
    /// The compile's figures.
    pub report: Report,
    /// How many of its lookups found what other inputs had left.
    pub from_other: u64,
}

/// Compiles one input on a cache that another one has filled. `None` if Wasmtime
/// refuses either.
///
/// # Panics
///
/// If the artifact is not as it has to be, or an entry was not used for what is wrong with it.
pub fn assert_warmed_by(
    what: &str,
    engine: &Engine,
    compiler: &Compiler,
    other: &[u8],
    wasm: &[u8],
) -> Option<Warmed> {
    let store = MemoryStore::default();
    let filled = compiler.compile(other, &store);
    let warmed = assert_warmed(what, engine, compiler, &store, wasm);
    filled.ok().and(warmed)
}

/// Compiles an input on a cache that others have filled. `None` if Wasmtime refuses it.
///
/// # Panics
///
/// As [`assert_warmed_by`].
pub fn assert_warmed(
    what: &str,
    engine: &Engine,
    compiler: &Compiler,
    store: &MemoryStore,
    wasm: &[u8],
) -> Option<Warmed> {
    let expected = judged(what, engine, compiler, store, wasm)?;
    let served = store.served();
    let (artifact, report) = compiler
        .compile(wasm, store)
        .unwrap_or_else(|error| panic!("{what}: only Wasmtime compiles it: {error}"));
    assert_same(what, wasm, &expected, &artifact);
    assert_eq!(report.rejected, 0, "{what}: {:?}", report.miss_reasons);
    store.assert_no_conflicts();
    Some(Warmed { artifact, report, from_other: store.served() - served })
}
