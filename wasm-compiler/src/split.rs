//! A function -> ([`FunctionStencil`](stencil::FunctionStencil),
//! [`FunctionParameters`](stencil::FunctionParameters)), and its key.
//!
//! The stencil of a WebAssembly function is its body, re-encoded with local
//! ordinals in place of indices, with exactly those facts of its module that the
//! operators use, each at its first use. `docs/key-inputs.md` lists them with
//! the places in Wasmtime's source that read them.
//!
//! Every body is validated here, in the same pass, on every compile.

mod constants;
mod facts;
mod function;
#[cfg(test)]
mod known_imports;
mod operators;
#[cfg(test)]
mod reader;
mod relocations;
mod trampoline;

use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::Input;
use crate::pieces::{self, Piece};
pub(crate) use constants::{
    CONSTANTS_MAX, ConstantType, ConstantUse, OFFSET_MAX, OFFSET_MIN, OffsetUse, Uses, offset_at,
};
pub(crate) use facts::GLOBALS_ADDED_MAX;
use facts::ModuleFacts;
use function::Splitter;
use rayon::prelude::*;
use stencil::Fingerprint;
pub(crate) use trampoline::builtin;
use wasmtime_environ::{
    DefinedFuncIndex, EntityRef as _, FuncKey, ModuleTranslation, StaticModuleIndex,
};

/// Functions are handed to threads in runs of about this many body bytes.
const RUN_BODY_BYTES: usize = 64 << 10;

/// Validates and splits every function and makes every key. The pieces are in
/// the order of their `FuncKey`s.
pub(crate) fn split(input: &Input<'_>, backend: &Backend) -> Result<Vec<Piece>, CompileError> {
    let splitting = Splitting::new(input, backend);
    let split_runs: Vec<Result<Vec<Piece>, CompileError>> = runs(input)
        .into_par_iter()
        .map_init(Current::default, |current, run| splitting.run(run, current))
        .collect();
    let mut pieces = Vec::new();
    for run in split_runs {
        // Of several invalid functions the first one is reported.
        pieces.extend(run?);
    }
    let covered = backend.settings.uncovered().is_none();
    pieces.extend(trampoline::split(input, &backend.fingerprint, covered));
    pieces.extend(pieces::never_cached(input));
    pieces.sort_unstable_by_key(|piece| piece.func_key);
    Ok(pieces)
}

type Run = Vec<(StaticModuleIndex, DefinedFuncIndex)>;

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

/// A module's splitter, kept from function to function: it has a table of the size of
/// the module's index spaces.
#[derive(Default)]
pub(crate) struct Current<'a>(Option<(StaticModuleIndex, Splitter<'a>)>);

/// The splitting of an input's functions.
pub(crate) struct Splitting<'a> {
    input: &'a Input<'a>,
    facts: Vec<ModuleFacts<'a, 'a>>,
    fingerprint: &'a Fingerprint,
}

impl<'a> Splitting<'a> {
    fn new(input: &'a Input<'a>, backend: &'a Backend) -> Self {
        Self::of(input, backend, false)
    }

    /// Of modules that have their placeholders.
    pub(crate) fn with_placeholders(input: &'a Input<'a>, backend: &'a Backend) -> Self {
        Self::of(input, backend, true)
    }

    fn of(input: &'a Input<'a>, backend: &'a Backend, has_placeholders: bool) -> Self {
        let settings = &backend.settings;
        let covered = settings.uncovered().is_none();
        let layout = (backend.isa.pointer_bytes(), backend.finder.is_some());
        let facts = |(index, module): (StaticModuleIndex, &'a ModuleTranslation<'_>)| {
            let cacheable = covered && !input.is_adapter(index);
            let first_body =
                input.bodies[index].values().next().map(|body| body.body.range().start);
            let module = (module, first_body, has_placeholders);
            ModuleFacts::new(module, input.types.module_types(), settings, layout, cacheable)
        };
        let facts = input.modules.iter().map(facts).collect();
        Self { input, facts, fingerprint: &backend.fingerprint }
    }

    fn run<'s>(&'s self, run: Run, current: &mut Current<'s>) -> Result<Vec<Piece>, CompileError> {
        let pieces = run.into_iter().map(|function| Ok(self.function(function, current)?.0));
        pieces.collect()
    }

    /// One function's piece, and what of its body is a parameter.
    pub(crate) fn function<'s>(
        &'s self,
        (module, function): (StaticModuleIndex, DefinedFuncIndex),
        current: &mut Current<'s>,
    ) -> Result<(Piece, Uses), CompileError> {
        let splitter = match &mut current.0 {
            Some((of, splitter)) if *of == module => splitter,
            slot => {
                let fresh = Splitter::new(&self.facts[module.index()]);
                &mut slot.insert((module, fresh)).1
            }
        };
        let body = &self.input.bodies[module][function];
        let split = splitter.split(function, body)?;
        let piece = Piece {
            func_key: FuncKey::DefinedWasmFunction(module, function),
            cache_key: split.stencil.map(|stencil| stencil.key(self.fingerprint)),
            parameters: split.parameters,
            layout: split.layout,
            // Without a key nothing tells what has the same code.
            has_placeholders: split.stencil.is_some() && !split.uses.is_empty(),
        };
        Ok((piece, split.uses))
    }
}
