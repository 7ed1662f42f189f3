//! A resolved image -> executable memory that does not change any more.
//!
//! The only file of the image with unsafe code, and the only one that maps
//! memory: all else is bookkeeping on plain bytes.

use crate::image::{ImageError, Offsets};
use crate::parameters::ExternalName;
use memmap2::{Mmap, MmapMut};
use std::io;
use std::sync::Arc;
use wasmtime_internal_jit_icache_coherence as icache;

/// The image as it was at one [`commit`](crate::image::CodeImage::commit),
/// mapped readable and executable.
///
/// A handle: clones share the memory, which is unmapped when the last one is
/// dropped, and not before. Whoever runs its code, or keeps an address of it,
/// keeps a handle.
#[derive(Clone, Debug)]
pub struct Generation(Arc<Mapped>);

#[derive(Debug)]
struct Mapped {
    code: Mmap,
    offsets: Offsets,
}

impl Generation {
    /// `fill` writes the code for the address that it is given. The memory is
    /// writable until then and executable from then on; if `fill` fails, it
    /// never becomes executable.
    pub(super) fn map(
        bytes: usize,
        offsets: Offsets,
        fill: impl FnOnce(u64, &mut [u8]) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        let refused = |source| ImageError::Mapping { bytes, source };
        let mut writable = MmapMut::map_anon(bytes).map_err(refused)?;
        let base = writable.as_ptr().expose_provenance() as u64;
        fill(base, &mut writable)?;
        // SAFETY: pointer and length are those of a live mapping.
        unsafe { icache::clear_cache(writable.as_ptr().cast(), writable.len()) }
            .map_err(|error| refused(io::Error::other(error.to_string())))?;
        let code = writable.make_exec().map_err(refused)?;
        icache::pipeline_flush_mt()
            .map_err(|error| refused(io::Error::other(error.to_string())))?;
        Ok(Self(Arc::new(Mapped { code, offsets })))
    }

    /// Where a function starts. Valid for as long as a handle of this
    /// generation lives, whatever happens to the image.
    pub fn address_of(&self, name: ExternalName) -> Option<*const u8> {
        let offset = self.0.offsets.get(name)?;
        Some(self.0.code.get(offset..)?.as_ptr())
    }

    /// All of its code, with what stands between the functions.
    pub fn bytes(&self) -> &[u8] {
        &self.0.code
    }

    /// The functions and their byte offsets in [`bytes`](Self::bytes), by name.
    pub fn functions(&self) -> impl Iterator<Item = (ExternalName, usize)> {
        self.0.offsets.iter()
    }
}
