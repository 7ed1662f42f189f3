//! A module -> what the stages of its compile work on: the inputs of the
//! Criterion benches.

use crate::input::read;
use anyhow::Result;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use stencil::compiled::Unwind;
use stencil::{
    CacheKey, CacheStore, CompiledStencil, Lookup, MissReason, NewEntry, PublishSummary,
    StencilBuilder,
};
use wasm_compiler::{Compiler, Options, Settings};

/// Names another module than the one of the repository's tests.
pub const MODULE_VARIABLE: &str = "STENCIL_BENCH_WASM";

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/wasm/ledger.wasm");

/// A module, and all that a cache holds and is asked of it.
pub struct StageInputs {
    /// The module.
    pub wasm: Vec<u8>,
    /// A compiler with stock Wasmtime's settings.
    pub compiler: Compiler,
    /// The keys that one compile looks up, in its order.
    pub keys: Vec<CacheKey>,
    /// What it publishes when all of them are missing.
    pub entries: Vec<NewEntry>,
}

impl StageInputs {
    /// Compiles the module that [`MODULE_VARIABLE`] names, or that of the tests.
    ///
    /// # Errors
    ///
    /// If it cannot be read or does not compile.
    pub fn load() -> Result<Self> {
        let path = std::env::var_os(MODULE_VARIABLE).map_or_else(|| MODULE.into(), PathBuf::from);
        Self::of(read(&path)?)
    }

    /// Compiles a module.
    ///
    /// # Errors
    ///
    /// If it does not compile.
    pub fn of(wasm: Vec<u8>) -> Result<Self> {
        let compiler = Compiler::new(Settings::from_options(&Options::default())?)?;
        let recorder = Recorder::default();
        compiler.compile(&wasm, &recorder)?;
        let Recorded { keys, entries } =
            recorder.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Self { wasm, compiler, keys, entries })
    }

    /// The entries' sizes, in bytes.
    pub fn entry_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes.len() as u64).sum()
    }
}

/// Has nothing, and notes what it is asked for and given.
#[derive(Default)]
struct Recorder(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    keys: Vec<CacheKey>,
    entries: Vec<NewEntry>,
}

impl Recorder {
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheStore for Recorder {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        self.recorded().keys.extend_from_slice(keys);
        vec![Lookup::Miss(MissReason::Absent); keys.len()]
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        self.recorded().entries.extend_from_slice(entries);
        PublishSummary::default()
    }
}

/// What the compiler had in its hands before it sealed this stencil.
pub fn unsealed(stencil: &CompiledStencil<'_>) -> StencilBuilder {
    let mut builder = StencilBuilder::new(
        stencil.code().to_vec(),
        stencil.alignment(),
        stencil.callee_count(),
        stencil.source_count(),
    );
    builder.needs_gc_heap(stencil.needs_gc_heap());
    builder.number_count(stencil.number_count());
    for field in stencil.fields() {
        let addend = field.kind.read(stencil.code(), field.offset);
        builder.field(field, addend.expect("fields of an open entry lie in its code"));
    }
    stencil.relocations().for_each(|relocation| builder.relocation(relocation));
    stencil.traps().for_each(|trap| builder.trap(trap));
    stencil.sources().for_each(|source| builder.source(source));
    for site in stencil.call_sites() {
        let handlers: Vec<_> = site.handlers().collect();
        builder.call_site(site.return_offset, site.frame_offset, &handlers);
    }
    for map in stencil.stack_maps() {
        let slots: Vec<_> = map.slots().collect();
        builder.stack_map(map.offset, map.frame_size, &slots);
    }
    if let Unwind::SystemV(frame_description) = stencil.unwind() {
        builder.unwind_systemv(frame_description.to_vec());
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use stencil::entry;

    #[test]
    fn what_is_sealed_again_is_the_same_entry() {
        let inputs = StageInputs::load().unwrap();
        assert!(inputs.keys.len() >= inputs.entries.len() && !inputs.entries.is_empty());
        for NewEntry { key, bytes } in &inputs.entries {
            assert!(inputs.keys.contains(key));
            let stencil = entry::open(key, bytes).unwrap();
            assert_eq!(entry::seal(key, &unsealed(&stencil)).unwrap(), *bytes);
        }
    }
}
