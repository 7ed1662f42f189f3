//! A function's name -> where it starts in a committed image.

use crate::parameters::ExternalName;

/// Sorted by name.
#[derive(Clone, Debug)]
pub(super) struct Offsets(Box<[(ExternalName, u32)]>);

impl Offsets {
    /// From pairs in order of their names.
    pub(super) fn new(sorted: impl Iterator<Item = (ExternalName, u32)>) -> Self {
        Self(sorted.collect())
    }

    pub(super) fn get(&self, name: ExternalName) -> Option<usize> {
        let index = self.0.binary_search_by_key(&name, |&(name, _)| name).ok()?;
        self.0.get(index).map(|&(_, offset)| offset as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ExternalName, usize)> {
        self.0.iter().map(|&(name, offset)| (name, offset as usize))
    }
}

/// The bytes of an image for one address, not mapped.
#[derive(Clone, Debug)]
pub struct ImageBytes {
    pub(super) bytes: Vec<u8>,
    pub(super) offsets: Offsets,
}

impl ImageBytes {
    /// All of the code, with what stands between the functions.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, taken.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Byte offset of a function.
    pub fn offset_of(&self, name: ExternalName) -> Option<usize> {
        self.offsets.get(name)
    }

    /// The functions and their byte offsets, by name.
    pub fn functions(&self) -> impl Iterator<Item = (ExternalName, usize)> {
        self.offsets.iter()
    }
}
