//! Code of all functions -> the text section, with calls between them resolved.
//!
//! On x86-64 every call reaches every function, so a function's place follows
//! from the sizes of those before it and each thread copies and patches a part.
//! Where calls have less reach, Cranelift's own section builder puts veneers
//! between functions; it works on one thread.

use super::targets::Targets;
use super::{LinkedFunction, Place};
use crate::codegen::reloc_of;
use crate::compiler::Backend;
use crate::error::CompileError;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use rayon::prelude::*;
use target_lexicon::Architecture;

/// The text section.
pub(super) struct Text {
    pub(super) text: Vec<u8>,
    pub(super) places: Vec<Place>,
}

/// Beyond this size Cranelift's section builder decides; 32-bit calls reach
/// twice as far.
const PARALLEL_TEXT_BYTES_MAX: u64 = 1 << 30;

/// Threads take runs of about this many bytes of code.
const RUN_CODE_BYTES: usize = 1 << 20;

pub(super) fn lay_out(
    functions: &[LinkedFunction<'_>],
    backend: &Backend,
) -> Result<Text, CompileError> {
    let targets = Targets::of(functions);
    let places = places(functions);
    let end = places.last().map_or(0, |place| u64::from(place.start) + u64::from(place.len));
    let flat = backend.compiler.triple().architecture == Architecture::X86_64
        && backend.settings.links_plainly()
        && end <= PARALLEL_TEXT_BYTES_MAX;
    let mut laid_out = if flat {
        Text { text: copy_and_patch(functions, &places, &targets, backend)?, places }
    } else {
        with_section_builder(functions, &targets, backend)?
    };
    let align = backend.compiler.page_size_align() as usize;
    let padded = laid_out.text.len().next_multiple_of(align);
    laid_out.text.resize(padded, 0);
    Ok(laid_out)
}

/// Places one behind the other, each aligned as it asks for. A sum that does not
/// fit makes the last place end beyond [`PARALLEL_TEXT_BYTES_MAX`].
fn places(functions: &[LinkedFunction<'_>]) -> Vec<Place> {
    let mut at: u32 = 0;
    let place = |function: &LinkedFunction<'_>| {
        let stencil = function.function.stencil();
        let len = u32::try_from(stencil.code().len()).unwrap_or(u32::MAX);
        let start = at.checked_next_multiple_of(stencil.alignment()).unwrap_or(u32::MAX);
        at = start.saturating_add(len);
        Place { start, len }
    };
    functions.iter().map(place).collect()
}

fn unresolved(function: &LinkedFunction<'_>, what: &str) -> CompileError {
    CompileError::Wasmtime(format!("cannot link {:?}: {what}", function.func_key))
}

fn copy_and_patch(
    functions: &[LinkedFunction<'_>],
    places: &[Place],
    targets: &Targets,
    backend: &Backend,
) -> Result<Vec<u8>, CompileError> {
    let end = places.last().map_or(0, |place| (place.start + place.len) as usize);
    let align = backend.compiler.page_size_align() as usize;
    let mut text = vec![0; end.next_multiple_of(align)];
    // Disjoint runs of functions, each with the bytes that it alone writes.
    let mut runs: Vec<(usize, usize, &mut [u8])> = Vec::new();
    let (mut rest, mut rest_at) = (text.as_mut_slice(), 0);
    let mut first = 0;
    while first < functions.len() {
        let start = places[first].start as usize;
        let long_enough = |place: &Place| place.start as usize - start >= RUN_CODE_BYTES;
        let len = places[first..].iter().position(long_enough).unwrap_or(functions.len() - first);
        let last = &places[first + len - 1];
        let run_end = (last.start + last.len) as usize;
        let (run, tail) = std::mem::take(&mut rest).split_at_mut(run_end - rest_at);
        runs.push((first, len, &mut run[start - rest_at..]));
        (rest, rest_at) = (tail, run_end);
        first += len;
    }
    runs.into_par_iter().try_for_each(|(first, len, text)| -> Result<(), CompileError> {
        let base = places[first].start;
        for index in first..first + len {
            let (function, place) = (&functions[index], places[index]);
            let at = (place.start - base) as usize;
            let code = &mut text[at..at + place.len as usize];
            function.function.copy_code_to(code);
            patch_calls(function, place, code, places, targets)?;
        }
        Ok(())
    })?;
    Ok(text)
}

/// Resolves a function's calls: `X86CallPCRel4` with addend -4 is the distance
/// from the end of the field to the callee.
fn patch_calls(
    function: &LinkedFunction<'_>,
    place: Place,
    code: &mut [u8],
    places: &[Place],
    targets: &Targets,
) -> Result<(), CompileError> {
    for relocation in function.function.relocations() {
        if reloc_of(relocation.kind) != Some(Reloc::X86CallPCRel4) || relocation.addend != -4 {
            return Err(unresolved(function, "a relocation is not a call"));
        }
        let target = targets
            .target(relocation.target)
            .ok_or_else(|| unresolved(function, "a callee is not a part of the artifact"))?;
        let at = relocation.offset as usize;
        let field = code
            .get_mut(at..)
            .and_then(<[u8]>::first_chunk_mut::<4>)
            .ok_or_else(|| unresolved(function, "a relocation lies outside of the code"))?;
        let distance = places[target].start.wrapping_sub(place.start + relocation.offset);
        let value = u32::from_le_bytes(*field).wrapping_add(distance).wrapping_sub(4);
        *field = value.to_le_bytes();
    }
    Ok(())
}

fn with_section_builder(
    functions: &[LinkedFunction<'_>],
    targets: &Targets,
    backend: &Backend,
) -> Result<Text, CompileError> {
    let mut builder = backend.isa.text_section_builder(functions.len());
    let mut control = ControlPlane::default();
    let link_options = backend.settings.link_options();
    if link_options.force_jump_veneers {
        builder.force_veneers();
    }
    let mut places = Vec::with_capacity(functions.len());
    for function in functions {
        let stencil = function.function.stencil();
        let code = function.function.final_code();
        let start = builder.append(true, &code, stencil.alignment(), &mut control);
        for relocation in function.function.relocations() {
            let target = targets
                .target(relocation.target)
                .ok_or_else(|| unresolved(function, "a callee is not a part of the artifact"))?;
            let offset = start + u64::from(relocation.offset);
            let resolved = reloc_of(relocation.kind)
                .is_some_and(|kind| builder.resolve_reloc(offset, kind, relocation.addend, target));
            if !resolved {
                return Err(unresolved(function, "a relocation is not a call"));
            }
        }
        if link_options.padding_between_functions > 0 {
            let padding = vec![0; link_options.padding_between_functions];
            builder.append(false, &padding, 1, &mut control);
        }
        let too_large = |_| unresolved(function, "the code is larger than 4 GiB");
        places.push(Place {
            start: u32::try_from(start).map_err(too_large)?,
            len: u32::try_from(stencil.code().len()).map_err(too_large)?,
        });
    }
    Ok(Text { text: builder.finish(&mut control), places })
}
