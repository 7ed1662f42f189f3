//! A compiled function -> which fields of its code hold its module's layout.
//!
//! Invariant: what is said to be a field has been found in the code, belongs to one
//! of the layout's parameters, and filled in again gives the code that was compiled.
//! Anything else is no answer, and the layout stays in the key.

use super::sites::{Base, Code, Landing, Read, Site};
use crate::compiler::Backend;
use crate::pieces::Piece;
use crate::split::{CONSTANTS_MAX, ConstantType, ConstantUse};
use stencil::compiled::{StencilField, StencilHandler};
use stencil::finalize::finalize;
use stencil::{CacheKey, NumberIndex, entry};
use wasmtime_environ::PtrSize as _;
use wasmtime_internal_cranelift::CompiledFunction;

/// The fields of a piece's code, each with what it holds beyond its parameter;
/// `None` if an access of the module's runtime structures is not understood.
pub(super) fn fields(
    function: &CompiledFunction,
    piece: &Piece,
    backend: &Backend,
) -> Option<Vec<(StencilField, u32)>> {
    layout_fields(&sites(function, piece, backend)?, piece, backend)
}

/// The same for code with placeholders: the code with constants in their place, whatever
/// they are, and all its fields.
pub(super) fn plugged(
    function: &CompiledFunction,
    piece: &Piece,
    reads: &Reads<'_>,
    backend: &Backend,
) -> Option<(Vec<u8>, Vec<(StencilField, u32)>)> {
    let sites = sites(function, piece, backend)?;
    let (placeholders, others): (Vec<Site>, Vec<Site>) =
        sites.into_iter().partition(|site| reads.contain(site));
    let mut fields = layout_fields(&others, piece, backend)?;
    let found = placeholders.iter().map(|site| reads.of(site, piece));
    let found: Vec<Read> = found.collect::<Option<_>>()?;
    let mut code = function.buffer.data().to_vec();
    let constants = (backend.finder?.plug)(&mut code, &found).ok()?;
    for StencilField { offset, number: NumberIndex(number), .. } in &constants {
        let value = piece.parameters.numbers.get(*number as usize)?;
        let field = code.get_mut(*offset as usize..)?.first_chunk_mut()?;
        *field = value.to_le_bytes();
    }
    fields.extend(constants.into_iter().map(|field| (field, 0)));
    fields.sort_unstable_by_key(|(field, _)| field.offset);
    Some((code, fields))
}

/// Which accesses of the `VMContext` are reads of placeholders.
pub(super) struct Reads<'u> {
    /// Where the first placeholder lies: those of a function are behind it, two for each
    /// of its distinct constants, for either type one.
    pub(super) first_at: u32,
    pub(super) uses: &'u [ConstantUse],
}

impl Reads<'_> {
    /// The distance from one placeholder to the next, in bytes.
    const STRIDE: u32 = 16;

    fn end(&self) -> u32 {
        self.first_at + 2 * CONSTANTS_MAX as u32 * Self::STRIDE
    }

    fn contain(&self, site: &Site) -> bool {
        site.base == Base::VmContext && (self.first_at..self.end()).contains(&site.displacement)
    }

    /// The read that a site is, if it is one of the function's placeholders.
    fn of(&self, site: &Site, piece: &Piece) -> Option<Read> {
        let distance = site.displacement - self.first_at;
        let placeholder = distance / Self::STRIDE;
        let (ordinal, is_wide) = (placeholder / 2, placeholder % 2 == 1);
        let ty = if is_wide { ConstantType::I64 } else { ConstantType::I32 };
        let is_used = self.uses.iter().any(|used| used.ordinal == ordinal && used.ty == ty);
        let number = NumberIndex(piece.layout.parameter_count() + ordinal);
        let bytes = if is_wide { 8 } else { 4 };
        (distance.is_multiple_of(Self::STRIDE) && is_used).then_some(Read {
            site: *site,
            number,
            bytes,
        })
    }
}

fn sites(function: &CompiledFunction, piece: &Piece, backend: &Backend) -> Option<Vec<Site>> {
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
    (backend.finder?.find)(&code).ok()
}

fn layout_fields(
    sites: &[Site],
    piece: &Piece,
    backend: &Backend,
) -> Option<Vec<(StencilField, u32)>> {
    // In front of these lies what every module has.
    let entities = u32::from(backend.isa.pointer_bytes().vmctx_dynamic_data_start());
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
