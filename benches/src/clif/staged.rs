//! A function of IR -> what every stage of the cache, and of Cranelift's own, takes and makes:
//! the inputs of the report's times and of the Criterion bench.

use anyhow::{Result, anyhow};
use cranelift_codegen::incremental_cache::{serialize_compiled, try_finish_recompile};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{Context, FinalizedMachReloc, ir};
use stencil::clif::{Splitter, generate, restore};
use stencil::finalize::finalize;
use stencil::{
    CacheKey, EntryBytes, Fingerprint, FunctionParameters, FunctionStencil, StencilBuilder,
    StencilKind, entry,
};

/// One function at every stage.
pub struct Staged<'a> {
    /// As the front end made it.
    pub original: &'a ir::Function,
    /// As it is restored from its stencil.
    pub canonical: ir::Function,
    /// The stencil's bytes.
    pub stencil: Vec<u8>,
    /// The other half.
    pub parameters: FunctionParameters,
    /// The stencil's key.
    pub key: CacheKey,
    /// What an entry is sealed from.
    pub compiled: StencilBuilder,
    /// The sealed entry.
    pub entry: EntryBytes,
    /// What Cranelift's incremental cache keeps in an entry's place.
    pub blob: Vec<u8>,
}

impl<'a> Staged<'a> {
    /// Takes a function through every stage.
    ///
    /// # Errors
    ///
    /// If it has no stencil, does not compile, or no entry can hold its code.
    pub fn of(
        isa: &dyn TargetIsa,
        fingerprint: &Fingerprint,
        original: &'a ir::Function,
    ) -> Result<Self> {
        let mut splitter = Splitter::new();
        let (stencil, parameters) = splitter.split(original)?;
        let key = stencil.key(fingerprint);
        let canonical = restore(&stencil)?;
        let mut context = Context::new();
        let callees = u32::try_from(parameters.callees.len())?;
        let compiled = generate(&stencil, callees, parameters.source.len(), isa, &mut context)?;
        let entry = entry::seal(&key, &compiled)?;
        context.clear();
        context.func = original.clone();
        let (_, blob) = serialize_compiled(context.compile_stencil(isa, &mut Default::default())?);
        Ok(Self {
            original,
            canonical,
            stencil: stencil.bytes().to_vec(),
            parameters,
            key,
            compiled,
            entry,
            blob: blob.map_err(|error| anyhow!("Cranelift does not serialize it: {error}"))?,
        })
    }

    /// The stencil.
    pub fn stencil(&self) -> FunctionStencil<'_> {
        FunctionStencil::of(StencilKind::Clif, &self.stencil)
    }

    /// Opens the entry, finalizes it, and has its relocations.
    ///
    /// # Panics
    ///
    /// Never: the entry was sealed here.
    pub fn open_and_finalize(&self) -> Vec<FinalizedMachReloc> {
        let opened = entry::open(&self.key, &self.entry).expect("it was sealed here");
        let finalized = finalize(opened, &self.parameters).expect("they were split here");
        finalized.relocs().collect()
    }

    /// Does the same by Cranelift's own means.
    ///
    /// # Panics
    ///
    /// Never: the blob was serialized here.
    pub fn finish_recompile(&self) -> Vec<FinalizedMachReloc> {
        let finished = try_finish_recompile(self.original, &self.blob);
        let finished = finished.unwrap_or_else(|error| panic!("it was serialized here: {error}"));
        finished.buffer.relocs().to_vec()
    }
}

/// Splits and makes the key, as `compute_cache_key` makes Cranelift's.
///
/// # Panics
///
/// If the function has no stencil.
pub fn split_and_key(
    splitter: &mut Splitter,
    fingerprint: &Fingerprint,
    function: &ir::Function,
) -> CacheKey {
    splitter.split(function).expect("it was split before").0.key(fingerprint)
}
