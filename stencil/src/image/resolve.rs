//! What has changed since the last commit -> bytes that lack only an address.
//!
//! A reference from the image into the image by distance is the same wherever
//! the image lies, and is written once. What depends on the image's address is
//! kept with its function (`late`), and written for each commit.

use crate::image::field::{Access, Field, rule};
use crate::image::patch::{Patch, Place, Site};
use crate::image::veneers::{Anchor, VeneerTarget};
use crate::image::{CodeImage, FragmentRelocation, FragmentTarget, Function, ImageError};
use crate::parameters::ExternalName;
use std::collections::BTreeSet;

/// A relocation whose target's place is known.
struct Reference {
    site: Site,
    field: Field,
    access: Access,
    at: i64,
    /// Where the target's anchor is.
    to: Place,
    target: VeneerTarget,
    /// The instruction's part of the addend.
    instruction_addend: i128,
}

impl Reference {
    fn needs_veneer(&self) -> bool {
        match self.access {
            Access::Direct => false,
            Access::Call => matches!(self.to, Place::Outside(_)),
            Access::Literal => true,
        }
    }
}

impl CodeImage {
    /// Resolves all functions that have changed, or whose targets have.
    pub(super) fn settle(&mut self) -> Result<(), ImageError> {
        while let Some(name) = self.references.next_changed() {
            self.resolve(name)?;
            self.references.settled(name);
            self.resolved_functions += 1;
        }
        Ok(())
    }

    /// Writes what depends on the image's address: `origin` is that of
    /// position 0, `out` starts with the image's first page.
    pub(super) fn finish(&self, origin: i128, out: &mut [u8]) -> Result<(), ImageError> {
        self.text.copy_to(out);
        let start = self.text.slots().first_page();
        let late = self.functions.values().flat_map(|function| function.late.iter().copied());
        for patch in late.chain(self.veneers.literals()) {
            let index = usize::try_from(patch.at - start).unwrap_or(usize::MAX);
            patch.write(out.get_mut(index..).unwrap_or_default(), origin)?;
        }
        Ok(())
    }

    fn resolve(&mut self, name: ExternalName) -> Result<(), ImageError> {
        let Some(function) = self.functions.get(&name) else { return Ok(()) };
        let references = function.relocations.iter();
        let references = references
            .map(|relocation| self.reference(name, function, relocation))
            .collect::<Result<Vec<_>, _>>()?;
        self.keep_veneers(name, &references)?;
        let mut late = Vec::new();
        for reference in references {
            let patch = self.patch(reference);
            if patch.depends_on_base() {
                late.push(patch);
            } else {
                patch.write(self.text.from(patch.at), 0)?;
            }
        }
        if let Some(function) = self.functions.get_mut(&name) {
            function.late = late;
        }
        Ok(())
    }

    fn reference(
        &self,
        name: ExternalName,
        function: &Function,
        relocation: &FragmentRelocation,
    ) -> Result<Reference, ImageError> {
        let &FragmentRelocation { offset, kind, addend, target } = relocation;
        let architecture = self.architecture;
        let at = function.slot.at + i64::from(offset);
        let before = if offset == 0 { None } else { self.text.byte(at - 1) };
        let rule = rule(architecture, kind, before);
        let (field, access) = rule.ok_or(ImageError::UnsupportedRelocation {
            function: name,
            offset,
            kind,
            architecture,
        })?;
        let (anchor, inner) = match target {
            FragmentTarget::Function(target) => (Anchor::Name(target), 0),
            FragmentTarget::Own(offset) => (Anchor::Name(name), i128::from(offset)),
            FragmentTarget::Address(address) => (Anchor::Address(address), 0),
        };
        let to = match anchor {
            Anchor::Address(address) => Place::Outside(address),
            Anchor::Name(target) => self.place_of(target).ok_or(ImageError::Undefined {
                function: name,
                offset,
                target,
            })?,
        };
        let instruction_addend = access.instruction_addend(architecture, addend);
        Ok(Reference {
            site: Site { function: name, offset, kind },
            field,
            access,
            at,
            to,
            target: VeneerTarget {
                anchor,
                addend: inner + i128::from(addend) - instruction_addend,
            },
            instruction_addend,
        })
    }

    fn place_of(&self, name: ExternalName) -> Option<Place> {
        match self.functions.get(&name) {
            Some(function) => Some(Place::Image(function.slot.at)),
            None => self.symbols.get(&name).copied().map(Place::Outside),
        }
    }

    /// Takes the veneers that a function needs now, then gives back those that
    /// it had.
    fn keep_veneers(
        &mut self,
        name: ExternalName,
        references: &[Reference],
    ) -> Result<(), ImageError> {
        let mut needed = BTreeSet::new();
        for reference in references.iter().filter(|it| it.needs_veneer()) {
            let &Reference { target, to, site, .. } = reference;
            if !needed.insert(target) {
                continue;
            }
            if let Err(error) = self.veneers.acquire(&mut self.text, target, to, site) {
                needed.remove(&target);
                self.release_veneers(&needed);
                return Err(error);
            }
        }
        if let Some(function) = self.functions.get_mut(&name) {
            let had = std::mem::replace(&mut function.veneers, needed);
            self.release_veneers(&had);
        }
        Ok(())
    }

    pub(super) fn release_veneers(&mut self, targets: &BTreeSet<VeneerTarget>) {
        for target in targets {
            self.veneers.release(&mut self.text, target);
        }
    }

    fn patch(&self, reference: Reference) -> Patch {
        let Reference { site, field, access, at, to, target, instruction_addend } = reference;
        let direct = target.addend + instruction_addend;
        let patch = Patch { site, field, at, to, addend: direct, detour: None };
        match access {
            Access::Direct => patch,
            Access::Call => {
                let jump = self.veneers.jump_of(&target);
                Patch { detour: jump.map(|jump| i128::from(jump) + instruction_addend), ..patch }
            }
            Access::Literal => match self.veneers.literal_of(&target) {
                Some(literal) => {
                    Patch { to: Place::Image(literal), addend: instruction_addend, ..patch }
                }
                None => patch,
            },
        }
    }
}
