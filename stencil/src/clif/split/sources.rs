//! Source locations -> ordinals in order of first use.
//!
//! Code generation compares locations with one another and with "none", and
//! does nothing else with them: which instructions share one is in the stencil,
//! what it is in the parameters. So a function hits whether it has moved as a
//! whole or a comment has grown inside it.

use crate::clif::NO_LOCATION;
use crate::parameters::SourceLocations;
use cranelift_codegen::ir::{RelSourceLoc, SourceLoc};
use rustc_hash::FxHashMap;

#[derive(Debug, Default)]
pub(super) struct Sources {
    base: SourceLoc,
    locations: SourceLocations,
    ordinals: FxHashMap<u32, u32>,
    /// The location of the instruction before.
    last: (RelSourceLoc, u32),
}

/// An instruction's location as the stencil has it.
pub(super) enum Source {
    /// That of the instruction before.
    Same,
    /// One that no instruction before has.
    New,
    /// One that an earlier instruction has.
    Earlier(u32),
}

impl Sources {
    pub(super) fn clear(&mut self, base: SourceLoc) {
        self.base = base;
        self.locations = SourceLocations::starting_at(SourceLoc::default().bits(), 0);
        self.ordinals.clear();
        self.last = (RelSourceLoc::default(), NO_LOCATION);
    }

    #[inline]
    pub(super) fn next(&mut self, location: RelSourceLoc) -> Source {
        if location == self.last.0 {
            return Source::Same;
        }
        let absolute = location.expand(self.base);
        let ordinal = if absolute.is_default() {
            NO_LOCATION
        } else {
            let new = self.locations.len();
            let ordinal = *self.ordinals.entry(absolute.bits()).or_insert(new);
            if ordinal == new {
                self.locations.push(absolute.bits());
                self.last = (location, ordinal);
                return Source::New;
            }
            ordinal
        };
        let same = ordinal == self.last.1;
        self.last = (location, ordinal);
        if same { Source::Same } else { Source::Earlier(ordinal) }
    }

    pub(super) fn take(&mut self) -> SourceLocations {
        std::mem::take(&mut self.locations)
    }
}
