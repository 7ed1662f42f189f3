//! Cache keys <-> the bytes of a request: 32 each, one after the other.

use crate::limits::KEYS_MAX;
use bytes::Bytes;
use stencil::CacheKey;

/// Bytes of one key.
pub const KEY_LEN: usize = 32;

/// Why a request's keys are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// Not a whole number of keys.
    #[error("keys has {got} bytes, which is not a multiple of {KEY_LEN}")]
    Length {
        /// The bytes found.
        got: usize,
    },
    /// Over [`KEYS_MAX`].
    #[error("keys has {got} keys, more than the limit of {KEYS_MAX}; split the request")]
    TooMany {
        /// The keys found.
        got: usize,
    },
}

/// The keys of a request.
pub fn encode<'a>(keys: impl ExactSizeIterator<Item = &'a CacheKey>) -> Bytes {
    let mut bytes = Vec::with_capacity(keys.len() * KEY_LEN);
    for key in keys {
        bytes.extend_from_slice(key.as_bytes());
    }
    bytes.into()
}

/// A request's keys.
///
/// # Errors
///
/// Any [`KeysError`].
pub fn decode(bytes: &[u8]) -> Result<Vec<CacheKey>, KeysError> {
    let (keys, rest) = bytes.as_chunks::<KEY_LEN>();
    if !rest.is_empty() {
        return Err(KeysError::Length { got: bytes.len() });
    }
    if keys.len() > KEYS_MAX {
        return Err(KeysError::TooMany { got: keys.len() });
    }
    Ok(keys.iter().map(|key| CacheKey::from_bytes(*key)).collect())
}

/// One key.
pub fn decode_one(bytes: &[u8]) -> Option<CacheKey> {
    bytes.try_into().ok().map(CacheKey::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let keys = [CacheKey::from_bytes([1; 32]), CacheKey::from_bytes([2; 32])];
        assert_eq!(decode(&encode(keys.iter())), Ok(keys.to_vec()));
        assert_eq!(decode(&[]), Ok(Vec::new()));
    }

    #[test]
    fn a_part_of_a_key_is_refused() {
        assert_eq!(decode(&[0; 33]), Err(KeysError::Length { got: 33 }));
        assert_eq!(decode_one(&[0; 31]), None);
    }

    #[test]
    fn the_limit_is_the_last_number_of_keys_allowed() {
        let bytes = vec![0; (KEYS_MAX + 1) * KEY_LEN];
        assert_eq!(decode(&bytes[KEY_LEN..]).unwrap().len(), KEYS_MAX);
        assert_eq!(decode(&bytes), Err(KeysError::TooMany { got: KEYS_MAX + 1 }));
    }
}
