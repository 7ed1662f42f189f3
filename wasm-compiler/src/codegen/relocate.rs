//! A compiled function -> which fields of its code hold its module's layout.
//!
//! Invariant: what is said to be a field has been found in the code, belongs to one
//! of the layout's parameters, and filled in again gives the code that was compiled.
//! Anything else is no answer, and the layout stays in the key.

use super::sites::{Base, Code, Landing};
use crate::compiler::Backend;
use crate::pieces::Piece;
use stencil::compiled::{StencilField, StencilHandler};
use stencil::finalize::finalize;
use stencil::{CacheKey, entry};
use wasmtime_environ::PtrSize as _;
use wasmtime_internal_cranelift::CompiledFunction;

/// The fields of a piece's code, each with what it holds beyond its parameter;
/// `None` if an access of the module's runtime structures is not understood.
pub(super) fn fields(
    function: &CompiledFunction,
    piece: &Piece,
    backend: &Backend,
) -> Option<Vec<(StencilField, u32)>> {
    // Calls that keep all registers are not among those that are followed.
    let keeps_registers = function.buffer.patchable_call_sites().next().is_some();
    if keeps_registers || piece.layout.is_opaque() {
        return None;
    }
    let relocated: Vec<u32> = function.relocations().map(|relocation| relocation.offset).collect();
    let landings: Vec<Landing> = landings(function);
    let pointer = backend.isa.pointer_bytes();
    let code = Code {
        bytes: function.buffer.data(),
        relocated: &relocated,
        landings: &landings,
        type_ids_at: u32::from(pointer.vmctx_type_ids_array()),
    };
    let find = backend.finder?;
    let sites = find(&code).ok()?;
    // In front of these lies what every module has.
    let entities = u32::from(pointer.vmctx_dynamic_data_start());
    let own =
        sites.iter().filter(|site| site.base != Base::VmContext || site.displacement >= entities);
    let fields = own.filter_map(|site| piece.layout.field(site).transpose());
    let fields: Vec<_> = fields.collect::<Result<_, _>>().ok()?;
    piece.layout.is_complete(&fields).then_some(fields)
}

fn landings(function: &CompiledFunction) -> Vec<Landing> {
    let mut landings = Vec::new();
    for site in function.buffer.call_sites() {
        let handlers = site.exception_handlers.iter().map(StencilHandler::from);
        let handlers: Vec<u32> = handlers.filter_map(StencilHandler::offset).collect();
        if !handlers.is_empty() {
            landings.push(Landing { return_offset: site.ret_addr, handlers });
        }
    }
    landings
}

/// Whether an entry with its fields filled in is the code that it was made of.
pub(super) fn restores(key: &CacheKey, bytes: &[u8], piece: &Piece, code: &[u8]) -> bool {
    let Ok(stencil) = entry::open(key, bytes) else { return false };
    finalize(stencil, &piece.parameters).is_ok_and(|function| *function.final_code() == *code)
}
