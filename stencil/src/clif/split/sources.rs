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
    /// Locations and their ordinals while each was above all before it, which
    /// in most functions is until the end.
    ascending: Vec<(u32, u32)>,
    others: FxHashMap<u32, u32>,
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
        self.ascending.clear();
        self.others.clear();
        self.last = (RelSourceLoc::default(), NO_LOCATION);
    }

    #[inline]
    pub(super) fn next(&mut self, location: RelSourceLoc) -> Source {
        if location == self.last.0 {
            return Source::Same;
        }
        let absolute = location.expand(self.base);
        let earlier =
            if absolute.is_default() { Some(NO_LOCATION) } else { self.ordinal(absolute.bits()) };
        let ordinal = earlier.unwrap_or_else(|| {
            self.locations.push(absolute.bits());
            self.locations.len() - 1
        });
        let same = ordinal == self.last.1;
        self.last = (location, ordinal);
        match earlier {
            None => Source::New,
            Some(_) if same => Source::Same,
            Some(ordinal) => Source::Earlier(ordinal),
        }
    }

    /// The ordinal of a location that an earlier instruction has; the next one is
    /// remembered for it if none has.
    #[inline]
    fn ordinal(&mut self, location: u32) -> Option<u32> {
        let new = self.locations.len();
        match self.ascending.last() {
            Some((highest, _)) if *highest >= location => {
                match self.ascending.binary_search_by_key(&location, |(known, _)| *known) {
                    Ok(at) => Some(self.ascending[at].1),
                    Err(_) => {
                        let ordinal = *self.others.entry(location).or_insert(new);
                        (ordinal != new).then_some(ordinal)
                    }
                }
            }
            _ => {
                self.ascending.push((location, new));
                None
            }
        }
    }

    pub(super) fn take(&mut self) -> SourceLocations {
        std::mem::take(&mut self.locations)
    }
}
