//! A function -> ([`FunctionStencil`](stencil::FunctionStencil),
//! [`FunctionParameters`](stencil::FunctionParameters)), and its key.
//!
//! The stencil of a WebAssembly function is its body, re-encoded with local
//! ordinals in place of indices, with exactly those facts of its module that the
//! operators use, each at its first use. `docs/key-inputs.md` lists them with
//! the places in Wasmtime's source that read them.
//!
//! Every body is validated here, in the same pass, on every compile.

mod facts;
mod function;
#[cfg(test)]
mod known_imports;
mod operators;
mod trampoline;

use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::Input;
use crate::pieces::{self, Piece};
use facts::ModuleFacts;
use function::Splitter;
use rayon::prelude::*;
use stencil::Fingerprint;
pub(crate) use trampoline::builtin;
use wasmtime_environ::{EntityRef as _, FuncKey, StaticModuleIndex};

/// Functions are handed to threads in runs of about this many body bytes.
const RUN_BODY_BYTES: usize = 64 << 10;

/// Validates and splits every function and makes every key. The pieces are in
/// the order of their `FuncKey`s.
pub(crate) fn split(
    input: &Input<'_>,
    backend: &Backend,
    fingerprint: &Fingerprint,
) -> Result<Vec<Piece>, CompileError> {
    let settings = &backend.settings;
    let covered = settings.uncovered().is_none();
    let layout = (backend.isa.pointer_bytes(), backend.finder.is_some());
    let facts: Vec<ModuleFacts<'_, '_>> = input
        .modules
        .iter()
        .map(|(index, module)| {
            let cacheable = covered && !input.is_adapter(index);
            let types = input.types.module_types();
            ModuleFacts::new(module, types, settings, layout, cacheable)
        })
        .collect();
    let split_runs: Vec<Result<Vec<Piece>, CompileError>> = runs(input)
        .into_par_iter()
        .map_init(|| None, |splitter, run| split_run(input, &facts, fingerprint, run, splitter))
        .collect();
    let mut pieces = Vec::new();
    for run in split_runs {
        // Of several invalid functions the first one is reported.
        pieces.extend(run?);
    }
    pieces.extend(trampoline::split(input, fingerprint, covered));
    pieces.extend(pieces::never_cached(input));
    pieces.sort_unstable_by_key(|piece| piece.func_key);
    Ok(pieces)
}

type Run = Vec<(StaticModuleIndex, wasmtime_environ::DefinedFuncIndex)>;

fn runs(input: &Input<'_>) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut run = Run::new();
    let mut bytes = 0;
    for (module, function) in pieces::functions(input) {
        run.push((module, function));
        bytes += input.bodies[module][function].body.range().len();
        if bytes >= RUN_BODY_BYTES {
            bytes = 0;
            runs.push(std::mem::take(&mut run));
        }
    }
    runs.push(run);
    runs
}

/// A module's splitter, kept from run to run: it has a table of the size of the
/// module's index spaces.
type Current<'a> = Option<(StaticModuleIndex, Splitter<'a>)>;

fn split_run<'a>(
    input: &Input<'_>,
    facts: &'a [ModuleFacts<'a, 'a>],
    fingerprint: &Fingerprint,
    run: Run,
    current: &mut Current<'a>,
) -> Result<Vec<Piece>, CompileError> {
    let mut pieces = Vec::with_capacity(run.len());
    for (module, function) in run {
        let splitter = match &mut *current {
            Some((of, splitter)) if *of == module => splitter,
            slot => {
                let fresh = Splitter::new(&facts[module.index()]);
                &mut slot.insert((module, fresh)).1
            }
        };
        let body = &input.bodies[module][function];
        let split = splitter.split(function, body)?;
        pieces.push(Piece {
            func_key: FuncKey::DefinedWasmFunction(module, function),
            cache_key: split.stencil.map(|stencil| stencil.key(fingerprint)),
            parameters: split.parameters,
            layout: split.layout,
        });
    }
    Ok(pieces)
}
