//! What may differ between two functions that share a stencil.
//!
//! Invariant: nothing in here is hashed and nothing in here reaches code
//! generation as anything but a name, a source location, the displacement of an access
//! or a constant that it does not know.

use crate::packed;

/// The place of a callee in [`FunctionParameters::callees`]: its order of first
/// use in the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalleeIndex(pub u32);

/// The place of a number in [`FunctionParameters::numbers`]: its order of first use
/// in the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberIndex(pub u32);

/// The place of a source location in a function: 0 is its start, the next ones
/// are its local declarations and its operators, in the order of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceOrdinal(pub u32);

/// A function's name in the terms of the compiler that made it: the two halves
/// of Cranelift's `UserExternalName` (Wasmtime's `FuncKey` in raw parts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalName {
    /// The kind of function and its module.
    pub namespace: u32,
    /// Its index there.
    pub index: u32,
}

/// The second half of a split function; applied by [`crate::finalize`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionParameters {
    /// Who is called, in order of first use, each name once.
    pub callees: Vec<ExternalName>,
    /// What the code holds as plain numbers, in order of first use: where what the
    /// function uses lies in its module's runtime structures, a distance in bytes from
    /// the structure's start; and values of constants. Behind them may be what only code
    /// knows that is kept for these numbers alone ([`CacheKey::with_numbers`]).
    ///
    /// [`CacheKey::with_numbers`]: crate::CacheKey::with_numbers
    pub numbers: Vec<u32>,
    /// Where each operator stands in the input.
    pub source: SourceLocations,
    /// What only functions of Cranelift's other front ends have.
    pub clif: ClifParameters,
}

/// A function's own numbers for what a stencil numbers in order of first use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClifParameters {
    /// The function's own name; none if it has one of Cranelift's test cases'.
    pub name: Option<ExternalName>,
    /// The `UserExternalNameRef` of each callee.
    pub callee_refs: Vec<u32>,
    /// The `StackSlot` of each of the stencil's stack slots.
    pub stack_slots: Vec<u32>,
}

/// Byte offsets in the input of a function's start, its local declarations and
/// its operators; about one byte of memory each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLocations {
    base: u32,
    last: u32,
    steps: Vec<u8>,
    count: u32,
}

impl SourceLocations {
    /// Distances of this many bytes and more do not fit into one step.
    const WIDE: u8 = u8::MAX;

    /// Locations that start at `base`, the byte offset of the function's body.
    /// `base` itself is [`SourceOrdinal`] 0.
    pub fn starting_at(base: u32, capacity: usize) -> Self {
        Self { base, last: base, steps: Vec::with_capacity(capacity), count: 1 }
    }

    /// Adds the next location. Offsets never decrease.
    #[inline]
    pub fn push(&mut self, offset: u32) {
        let step = offset.wrapping_sub(self.last);
        self.last = offset;
        self.count += 1;
        if step < u32::from(Self::WIDE) {
            self.steps.push(step as u8);
        } else {
            self.steps.push(Self::WIDE);
            self.steps.extend_from_slice(&step.to_le_bytes());
        }
    }

    /// How many locations there are; 0 for code that has none at all.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are no locations at all, as in a trampoline.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The byte offset of ordinal 0.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// Gives back memory that was reserved and not needed.
    pub fn shrink_to_fit(&mut self) {
        self.steps.shrink_to_fit();
    }

    /// Writes the byte offset of every ordinal into `offsets`, which is emptied
    /// first: `offsets[ordinal]` is where that ordinal stands in the input.
    pub fn expand_into(&self, offsets: &mut Vec<u32>) {
        offsets.clear();
        if self.is_empty() {
            return;
        }
        offsets.reserve(self.count as usize);
        let mut at = self.base;
        offsets.push(at);
        let mut steps = self.steps.as_slice();
        while let Some((&step, rest)) = steps.split_first() {
            steps = rest;
            let step = if step == Self::WIDE {
                packed::take_u32(&mut steps).unwrap_or(0)
            } else {
                u32::from(step)
            };
            at = at.wrapping_add(step);
            offsets.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_locations_come_back_as_they_were_pushed() {
        let pushed = [7u32, 8, 9, 9 + 254, 9 + 254 + 255, 70_000, 1 << 30];
        let mut source = SourceLocations::starting_at(pushed[0], 0);
        for offset in &pushed[1..] {
            source.push(*offset);
        }
        let mut offsets = vec![1, 2, 3];
        source.expand_into(&mut offsets);
        assert_eq!(offsets, pushed);
        assert_eq!(source.len() as usize, pushed.len());
    }
}
