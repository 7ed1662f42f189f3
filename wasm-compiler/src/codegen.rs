//! Misses -> compiled stencils, by Wasmtime's own compiler, in parallel.
//!
//! Invariant: what leaves this stage has no parameter in it. Callees are
//! ordinals of the parameters, source locations are ordinals of the body, and where
//! the module's layout stood in the code there are fields to fill in.

mod capture;
mod frame;
mod relocate;
pub(crate) mod sites;

use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::{Input, Types};
use crate::lookup::{Found, Slot, Slots, Slotted};
use crate::pieces;
pub(crate) use capture::{CaptureError, reloc_of};
pub(crate) use frame::{CIE_POINTER_AT, FrameTables, PC_BEGIN_AT, PC_BEGIN_END};
use rayon::prelude::*;
use std::any::Any;
use stencil::{CacheKey, CompiledStencil, EntryBytes, MissReason, NewEntry, StencilBuilder, entry};
use wasmparser::FuncToValidate;
use wasmtime_environ::{CompiledFunctionBody, FuncKey, FunctionBodyData};
use wasmtime_internal_cranelift::CompiledFunction;

/// The key in the seal of a piece that is never cached.
const NO_KEY: CacheKey = CacheKey::from_bytes([0; CacheKey::LEN]);

/// A compiled piece: its entry, whether it goes to the cache or not.
pub(crate) struct Fresh {
    pub(crate) slot: Slot,
    pub(crate) key: Option<CacheKey>,
    pub(crate) bytes: EntryBytes,
    /// What says that the key is one with the layout, if it is.
    marker: Option<NewEntry>,
}

impl Fresh {
    /// What should have been found under the key that was asked for.
    pub(crate) fn answer(&self, slots: &Slots<'_>) -> Option<(CacheKey, &EntryBytes)> {
        match self.new_marker(slots) {
            Some(marker) => Some((marker.key, &marker.bytes)),
            None => self.key.map(|key| (key, &self.bytes)),
        }
    }

    /// The marker, if none was found.
    fn new_marker(&self, slots: &Slots<'_>) -> Option<&NewEntry> {
        self.marker.as_ref().filter(|_| !slots.has_numbers(self.slot))
    }
}

/// Compiles pieces. The largest bodies come first, so that no thread is left
/// with a large one at the end. The inner error is that of a piece whose code no
/// entry can hold.
pub(crate) fn compile_all(
    input: &Input<'_>,
    backend: &Backend,
    wanted: &[Slotted<'_>],
) -> Result<Result<Vec<Fresh>, CaptureError>, CompileError> {
    let body_len = |wanted: &Slotted<'_>| match wanted.piece.func_key {
        FuncKey::DefinedWasmFunction(module, function) => {
            input.bodies[module][function].body.range().len()
        }
        _ => 0,
    };
    let mut order: Vec<(usize, Slotted<'_>)> = wanted.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, wanted)| std::cmp::Reverse(body_len(wanted)));
    let mut compiled: Vec<(usize, Result<Fresh, CaptureError>)> = order
        .into_par_iter()
        .with_max_len(1)
        .map(|(index, wanted)| Ok((index, compile(input, backend, wanted)?)))
        .collect::<Result<_, CompileError>>()?;
    compiled.sort_unstable_by_key(|(index, _)| *index);
    Ok(compiled.into_iter().map(|(_, fresh)| fresh).collect())
}

/// Compiles one piece and seals it.
fn compile(
    input: &Input<'_>,
    backend: &Backend,
    slotted: Slotted<'_>,
) -> Result<Result<Fresh, CaptureError>, CompileError> {
    let func_key = slotted.piece.func_key;
    let symbol = pieces::symbol(input, func_key);
    let CompiledFunctionBody { code, needs_gc_heap } = generate(input, backend, func_key, &symbol)?;
    Ok(seal(&*code, needs_gc_heap, slotted, backend))
}

/// Makes the entry of compiled code: without the layout, if what the code knows of
/// it is understood, else for this one layout.
fn seal(
    code: &dyn Any,
    needs_gc_heap: bool,
    Slotted { piece, slot }: Slotted<'_>,
    backend: &Backend,
) -> Result<Fresh, CaptureError> {
    let function: &CompiledFunction = code.downcast_ref().ok_or(CaptureError::Foreign)?;
    let stencil = capture::capture(function, needs_gc_heap, piece, backend)?;
    let sealed = |key: CacheKey, stencil: &StencilBuilder| {
        entry::seal(&key, stencil).map_err(|_| CaptureError::TooLarge)
    };
    let (Some(key), 1..) = (piece.cache_key, piece.layout.parameter_count()) else {
        let bytes = sealed(piece.cache_key.unwrap_or(NO_KEY), &stencil)?;
        return Ok(Fresh { slot, key: piece.cache_key, bytes, marker: None });
    };
    if let Some(fields) = relocate::fields(function, piece, backend) {
        let mut relocatable = stencil.clone();
        for (field, addend) in fields {
            relocatable.field(field, addend);
        }
        let bytes = sealed(key, &relocatable)?;
        if relocate::restores(&key, &bytes, piece, function.buffer.data()) {
            return Ok(Fresh { slot, key: Some(key), bytes, marker: None });
        }
    }
    let marker = NewEntry { key, bytes: sealed(key, &StencilBuilder::marker())? };
    let key = key.with_numbers(&piece.parameters.numbers);
    Ok(Fresh { slot, key: Some(key), bytes: sealed(key, &stencil)?, marker: Some(marker) })
}

/// Adds what was compiled to what was found. From here on the two are alike.
pub(crate) fn open_fresh<'a>(
    fresh: &'a [Fresh],
    stencils: &mut [Option<CompiledStencil<'a>>],
) -> Result<(), CompileError> {
    for Fresh { slot, key, bytes, .. } in fresh {
        let stencil = entry::open(&key.unwrap_or(NO_KEY), bytes).map_err(CompileError::wasmtime)?;
        stencils[slot.index()] = Some(stencil);
    }
    Ok(())
}

/// What there is to publish: what was compiled because it was not found.
pub(crate) fn new_entries<'a>(
    fresh: impl Iterator<Item = &'a Fresh>,
    found: &[Found<'_>],
    slots: &Slots<'_>,
) -> Vec<NewEntry> {
    entries(fresh, slots, |slot| {
        let found = &found[slot.index()];
        matches!(found, Found::Miss { reason, .. } if *reason != MissReason::WrongCode)
            && !is_misfit(found)
    })
}

/// What there is to keep in the place of sound entries that do not fit: a store
/// sees nothing wrong with those, and would keep them for ever.
pub(crate) fn corrections<'a>(
    fresh: impl Iterator<Item = &'a Fresh>,
    found: &[Found<'_>],
    slots: &Slots<'_>,
) -> Vec<NewEntry> {
    entries(fresh, slots, |slot| is_misfit(&found[slot.index()]))
}

fn is_misfit(found: &Found<'_>) -> bool {
    matches!(found, Found::Miss { reason: MissReason::BadEntry, rejected: true })
}

/// The entries of some slots, each behind its marker if that is not there yet.
fn entries<'a>(
    fresh: impl Iterator<Item = &'a Fresh>,
    slots: &Slots<'_>,
    is_wanted: impl Fn(Slot) -> bool,
) -> Vec<NewEntry> {
    let of = |fresh: &Fresh| {
        let marker = fresh.new_marker(slots).cloned();
        let entry = fresh.key.map(|key| NewEntry { key, bytes: fresh.bytes.clone() });
        marker.into_iter().chain(entry).collect::<Vec<_>>()
    };
    fresh.filter(|fresh| is_wanted(fresh.slot)).flat_map(of).collect()
}

/// Runs Wasmtime's compiler on one piece.
pub(crate) fn generate(
    input: &Input<'_>,
    backend: &Backend,
    key: FuncKey,
    symbol: &str,
) -> Result<CompiledFunctionBody, CompileError> {
    let mut compiled = translate(input, backend, key, symbol)?;
    finish(input, backend, key, symbol, &mut compiled)?;
    Ok(compiled)
}

/// The second half of [`generate`]: from Cranelift's IR to machine code.
pub(crate) fn finish(
    input: &Input<'_>,
    backend: &Backend,
    key: FuncKey,
    symbol: &str,
    compiled: &mut CompiledFunctionBody,
) -> Result<(), CompileError> {
    let body = match key {
        FuncKey::DefinedWasmFunction(module, function) => {
            Some(input.bodies[module][function].body.clone())
        }
        _ => None,
    };
    let Some(compiler) = backend.compiler.inlining_compiler() else { return Ok(()) };
    compiler.finish_compiling(compiled, body, symbol).map_err(|error| CompileError::Codegen {
        symbol: symbol.to_owned(),
        message: format!("{error:#}"),
    })
}

/// The first half of [`generate`]: to Cranelift's IR.
pub(crate) fn translate(
    input: &Input<'_>,
    backend: &Backend,
    key: FuncKey,
    symbol: &str,
) -> Result<CompiledFunctionBody, CompileError> {
    let compiler = &*backend.compiler;
    let types = input.types.module_types();
    let component = || match &input.types {
        Types::Component(types, component) => Ok((types, component)),
        Types::Module(_) => Err(CompileError::wasmtime("a module has no component's pieces")),
    };
    let compiled = match key {
        FuncKey::DefinedWasmFunction(module, function) => {
            let FunctionBodyData { body, validator } = &input.bodies[module][function];
            let data = FunctionBodyData {
                body: body.clone(),
                validator: FuncToValidate {
                    resources: validator.resources.clone(),
                    index: validator.index,
                    ty: validator.ty,
                    features: validator.features,
                },
            };
            compiler
                .compile_function(&input.modules[module], key, data, types, symbol)
                .map_err(with_source)
        }
        FuncKey::ArrayToWasmTrampoline(module, _) | FuncKey::ModuleStartup(_, module) => compiler
            .compile_trampoline(Some(&input.modules[module]), key, types, symbol)
            .map_err(with_source),
        FuncKey::ComponentTrampoline(abi, _) => {
            let (types, component) = component()?;
            let tunables = &backend.settings.tunables;
            compiler
                .component_compiler()
                .compile_component_trampoline(component, types, key, abi, tunables, symbol)
                .map_err(|error| format!("{error:#}"))
        }
        FuncKey::UnsafeIntrinsic(abi, intrinsic) => {
            let (types, component) = component()?;
            let tunables = &backend.settings.tunables;
            compiler
                .component_compiler()
                .compile_intrinsic(tunables, component, types, intrinsic, abi, symbol)
                .map_err(|error| format!("{error:#}"))
        }
        _ => compiler.compile_trampoline(None, key, types, symbol).map_err(with_source),
    };
    compiled.map_err(|message| CompileError::Codegen { symbol: symbol.to_owned(), message })
}

/// Of a translation that failed, the error's own words say no more than that.
fn with_source(error: wasmtime_environ::CompileError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
