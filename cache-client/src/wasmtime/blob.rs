//! Wasmtime's blob <-> a sealed entry whose code it is.
//!
//! The blob is postcard of Cranelift's `CachedFunc`: Cranelift's version as a
//! string (its length as a varint, then its bytes), then the compiled code.
//!
//! Invariant: a blob is handed to Wasmtime only if its entry is whole, echoes
//! the key that was asked for, and the blob is of this Cranelift.

use super::stats::PluginMiss;
use stencil::{CacheKey, EntryBytes, EntryError, MissReason, StencilBuilder, entry};

/// Recognises this Cranelift's blobs.
#[derive(Debug)]
pub(super) struct BlobVersion {
    /// How each of them starts.
    start: Vec<u8>,
}

impl BlobVersion {
    /// The version of the Cranelift that is linked in.
    pub(super) fn own() -> Self {
        Self::of(cranelift_codegen::VERSION)
    }

    fn of(version: &str) -> Self {
        let mut start = Vec::with_capacity(version.len() + 2);
        let mut len = version.len();
        while len >= 0x80 {
            start.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        start.push(len as u8);
        start.extend_from_slice(version.as_bytes());
        Self { start }
    }

    /// Whether a blob is of this version.
    pub(super) fn is_of(&self, blob: &[u8]) -> bool {
        blob.starts_with(&self.start)
    }

    /// The blob of an entry that a store gave for `key`.
    pub(super) fn open<'e>(&self, key: &CacheKey, bytes: &'e [u8]) -> Result<&'e [u8], PluginMiss> {
        let blob = open(key, bytes).map_err(PluginMiss::Store)?;
        if self.is_of(blob) { Ok(blob) } else { Err(PluginMiss::OtherVersion) }
    }
}

/// The entry of some bytes.
pub(super) fn seal(key: &CacheKey, blob: Vec<u8>) -> Result<EntryBytes, EntryError> {
    entry::seal(key, &StencilBuilder::new(blob, 1, 0, 0))
}

/// The bytes of an entry that a store gave for `key`.
pub(super) fn open<'e>(key: &CacheKey, bytes: &'e [u8]) -> Result<&'e [u8], MissReason> {
    match entry::open(key, bytes) {
        Ok(stencil) => Ok(stencil.code()),
        Err(error) => Err(MissReason::from(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CacheKey = CacheKey::from_bytes([7; 32]);

    #[track_caller]
    fn check(blob: &[u8], expected: Result<&[u8], PluginMiss>) {
        let sealed = seal(&KEY, blob.to_vec()).unwrap();
        assert_eq!(BlobVersion::of("0.135.8").open(&KEY, &sealed), expected);
    }

    #[test]
    fn a_blob_of_another_version_is_not_handed_out() {
        check(b"\x070.135.8rest", Ok(b"\x070.135.8rest"));
        check(b"\x070.135.9rest", Err(PluginMiss::OtherVersion));
        check(b"\x110.135.8-0123456789rest", Err(PluginMiss::OtherVersion));
        check(b"\x07", Err(PluginMiss::OtherVersion));
    }

    #[test]
    fn a_damaged_or_foreign_entry_is_not_handed_out() {
        let sealed = seal(&KEY, b"blob".to_vec()).unwrap();
        assert_eq!(open(&KEY, &sealed), Ok(&b"blob"[..]));
        let mut damaged = sealed.to_vec();
        damaged[64] ^= 1;
        assert_eq!(open(&KEY, &damaged), Err(MissReason::Checksum));
        let other = CacheKey::from_bytes([8; 32]);
        assert_eq!(open(&other, &sealed), Err(MissReason::WrongKey));
    }

    #[test]
    fn a_long_version_has_its_length_in_two_bytes() {
        let version = BlobVersion::of(&"v".repeat(300));
        assert_eq!(version.start[..3], [0xac, 0x02, b'v']);
    }
}
