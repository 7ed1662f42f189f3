//! Targets that are far away, or named by a literal -> their veneers in the image.
//!
//! ```text
//! 0  jump to the address in bytes 8 to 16   where calls go that do not reach
//! 8  the address                            the literal (an entry of a "GOT")
//! ```
//!
//! One for each target, shared by all who refer to it, for as long as there are
//! any. Whether a target is out of reach shows only when the image has an
//! address, and then it is too late to make room: each target of calls outside
//! of the image has a veneer, used or not.

use crate::image::field::Field;
use crate::image::patch::{Patch, Place, Site};
use crate::image::slots::End;
use crate::image::text::{Slot, Text};
use crate::image::{Architecture, ImageError};
use crate::parameters::ExternalName;
use std::collections::BTreeMap;

const LITERAL_AT: i64 = 8;
const VENEER_BYTES: usize = 16;

/// What an address is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Anchor {
    Name(ExternalName),
    Address(u64),
}

/// Whose veneer: an anchor, and the distance in bytes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct VeneerTarget {
    pub(super) anchor: Anchor,
    pub(super) addend: i128,
}

#[derive(Clone, Copy, Debug)]
struct Veneer {
    slot: Slot,
    users: u32,
    to: Place,
    /// The relocation that was resolved last.
    site: Site,
}

#[derive(Clone, Debug)]
pub(super) struct Veneers {
    jump: [u8; 8],
    veneers: BTreeMap<VeneerTarget, Veneer>,
}

impl Veneers {
    pub(super) fn new(architecture: Architecture) -> Self {
        Self { jump: architecture.jump_to_literal(), veneers: BTreeMap::new() }
    }

    /// One more function uses the veneer of a target, whose anchor is at `to`.
    pub(super) fn acquire(
        &mut self,
        text: &mut Text,
        target: VeneerTarget,
        to: Place,
        site: Site,
    ) -> Result<(), ImageError> {
        if let Some(veneer) = self.veneers.get_mut(&target) {
            (veneer.to, veneer.site) = (to, site);
            veneer.users += 1;
            return Ok(());
        }
        let mut code = [0; VENEER_BYTES];
        code[..self.jump.len()].copy_from_slice(&self.jump);
        let slot = text.place(&code, 1, End::Back)?;
        self.veneers.insert(target, Veneer { slot, users: 1, to, site });
        Ok(())
    }

    /// One function less uses it.
    pub(super) fn release(&mut self, text: &mut Text, target: &VeneerTarget) {
        let Some(veneer) = self.veneers.get_mut(target) else { return };
        veneer.users -= 1;
        if veneer.users == 0 {
            text.free(veneer.slot);
            self.veneers.remove(target);
        }
    }

    /// Position of a veneer's jump.
    pub(super) fn jump_of(&self, target: &VeneerTarget) -> Option<i64> {
        Some(self.veneers.get(target)?.slot.at)
    }

    /// Position of a veneer's literal.
    pub(super) fn literal_of(&self, target: &VeneerTarget) -> Option<i64> {
        Some(self.jump_of(target)? + LITERAL_AT)
    }

    /// The addresses to be written into the literals.
    pub(super) fn literals(&self) -> impl Iterator<Item = Patch> {
        self.veneers.iter().map(|(target, veneer)| Patch {
            site: veneer.site,
            field: Field::Absolute64,
            at: veneer.slot.at + LITERAL_AT,
            to: veneer.to,
            addend: target.addend,
            detour: None,
        })
    }
}
