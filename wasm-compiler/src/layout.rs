//! Where a function's entities lie in its module's runtime structures -> what of
//! it is in the key, and what is a parameter.
//!
//! In the code such a number is the displacement of an access, and x86-64 has two
//! encodings for those: one byte below 128, four bytes from there on. Which of the
//! two is meant is in the key, since it decides the code's length; the number is a
//! parameter. On targets whose code is not understood the number itself is in the
//! key.
//!
//! Invariant: numbers of different entities do not overlap, so an access belongs
//! to one of them.

use crate::codegen::sites::{Base, Site};
use stencil::compiled::{FieldKind, StencilField};
use stencil::{NumberIndex, StencilWriter};

/// How a number is written into the key, in front of what follows for it.
const IN_KEY: u8 = 0;
const BYTE: u8 = 1;
const WORD: u8 = 2;
const STRADDLES: u8 = 3;

/// What a function's code may know of its module's layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    spans: Vec<Span>,
    parameters: u32,
    entities: u32,
    /// No site of the code is to be believed.
    opaque: bool,
}

/// Bytes of an entity in one of the structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// The entities are counted.
    entity: u32,
    base: Base,
    start: u32,
    len: u32,
    /// Which parameter `start` is; none if it is in the key.
    parameter: Option<(NumberIndex, FieldKind)>,
}

impl Span {
    /// Whether a site accesses it.
    fn holds(&self, site: &Site) -> bool {
        self.base == site.base
            && self.start <= site.displacement
            && site.displacement - self.start < self.len
    }
}

/// An access that belongs to no entity of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

impl Layout {
    /// Adds an entity, given by the spans (base, start, length) that it has, to the
    /// layout, and its share to the key. `relocatable` if the target's code is
    /// understood.
    pub(crate) fn add(
        &mut self,
        out: &mut StencilWriter,
        values: &mut Vec<u32>,
        entity: &[(Base, u32, u32)],
        relocatable: bool,
    ) {
        for span in entity {
            self.add_span(out, values, *span, relocatable);
        }
        self.entities += 1;
    }

    fn add_span(
        &mut self,
        out: &mut StencilWriter,
        values: &mut Vec<u32>,
        (base, start, len): (Base, u32, u32),
        relocatable: bool,
    ) {
        let byte = FieldKind::Byte.limit();
        let end = start.saturating_add(len);
        // A displacement of 0 has no field.
        if !relocatable || start == 0 || end > FieldKind::Word.limit() {
            out.u8(IN_KEY);
            out.u32(start);
            let entity = self.entities;
            self.spans.push(Span { entity, base, start, len, parameter: None });
            return;
        }
        let mut parameter = |start, len, kind| {
            let index = NumberIndex(self.parameters);
            self.parameters += 1;
            let parameter = Some((index, kind));
            self.spans.push(Span { entity: self.entities, base, start, len, parameter });
            values.push(start);
        };
        if end <= byte {
            out.u8(BYTE);
            parameter(start, len, FieldKind::Byte);
        } else if start >= byte {
            out.u8(WORD);
            parameter(start, len, FieldKind::Word);
        } else {
            out.u8(STRADDLES);
            out.u32(byte - start);
            parameter(start, byte - start, FieldKind::Byte);
            parameter(byte, end - byte, FieldKind::Word);
        }
    }

    /// Adds an entity that the key holds anyway.
    pub(crate) fn add_known(&mut self, (base, start, len): (Base, u32, u32)) {
        self.spans.push(Span { entity: self.entities, base, start, len, parameter: None });
        self.entities += 1;
    }

    /// Says that the code is of a kind that is not understood.
    pub(crate) fn make_opaque(&mut self) {
        self.opaque = true;
    }

    /// Whether it is.
    pub(crate) fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// How many parameters there are.
    pub(crate) fn parameter_count(&self) -> u32 {
        self.parameters
    }

    /// The field that a site is, with what it adds to the parameter; `None` if what
    /// it holds is in the key.
    pub(crate) fn field(&self, site: &Site) -> Result<Option<(StencilField, u32)>, Foreign> {
        let Site { at: offset, width, base: _, displacement, instruction: _ } = *site;
        let span = self.spans.iter().find(|span| span.holds(site)).ok_or(Foreign)?;
        let Some((layout, kind)) = span.parameter else { return Ok(None) };
        if u32::from(width) != kind.width() {
            return Err(Foreign);
        }
        Ok(Some((StencilField { offset, kind, number: layout }, displacement - span.start)))
    }

    /// The displacement here of what a site accesses in a module with another layout for
    /// the same key.
    pub(crate) fn counterpart(&self, other: &Self, site: &Site) -> Option<u32> {
        let at = other.spans.iter().position(|span| span.holds(site))?;
        let (theirs, ours) = (other.spans[at], self.spans.get(at)?);
        Some(ours.start + (site.displacement - theirs.start))
    }

    /// Whether every entity that is a parameter has been found in the code. One that
    /// has not may have been optimised away; or the wrong pointer was followed.
    pub(crate) fn is_complete(&self, fields: &[(StencilField, u32)]) -> bool {
        let mut found = vec![false; self.entities as usize];
        let mut of_parameter = vec![0; self.parameters as usize];
        for span in &self.spans {
            match span.parameter {
                Some((NumberIndex(parameter), _)) => {
                    of_parameter[parameter as usize] = span.entity as usize;
                }
                None => found[span.entity as usize] = true,
            }
        }
        for (StencilField { number: NumberIndex(parameter), .. }, _) in fields {
            found[of_parameter[*parameter as usize]] = true;
        }
        found.into_iter().all(|found| found)
    }
}
