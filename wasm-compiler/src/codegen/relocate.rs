//! A compiled function -> which fields of its code hold its module's layout; of code with
//! placeholders, the code with constants in their place, and which fields hold those.
//!
//! Invariant: what is said to be a field has been found in the code, belongs to one
//! of the parameters, and filled in again gives the code that was compiled.
//! Anything else is no answer, and the numbers stay in the key.

use super::sites::{Base, Code, Difference, Landing, Read, Site, Word};
use crate::compiler::Backend;
use crate::pieces::Piece;
use crate::split::{ConstantType, Uses};
use stencil::compiled::{StencilField, StencilHandler};
use stencil::finalize::finalize;
use stencil::{CacheKey, NumberIndex, entry};
use wasmtime_environ::PtrSize as _;
use wasmtime_internal_cranelift::CompiledFunction;

/// Fields, each with what it holds beyond its number.
pub(super) type Fields = Vec<(StencilField, u32)>;

/// The fields of a piece's code, each with what it holds beyond its parameter;
/// `None` if an access of the module's runtime structures is not understood.
pub(super) fn fields(
    function: &CompiledFunction,
    piece: &Piece,
    backend: &Backend,
) -> Option<Fields> {
    layout_fields(&sites(function, piece, backend)?, piece, backend)
}

/// The same for code with placeholders: the code with this piece's numbers in their
/// place, and all its fields; given are its sites, and the fields that hold offsets of accesses.
pub(super) fn plugged(
    function: &CompiledFunction,
    (sites, mut fields): (&[Site], Fields),
    piece: &Piece,
    reads: &Reads<'_>,
    backend: &Backend,
) -> Option<(Vec<u8>, Fields)> {
    let (placeholders, others): (Vec<Site>, Vec<Site>) =
        sites.iter().partition(|site| reads.contain(site));
    let layout = layout_fields(&others, piece, backend)?;
    let found = placeholders.iter().map(|site| reads.of(site, piece));
    let found: Vec<Read> = found.collect::<Option<_>>()?;
    let mut code = function.buffer.data().to_vec();
    let constants = backend.finder?.plug(&mut code, &found).ok()?;
    // What has been found before it has to be there still. No instruction is known in which an
    // offset stands behind a placeholder, whose address may get shorter.
    let original = function.buffer.data();
    for (StencilField { offset, .. }, _) in &fields {
        let field = *offset as usize..*offset as usize + Word::BYTES as usize;
        if code.get(field.clone())? != original.get(field)? {
            return None;
        }
    }
    fields.extend(constants.into_iter().map(|field| (field, 0)));
    for (StencilField { offset, kind, number: NumberIndex(number) }, addend) in &fields {
        let value = piece.parameters.numbers.get(*number as usize)?.checked_add(*addend)?;
        kind.write(&mut code, *offset, value);
    }
    fields.extend(layout);
    fields.sort_unstable_by_key(|(field, _)| field.offset);
    Some((code, fields))
}

/// Which accesses of the `VMContext` are reads of placeholders.
pub(super) struct Reads<'u> {
    /// Where the first placeholder lies: those of a function are behind it, two for each
    /// of its distinct constants, for either type one.
    pub(super) first_at: u32,
    /// For how many constants there are placeholders.
    pub(super) count: u32,
    pub(super) uses: &'u Uses,
}

impl Reads<'_> {
    /// The distance from one placeholder to the next, in bytes.
    const STRIDE: u32 = 16;

    /// By how many bytes the placeholders of one code and another are apart.
    const SHIFT: u32 = 2 * Self::STRIDE;

    /// Whether two codes differ as in the placeholders that they read.
    pub(super) fn differ_by(difference: &Difference) -> bool {
        difference.other.wrapping_sub(difference.one) == Self::SHIFT
    }

    fn end(&self) -> u32 {
        self.first_at + 2 * self.count * Self::STRIDE
    }

    pub(super) fn contain(&self, site: &Site) -> bool {
        site.base == Base::VmContext && (self.first_at..self.end()).contains(&site.displacement)
    }

    /// Which placeholder a site is a read of.
    pub(super) fn placeholder(&self, site: &Site) -> Option<(u32, ConstantType)> {
        let distance = site.displacement.checked_sub(self.first_at)?;
        let placeholder = distance / Self::STRIDE;
        let ty = match placeholder % 2 {
            0 => ConstantType::I32,
            _ => ConstantType::I64,
        };
        distance.is_multiple_of(Self::STRIDE).then_some((placeholder / 2, ty))
    }

    /// Which of the piece's numbers one of its distinct offsets is.
    pub(super) fn number_of_offset(&self, ordinal: u32, piece: &Piece) -> NumberIndex {
        NumberIndex(piece.layout.parameter_count() + self.uses.distinct_constants + ordinal)
    }

    /// The read that a site is, if it is one of the function's placeholders.
    fn of(&self, site: &Site, piece: &Piece) -> Option<Read> {
        let (ordinal, ty) = self.placeholder(site)?;
        let mut uses = self.uses.constants.iter();
        let is_used = uses.any(|used| used.ordinal == ordinal && used.ty == ty);
        let number = NumberIndex(piece.layout.parameter_count() + ordinal);
        is_used.then_some(Read { site: *site, number, bytes: ty.bytes() })
    }
}

/// Where a piece's code holds the layout, in ascending order of offset; `None` if that is not
/// understood.
pub(super) fn sites(
    function: &CompiledFunction,
    piece: &Piece,
    backend: &Backend,
) -> Option<Vec<Site>> {
    // Calls that keep all registers are not among those that are followed.
    let keeps_registers = function.buffer.patchable_call_sites().next().is_some();
    if keeps_registers || piece.layout.is_opaque() {
        return None;
    }
    with_code(function, backend, |code| backend.finder?.find(code).ok())
}

/// Has something done to a function's code.
pub(super) fn with_code<T>(
    function: &CompiledFunction,
    backend: &Backend,
    with: impl FnOnce(&Code<'_>) -> T,
) -> T {
    let relocated: Vec<u32> = function.relocations().map(|relocation| relocation.offset).collect();
    let landings: Vec<Landing> = landings(function);
    let pointer = backend.isa.pointer_bytes();
    let code = Code {
        bytes: function.buffer.data(),
        relocated: &relocated,
        landings: &landings,
        type_ids_at: u32::from(pointer.vmctx_type_ids_array()),
    };
    with(&code)
}

/// Whether an access of the `VMContext` is one of an entity; in front of those lies what
/// every module has.
pub(super) fn is_entity(site: &Site, backend: &Backend) -> bool {
    site.displacement >= u32::from(backend.isa.pointer_bytes().vmctx_dynamic_data_start())
}

fn layout_fields(sites: &[Site], piece: &Piece, backend: &Backend) -> Option<Fields> {
    let own = sites.iter().filter(|site| site.base != Base::VmContext || is_entity(site, backend));
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
