//! Two entries under one key -> the same, or a conflict.
//!
//! Invariant: entries are the same if they decode to the same bytes; how they
//! are compressed is no difference.

use crate::storage::Conflict;
use proto::Coded;
use proto::coding::Decoder;
use sha2::{Digest as _, Sha256};
use stencil::CacheKey;

/// The conflict between two entries, if they are not the same.
pub(crate) fn conflict(
    decoder: &mut Decoder,
    key: &CacheKey,
    stored: &Coded,
    offered: &Coded,
) -> Option<Conflict> {
    if stored == offered {
        return None;
    }
    // What does not decode is the same as nothing but itself.
    let mut decode = |coded| decoder.decode(coded).unwrap_or_else(|_| coded.data.clone());
    let (stored, offered) = (decode(stored), decode(offered));
    let sha256 = |entry| Sha256::digest(entry).into();
    (stored != offered).then(|| Conflict {
        key: *key,
        stored: sha256(&stored),
        offered: sha256(&offered),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proto::coding::Encoder;
    use proto::v1::Coding;

    #[test]
    fn another_compression_is_no_conflict_and_another_entry_is_one() {
        let key = CacheKey::from_bytes([1; 32]);
        let entry = Bytes::from(vec![7; 1000]);
        let zstd = Encoder::new().encode(&entry).unwrap();
        let raw = Coded { coding: Coding::Raw, entry_bytes: 1000, data: entry.clone() };
        let decoder = &mut Decoder::new();
        assert_eq!(conflict(decoder, &key, &zstd, &raw), None);
        let other = Coded { data: vec![8; 1000].into(), ..raw };
        let found = conflict(decoder, &key, &zstd, &other).unwrap();
        assert_eq!(found.stored, <[u8; 32]>::from(Sha256::digest(&entry)));
        assert_eq!(found.offered, <[u8; 32]>::from(Sha256::digest([8; 1000])));
    }
}
