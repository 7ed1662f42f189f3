//! One kind of entity -> numbers in order of first use, and one definition each.

use crate::function_stencil::StencilWriter;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;

/// No number yet.
pub(super) const UNNUMBERED: u32 = u32::MAX;

/// A function's handles, each with the number that it has in the stencil.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<u32>);

impl Numbers {
    /// Forgets all numbers; `len` handles have none yet.
    pub(super) fn clear(&mut self, len: usize) {
        self.0.clear();
        self.0.resize(len, UNNUMBERED);
    }

    /// The number of a handle, if it has one.
    #[inline]
    pub(super) fn get(&self, handle: usize) -> Option<u32> {
        self.0.get(handle).copied().filter(|number| *number != UNNUMBERED)
    }

    /// Gives a handle its number.
    #[inline]
    pub(super) fn set(&mut self, handle: usize, number: u32) {
        if self.0.len() <= handle {
            self.0.resize(handle + 1, UNNUMBERED);
        }
        self.0[handle] = number;
    }
}

/// Definitions by number. Equal definitions share a number if they are
/// [defined](Self::define), not [pushed](Self::push).
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) numbers: Numbers,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    by_hash: FxHashMap<u64, u32>,
}

impl Table {
    pub(super) fn clear(&mut self) {
        self.numbers.clear(0);
        self.bytes.clear();
        self.ends.clear();
        self.by_hash.clear();
    }

    pub(super) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    fn definition(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }

    /// The next number, for this definition alone.
    pub(super) fn push(&mut self, definition: &[u8]) -> u32 {
        self.bytes.extend_from_slice(definition);
        self.ends.push(self.bytes.len());
        self.len() - 1
    }

    /// Gives a handle the number of its definition.
    pub(super) fn define(&mut self, handle: usize, definition: &[u8]) -> u32 {
        let number = self.intern(definition);
        self.numbers.set(handle, number);
        number
    }

    /// The number of this definition; the next one if it is new.
    fn intern(&mut self, definition: &[u8]) -> u32 {
        let mut hasher = FxHasher::default();
        hasher.write(definition);
        let mut hash = hasher.finish();
        loop {
            match self.by_hash.get(&hash) {
                Some(&number) if self.definition(number) == definition => return number,
                // Two definitions with one hash: the second takes the next.
                Some(_) => hash = hash.wrapping_add(1),
                None => break,
            }
        }
        let number = self.push(definition);
        self.by_hash.insert(hash, number);
        number
    }

    /// The number of definitions, then each.
    pub(super) fn write(&self, stencil: &mut StencilWriter) {
        stencil.uleb(self.ends.len() as u64);
        stencil.raw(&self.bytes);
    }
}
