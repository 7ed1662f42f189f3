//! Stencil + [`Fingerprint`] -> [`CacheKey`].
//!
//! Invariant: the key is SHA-256 over `fingerprint (32 bytes) || kind (1 byte)
//! || stencil bytes`. The fingerprint covers this crate's
//! [`crate::entry::FORMAT_VERSION`], so a change of format is a change of key.

use crate::function_stencil::StencilKind;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The content hash under which compiled code is kept: 32 bytes, in text 64
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey([u8; 32]);

/// A hash over everything that all functions of one configuration have in
/// common: compiler versions, target, flags, our own format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl CacheKey {
    /// A key's size in bytes.
    pub const LEN: usize = 32;

    /// A key from its 32 bytes, as read from a store or a socket.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn of(fingerprint: &Fingerprint, kind: StencilKind, stencil: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(fingerprint.0);
        hash.update([kind as u8]);
        hash.update(stencil);
        Self(hash.finalize().into())
    }

    /// The key of the same stencil with the parameters' numbers in it, for code that
    /// knows them in a way that is not understood.
    pub fn with_numbers(&self, numbers: &[u32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        // In the place of a stencil's kind.
        hash.update([0]);
        for number in numbers {
            hash.update(number.to_le_bytes());
        }
        Self(hash.finalize().into())
    }
}

impl Fingerprint {
    /// A fingerprint from its 32 bytes, as read from a socket.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fingerprint from labelled parts. Each label and each value is hashed
    /// with its length, so that no two lists of parts can be confused.
    pub fn of<'a>(parts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(b"stencil format");
        part(&crate::entry::FORMAT_VERSION.to_le_bytes());
        for (label, value) in parts {
            part(label.as_bytes());
            part(value);
        }
        Self(hash.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 hexadecimal digits, enough to tell configurations apart.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(16);
        text
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is not a [`CacheKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cache key is 64 hexadecimal digits")]
pub struct NotACacheKey;

impl FromStr for CacheKey {
    type Err = NotACacheKey;

    fn from_str(text: &str) -> Result<Self, NotACacheKey> {
        let mut bytes = [0; Self::LEN];
        if text.len() != 2 * Self::LEN || !text.is_ascii() {
            return Err(NotACacheKey);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotACacheKey)?;
            if digits.starts_with('+') {
                return Err(NotACacheKey);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotACacheKey)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text() {
        let fingerprint = Fingerprint::of([]);
        let key = CacheKey::of(&fingerprint, StencilKind::WasmFunction, b"body");
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("ff".parse::<CacheKey>(), Err(NotACacheKey));
        assert_eq!(format!("+{}", &key.to_string()[1..]).parse::<CacheKey>(), Err(NotACacheKey));
    }

    #[test]
    fn kind_stencil_and_fingerprint_each_change_the_key() {
        let fingerprint = Fingerprint::of([]);
        let key = CacheKey::of(&fingerprint, StencilKind::WasmFunction, b"body");
        assert_eq!(key, CacheKey::of(&fingerprint, StencilKind::WasmFunction, b"body"));
        assert_ne!(key, CacheKey::of(&fingerprint, StencilKind::ArrayToWasm, b"body"));
        assert_ne!(key, CacheKey::of(&fingerprint, StencilKind::WasmFunction, b"bodz"));
        let other = Fingerprint::of([("flag", &b"1"[..])]);
        assert_ne!(key, CacheKey::of(&other, StencilKind::WasmFunction, b"body"));
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_fingerprint() {
        let one = Fingerprint::of([("ab", &b"c"[..])]);
        let two = Fingerprint::of([("a", &b"bc"[..])]);
        assert_ne!(one, two);
    }
}
