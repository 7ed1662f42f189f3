//! An entry that was opened -> all that it says, read to the end, within its bound of memory.

use oracle::allocations::peak;
use oracle::views::{bound, read_all};
use stencil::compiled::{FieldKind, RelocationTarget, StencilField};
use stencil::finalize::finalize;
use stencil::image::Fragment;
use stencil::{CompiledStencil, ExternalName, FunctionParameters, SourceLocations};

/// No function here has more callees, source locations or stack slots.
const PARAMETERS_MAX: u32 = 4096;

/// Reads every table of an entry of `bytes` bytes.
pub fn read(stencil: &CompiledStencil<'_>, bytes: usize) {
    let (rows, allocated) = peak(|| rows(stencil));
    assert_eq!(allocated, 0, "reading tables allocates");
    // A row is of at least one byte, and an inner one is read twice.
    assert!(rows <= 2 * bytes, "{rows} rows in {bytes} B");
    if stencil.tables_are_sound() {
        assert_eq!(stencil.traps().count(), stencil.trap_count() as usize);
        assert_eq!(stencil.sources().count(), stencil.mapped_count() as usize);
    }
    let parameters = parameters(stencil);
    let fits = parameters.callees.len() == stencil.callee_count() as usize
        && parameters.source.len() == stencil.source_count()
        && parameters.numbers.len() == stencil.number_count() as usize
        && stencil.fields().all(|field| fits_with_zero(stencil.code(), field));
    let finalized = finalize(*stencil, &parameters);
    assert_eq!(finalized.is_ok(), fits, "{finalized:?}");
    let Ok(finalized) = finalized else { return };
    let of = bytes + std::mem::size_of_val(&*parameters.callees) + parameters.source.len() as usize;
    let mut views = read_all(&finalized);
    views.push(("relocations", peak(|| finalized.relocations().for_each(drop)).1));
    views.push(("code", peak(|| drop(finalized.final_code())).1));
    let sources = || finalized.sources(&mut Vec::new()).for_each(drop);
    views.push(("sources", peak(sources).1));
    views.push(("fragment", peak(|| drop(Fragment::of(&finalized, |_| Some(4096)))).1));
    for (view, allocated) in views {
        let most = bound(view, of);
        assert!(allocated <= most, "{view}: {allocated} B, bound {most} B");
    }
}

/// Whether a field can hold what the entry has in its place.
fn fits_with_zero(code: &[u8], field: StencilField) -> bool {
    let at = field.offset as usize;
    match field.kind {
        FieldKind::Byte => code[at] < 0x80,
        _ => code[at + 3] < 0x80,
    }
}

/// How many rows there are in all tables.
fn rows(stencil: &CompiledStencil<'_>) -> usize {
    let callees = stencil.callee_count();
    let code_len = stencil.code().len() as u32;
    let mut rows = stencil.traps().count() + stencil.sources().count();
    for relocation in stencil.relocations() {
        rows += 1;
        assert!(relocation.offset + 4 <= code_len, "{relocation:?}");
        if let RelocationTarget::Callee(callee) = relocation.target {
            assert!(callee.0 < callees, "{relocation:?} of {callees} callees");
        }
    }
    let mut end = 0;
    for field in stencil.fields() {
        rows += 1;
        assert!(field.offset >= end && field.number.0 < stencil.number_count(), "{field:?}");
        end = field.offset + field.kind.width();
        assert!(end <= code_len, "{field:?}");
    }
    rows += stencil.call_sites().map(|site| 1 + site.handlers().count()).sum::<usize>();
    rows += stencil.stack_maps().map(|map| 1 + map.slots().count()).sum::<usize>();
    assert!(stencil.alignment().is_power_of_two());
    std::hint::black_box(stencil.unwind());
    if let Some(debug) = stencil.debug() {
        std::hint::black_box(debug.frame_pointer());
        rows += debug.tags().map(|list| 1 + list.tags().count()).sum::<usize>();
        rows += debug.value_labels().map(|label| 1 + label.ranges().count()).sum::<usize>();
        rows += debug.frame_slots().count() + debug.patchable_calls().count();
        rows += debug.no_ops().count();
        rows += debug.block_starts().count() + debug.block_edges().count();
    }
    rows
}

/// Those of a function with as many of everything as the entry says, if that
/// is not too many.
fn parameters(stencil: &CompiledStencil<'_>) -> FunctionParameters {
    let mut parameters = FunctionParameters::default();
    let callees = stencil.callee_count().min(PARAMETERS_MAX);
    parameters.callees = (0..callees).map(|index| ExternalName { namespace: 1, index }).collect();
    parameters.numbers = vec![0; stencil.number_count().min(PARAMETERS_MAX) as usize];
    parameters.clif.callee_refs = (0..callees).collect();
    parameters.clif.stack_slots = (0..stencil.slot_count().min(PARAMETERS_MAX)).collect();
    if stencil.source_count() > 0 {
        let count = stencil.source_count().min(PARAMETERS_MAX);
        parameters.source = SourceLocations::starting_at(1000, count as usize);
        (1..count).for_each(|ordinal| parameters.source.push(1000 + 3 * ordinal));
    }
    parameters
}
