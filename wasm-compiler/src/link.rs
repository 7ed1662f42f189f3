//! Finalized functions -> the text section and the tables beside it.
//!
//! The bytes are those of Wasmtime's `Compiler::append_code`, which copies,
//! encodes and patches on one thread; here each thread does a part of it.

mod blocks;
mod eh_frame;
mod exceptions;
mod linkability;
mod targets;
mod text;

pub(crate) use linkability::Linkability;

use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::Input;
use crate::lookup::{Slots, Slotted};
use crate::pieces;
use rayon::prelude::*;
use std::collections::BTreeSet;
use stencil::compiled::{RelocationTarget, StencilRelocation};
use stencil::finalize::{FinalizedFunction, finalize};
use stencil::{CompiledStencil, ExternalName};
use wasmtime_environ::{FilePos, FuncKey};

/// A thread takes at least this many pieces.
const PIECES_MIN: usize = 256;

/// One function of the artifact, bound to its parameters.
pub(crate) struct LinkedFunction<'a> {
    pub(crate) func_key: FuncKey,
    pub(crate) symbol: String,
    pub(crate) start: FilePos,
    function: FinalizedFunction<'a>,
}

/// All functions of the artifact, in the order in which it holds them.
pub(crate) struct Linkable<'a> {
    functions: Vec<LinkedFunction<'a>>,
}

/// Where a function lies in the text section, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// Text, tables, and where each function is.
pub(crate) struct Linked<'a> {
    pub(crate) functions: &'a [LinkedFunction<'a>],
    pub(crate) places: Vec<Place>,
    /// Padded to a multiple of the page size.
    pub(crate) text: Vec<u8>,
    pub(crate) eh_frame: Option<Vec<u8>>,
    pub(crate) address_map: Option<Vec<u8>>,
    pub(crate) stack_maps: wasmtime_environ::StackMapSection,
    pub(crate) traps: Vec<u8>,
    pub(crate) exceptions: Vec<u8>,
}

/// The builtin trampolines that the pieces' code calls.
pub(crate) fn needed_builtins<'a>(
    slots: &Slots<'a>,
    stencils: &[Option<CompiledStencil<'_>>],
) -> Vec<Slotted<'a>> {
    let fixed = |relocation: StencilRelocation| match relocation.target {
        RelocationTarget::Fixed(name) => Some(name),
        _ => None,
    };
    // Slots that are not needed are builtin trampolines, which call nobody.
    let named: BTreeSet<ExternalName> = stencils
        .par_iter()
        .with_min_len(PIECES_MIN)
        .fold(BTreeSet::new, |mut named, stencil| {
            let relocations = stencil.iter().flat_map(CompiledStencil::relocations);
            named.extend(relocations.filter_map(fixed));
            named
        })
        .reduce(BTreeSet::new, |mut one, other| {
            one.extend(other);
            one
        });
    let is_named =
        |builtin: &&Slotted<'_>| named.contains(&pieces::external_name(builtin.piece.func_key));
    slots.builtins.iter().filter(is_named).copied().collect()
}

impl<'a> Linkable<'a> {
    /// Binds every piece to its parameters.
    pub(crate) fn finalize(
        input: &Input<'_>,
        pieces: &[Slotted<'a>],
        builtins: &[Slotted<'a>],
        stencils: &[Option<CompiledStencil<'a>>],
        symbols: bool,
    ) -> Result<Self, CompileError> {
        let bind = |slotted: &Slotted<'a>| -> Result<LinkedFunction<'a>, CompileError> {
            let piece = slotted.piece;
            let symbol = || pieces::symbol(input, piece.func_key);
            let stencil = stencils[slotted.slot.index()]
                .ok_or_else(|| CompileError::Wasmtime(format!("{} was not compiled", symbol())))?;
            Ok(LinkedFunction {
                func_key: piece.func_key,
                symbol: if symbols { symbol() } else { String::new() },
                start: match piece.parameters.source.is_empty() {
                    true => FilePos::none(),
                    false => FilePos::new(piece.parameters.source.base()),
                },
                function: finalize(stencil, &piece.parameters).map_err(CompileError::wasmtime)?,
            })
        };
        let bound = pieces.par_iter().chain(builtins).with_min_len(PIECES_MIN).map(bind);
        let mut functions = bound.collect::<Result<Vec<_>, _>>()?;
        functions.sort_by_key(|function| function.func_key);
        Ok(Self { functions })
    }

    /// Whether any function needs a garbage-collected heap.
    pub(crate) fn needs_gc_heap(&self) -> bool {
        self.functions.iter().any(|function| function.function.stencil().needs_gc_heap())
    }
}

/// Lays out the text and encodes the tables.
pub(crate) fn link<'a>(
    linkable: &'a Linkable<'a>,
    backend: &Backend,
) -> Result<Linked<'a>, CompileError> {
    let functions = linkable.functions.as_slice();
    let text::Text { text, places } = text::lay_out(functions, backend)?;
    let with_addresses = backend.settings.tunables.generate_address_map;
    let ((address_map, traps), (eh_frame, exceptions)) = rayon::join(
        || {
            let addresses = with_addresses.then(|| blocks::address_map(functions, &places));
            (addresses, blocks::traps(functions, &places))
        },
        || {
            let eh_frame = eh_frame::encode(functions, &places, text.len(), &backend.frames);
            (eh_frame, exceptions::encode(functions, &places))
        },
    );
    Ok(Linked {
        stack_maps: exceptions::stack_maps(functions, &places),
        functions,
        places,
        text,
        eh_frame,
        address_map,
        traps,
        exceptions,
    })
}
