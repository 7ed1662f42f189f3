//! An entry as it is offered -> the sound entry in it, or why it is none.
//!
//! Decodes with a fresh zstd context each time; the server uses one again and
//! again, also after an entry that it has refused.

use proto::limits::ENTRY_BYTES_MAX;
use proto::v1::{Coding, NewEntry, RefusedReason};
use stencil::{CacheKey, EntryError, entry};

/// The key and the decoded entry.
///
/// # Errors
///
/// The reason that the server is to give.
pub fn soundness(new: &NewEntry) -> Result<(CacheKey, Vec<u8>), RefusedReason> {
    let key = <[u8; 32]>::try_from(&*new.key).map_err(|_| RefusedReason::WrongKey)?;
    let key = CacheKey::from_bytes(key);
    let declared = new.entry_bytes as usize;
    let is_raw = match Coding::try_from(new.coding) {
        Ok(Coding::Raw) => true,
        Ok(Coding::Zstd) => false,
        _ => return Err(RefusedReason::Format),
    };
    if declared.max(new.data.len()) > ENTRY_BYTES_MAX {
        return Err(RefusedReason::TooLarge);
    }
    let decoded = match is_raw {
        true => Some(new.data.to_vec()),
        false => zstd::bulk::decompress(&new.data, declared).ok(),
    };
    let decoded = decoded.filter(|decoded| decoded.len() == declared);
    let decoded = decoded.ok_or(RefusedReason::Damaged)?;
    match entry::verify(&key, &decoded) {
        Ok(()) => Ok((key, decoded)),
        Err(EntryError::Version { .. }) => Err(RefusedReason::Format),
        Err(EntryError::KeyMismatch { .. }) => Err(RefusedReason::WrongKey),
        Err(_) => Err(RefusedReason::Damaged),
    }
}
