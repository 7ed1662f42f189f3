//! An entry's header as `stencil::entry` draws it, read and written by other
//! code: for tests that forge entries, and to judge what `verify` accepts.

use stencil::CacheKey;
use stencil::entry::{ENTRY_BYTES_MAX, FORMAT_VERSION, HEADER_LEN};

const CHECKSUM_AT: usize = 8;
/// Where the key starts, 32 bytes: the checksum is of what is from here on.
pub const KEY_AT: usize = 24;
/// Where the code's length stands, 4 bytes.
pub const CODE_LEN_AT: usize = 56;
/// Where the metadata's length stands, 4 bytes.
pub const METADATA_LEN_AT: usize = 60;

fn u32_at(entry: &[u8], at: usize) -> u32 {
    let bytes = entry[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(bytes)
}

/// Where the metadata of a sound entry starts.
pub fn metadata_at(entry: &[u8]) -> usize {
    HEADER_LEN + u32_at(entry, CODE_LEN_AT) as usize
}

/// Gives forged bytes the checksum that they ought to have.
pub fn renew_checksum(bytes: &mut [u8]) {
    let checksum = xxhash_rust::xxh3::xxh3_128(&bytes[KEY_AT..]);
    bytes[CHECKSUM_AT..KEY_AT].copy_from_slice(&checksum.to_le_bytes());
}

/// Gives forged bytes the lengths and the checksum that they ought to have.
pub fn reseal(metadata_at: usize, bytes: &mut [u8]) {
    let lens = [metadata_at - HEADER_LEN, bytes.len() - metadata_at];
    for (len, at) in lens.into_iter().zip([CODE_LEN_AT, METADATA_LEN_AT]) {
        bytes[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
    }
    renew_checksum(bytes);
}

/// Whether the bytes have the whole seal of an entry of this key.
pub fn is_sealed(key: &CacheKey, bytes: &[u8]) -> bool {
    if bytes.len() < HEADER_LEN || bytes.len() > ENTRY_BYTES_MAX {
        return false;
    }
    let lens = u64::from(u32_at(bytes, CODE_LEN_AT)) + u64::from(u32_at(bytes, METADATA_LEN_AT));
    let [low, high] = FORMAT_VERSION.to_le_bytes();
    let mut sealed = bytes.to_vec();
    renew_checksum(&mut sealed);
    bytes[..CHECKSUM_AT] == [b'S', b'T', b'C', b'L', low, high, 0, 0]
        && bytes[KEY_AT..CODE_LEN_AT] == *key.as_bytes()
        && lens == (bytes.len() - HEADER_LEN) as u64
        && bytes == sealed
}
