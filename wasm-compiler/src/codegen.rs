//! Misses -> compiled stencils, by Wasmtime's own compiler, in parallel.
//!
//! Invariant: what leaves this stage has no parameter in it. Callees are
//! ordinals of the parameters, source locations are ordinals of the body, and where
//! the module's layout stood in the code there are fields to fill in.

mod capture;
mod check;
mod frame;
mod offsets;
mod placeholder;
mod relocate;
pub(crate) mod sites;

use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::{Input, Types, validator};
use crate::lookup::{Found, Slot, Slots, Slotted};
use crate::pieces::{self, Piece};
use crate::verify::VerifySample;
pub(crate) use capture::{CaptureError, reloc_of};
pub(crate) use frame::{CIE_POINTER_AT, FrameTables, PC_BEGIN_AT, PC_BEGIN_END};
use rayon::prelude::*;
use relocate::{Fields, Reads};
use sites::Site;
use stencil::compiled::StencilField;
use stencil::{CacheKey, CompiledStencil, EntryBytes, MissReason, NewEntry, StencilBuilder, entry};
use wasmparser::FunctionBody;
use wasmtime_environ::{
    CompiledFunctionBody, DefinedFuncIndex, FuncKey, FunctionBodyData, StaticModuleIndex,
};
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
    /// The entry has been compiled for another slot of its key.
    pub(crate) is_copy: bool,
    /// The numbers in the code that it gives have been checked.
    is_checked: bool,
}

impl Fresh {
    fn new(slot: Slot, key: Option<CacheKey>, bytes: EntryBytes) -> Self {
        Self { slot, key, bytes, marker: None, is_copy: false, is_checked: false }
    }

    /// The same entry for another slot of its key.
    fn copy_for(&self, slot: Slot) -> Self {
        let copy = Self::new(slot, self.key, self.bytes.clone());
        Self { is_copy: true, is_checked: self.is_checked, ..copy }
    }

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

/// Compiles pieces; what is compiled is in the order of the slots. The inner error is
/// that of a piece whose code no entry can hold. Numbers in the code of what is sampled are
/// checked.
pub(crate) fn compile_all(
    input: &mut Input<'_>,
    backend: &Backend,
    sample: Option<VerifySample>,
    wanted: &[Slotted<'_>],
) -> Result<Result<Vec<Fresh>, CaptureError>, CompileError> {
    let (with_placeholders, mut others): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|wanted| wanted.piece.has_placeholders);
    let (mut fresh, refused) =
        placeholder::compile_all(input, backend, sample, &with_placeholders)?;
    others.extend(refused);
    let compiled = in_parallel(input, &others, |(), wanted| compile(input, backend, wanted))?;
    for compiled in compiled {
        match compiled {
            Ok(compiled) => fresh.push(compiled),
            Err(error) => return Ok(Err(error)),
        }
    }
    fresh.sort_unstable_by_key(|fresh| fresh.slot.index());
    Ok(Ok(fresh))
}

/// Does something with each piece. The largest bodies come first, so that no thread is
/// left with a large one at the end. The results are in the order of the pieces.
fn in_parallel<State: Default, Result_: Send>(
    input: &Input<'_>,
    wanted: &[Slotted<'_>],
    compile: impl Fn(&mut State, Slotted<'_>) -> Result<Result_, CompileError> + Sync,
) -> Result<Vec<Result_>, CompileError> {
    let body_len = |wanted: &Slotted<'_>| match wanted.piece.func_key {
        FuncKey::DefinedWasmFunction(module, function) => {
            input.bodies[module][function].body.range().len()
        }
        _ => 0,
    };
    let mut order: Vec<(usize, Slotted<'_>)> = wanted.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, wanted)| std::cmp::Reverse(body_len(wanted)));
    let mut compiled: Vec<(usize, Result_)> = order
        .into_par_iter()
        .with_max_len(1)
        .map_init(State::default, |state, (index, wanted)| Ok((index, compile(state, wanted)?)))
        .collect::<Result<_, CompileError>>()?;
    compiled.sort_unstable_by_key(|(index, _)| *index);
    Ok(compiled.into_iter().map(|(_, compiled)| compiled).collect())
}

/// Compiles one piece and seals it.
fn compile(
    input: &Input<'_>,
    backend: &Backend,
    slotted: Slotted<'_>,
) -> Result<Result<Fresh, CaptureError>, CompileError> {
    let func_key = slotted.piece.func_key;
    let symbol = pieces::symbol(input, func_key);
    let compiled = generate(input, backend, func_key, &symbol)?;
    Ok(seal(&compiled, slotted, backend))
}

/// Makes the entry of compiled code: without its numbers, if what the code knows of
/// them is understood, else for these alone.
fn seal(
    compiled: &CompiledFunctionBody,
    Slotted { piece, slot }: Slotted<'_>,
    backend: &Backend,
) -> Result<Fresh, CaptureError> {
    let function = function_of(compiled)?;
    let code = function.buffer.data().to_vec();
    let stencil = capture::capture(function, compiled.needs_gc_heap, code, piece, backend)?;
    let (Some(key), false) = (piece.cache_key, piece.parameters.numbers.is_empty()) else {
        let bytes = seal_entry(piece.cache_key.unwrap_or(NO_KEY), &stencil)?;
        return Ok(Fresh::new(slot, piece.cache_key, bytes));
    };
    // Code that knows constants has been made because code that does not was refused.
    let fields = match piece.has_placeholders {
        true => None,
        false => relocate::fields(function, piece, backend),
    };
    if let Some(fields) = fields
        && let code = function.buffer.data()
        && let Some(bytes) = seal_fields(key, stencil.clone(), &fields, piece, code)?
    {
        return Ok(Fresh::new(slot, Some(key), bytes));
    }
    let marker = NewEntry { key, bytes: seal_entry(key, &StencilBuilder::marker())? };
    let key = key.with_numbers(&piece.parameters.numbers);
    let bytes = seal_entry(key, &stencil)?;
    Ok(Fresh { marker: Some(marker), ..Fresh::new(slot, Some(key), bytes) })
}

/// Makes the entry of code that was compiled with placeholders; `None` if what it knows
/// of its numbers is not understood. Given are its sites, and the fields that hold offsets of accesses.
fn seal_plugged(
    compiled: &CompiledFunctionBody,
    found: (&[Site], Fields),
    Slotted { piece, slot }: Slotted<'_>,
    reads: &Reads<'_>,
    backend: &Backend,
) -> Result<Option<Fresh>, CaptureError> {
    let function = function_of(compiled)?;
    let plugged = relocate::plugged(function, found, piece, reads, backend);
    let Some((code, fields)) = plugged else { return Ok(None) };
    let stencil = capture::capture(function, compiled.needs_gc_heap, code.clone(), piece, backend)?;
    let key = piece.cache_key.unwrap_or(NO_KEY);
    let bytes = seal_fields(key, stencil, &fields, piece, &code)?;
    Ok(bytes.map(|bytes| Fresh::new(slot, Some(key), bytes)))
}

fn function_of(compiled: &CompiledFunctionBody) -> Result<&CompiledFunction, CaptureError> {
    compiled.code.downcast_ref().ok_or(CaptureError::Foreign)
}

fn seal_entry(key: CacheKey, stencil: &StencilBuilder) -> Result<EntryBytes, CaptureError> {
    entry::seal(&key, stencil).map_err(|_| CaptureError::TooLarge)
}

/// Makes the entry of code with fields; `None` if it does not give the code again.
fn seal_fields(
    key: CacheKey,
    mut stencil: StencilBuilder,
    fields: &[(StencilField, u32)],
    piece: &Piece,
    code: &[u8],
) -> Result<Option<EntryBytes>, CaptureError> {
    for (field, addend) in fields {
        stencil.field(*field, *addend);
    }
    let bytes = seal_entry(key, &stencil)?;
    Ok(relocate::restores(&key, &bytes, piece, code).then_some(bytes))
}

/// How many entries are for one choice of numbers alone.
pub(crate) fn count_with_numbers<'a>(
    fresh: impl Iterator<Item = &'a Fresh>,
    slots: &Slots<'_>,
) -> u64 {
    let new = fresh.filter(|fresh| fresh.new_marker(slots).is_some()).count();
    (slots.count_with_numbers() + new) as u64
}

/// How many functions' code was checked, equal ones once.
pub(crate) fn count_checked<'a>(fresh: impl Iterator<Item = &'a Fresh>) -> u64 {
    fresh.filter(|fresh| fresh.is_checked).count() as u64
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
fn generate(
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
    finish_body(backend, body, symbol, compiled)
}

fn finish_body(
    backend: &Backend,
    body: Option<FunctionBody<'_>>,
    symbol: &str,
    compiled: &mut CompiledFunctionBody,
) -> Result<(), CompileError> {
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
            let data = &input.bodies[module][function];
            let data = FunctionBodyData { body: data.body.clone(), validator: validator(data) };
            return translate_function(input, backend, (module, function), data, symbol);
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

/// [`translate`] for a function of WebAssembly, whatever its body is.
fn translate_function(
    input: &Input<'_>,
    backend: &Backend,
    (module, function): (StaticModuleIndex, DefinedFuncIndex),
    data: FunctionBodyData<'_>,
    symbol: &str,
) -> Result<CompiledFunctionBody, CompileError> {
    let types = input.types.module_types();
    let translation = &input.modules[module];
    let key = FuncKey::DefinedWasmFunction(module, function);
    backend.compiler.compile_function(translation, key, data, types, symbol).map_err(|error| {
        CompileError::Codegen { symbol: symbol.to_owned(), message: with_source(error) }
    })
}

/// Of a translation that failed, the error's own words say no more than that.
fn with_source(error: wasmtime_environ::CompileError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
