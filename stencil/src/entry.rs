//! `seal` and `open`: a compiled stencil <-> the bytes that stores keep.
//!
//! ```text
//!  0      4       6      8          24          56       60           64
//!  +------+-------+------+----------+-----------+--------+------------+------+----------+
//!  | STCL | format| zero | checksum | key echo  | code   | metadata   | code | metadata |
//!  |      | u16   | u16  | XXH3-128 | 32 bytes  | length | length u32 |      | bincode  |
//!  +------+-------+------+----------+-----------+--------+------------+------+----------+
//! ```
//!
//! The header's integers are little-endian and of fixed width. The checksum
//! covers everything behind it; what is before it has one value only.
//!
//! Invariants:
//! - an entry passes magic, format, length, checksum and key echo, in this
//!   order, before its metadata is decoded;
//! - decoding arbitrary bytes never panics and allocates nothing: tables are
//!   read where they lie;
//! - same stencil, same bytes: nothing in an entry tells when or where it was
//!   made.
//!
//! A checksum finds damage. It does not tell who wrote the entry: whoever may
//! publish may run code on every reader.

use crate::compiled::{CompiledStencil, Metadata, StencilBuilder};
use crate::key::CacheKey;
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

/// A sealed entry; cheap to clone and to slice.
pub type EntryBytes = Bytes;

/// The version of everything in this file, of [`crate::compiled`]'s tables and
/// of the stencils' encoding. It is part of the fingerprint.
pub const FORMAT_VERSION: u16 = 3;

const MAGIC: [u8; 4] = *b"STCL";
const FORMAT_AT: usize = 4;
const RESERVED_AT: usize = 6;
const CHECKSUM_AT: usize = 8;
const KEY_AT: usize = 24;
const CODE_LEN_AT: usize = 56;
const METADATA_LEN_AT: usize = 60;

/// Where the code starts; the size of an entry without code and metadata.
pub const HEADER_LEN: usize = 64;

/// An entry of more bytes than this is never made and never read. Code of the
/// largest function body that WebAssembly allows (7.6 MB) is far below.
pub const ENTRY_BYTES_MAX: usize = 256 << 20;

/// Why bytes are not the entry that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not one of ours at all.
    #[error("not a cache entry: it starts with {got:02x?}")]
    Magic {
        /// The first bytes found.
        got: Vec<u8>,
    },
    /// Made by another version of this crate.
    #[error("entry has format {got}, this program reads format {FORMAT_VERSION}")]
    Version {
        /// The format found.
        got: u16,
    },
    /// A sound entry, of another key.
    #[error("entry of key {got} was found under key {expected}")]
    KeyMismatch {
        /// The key that was asked for.
        expected: CacheKey,
        /// The key that the entry says it has.
        got: CacheKey,
    },
    /// Shorter or longer than its header says.
    #[error("entry has {got} bytes where its header says {expected}")]
    Length {
        /// The size that follows from the header; `None` if there is no whole
        /// header.
        expected: u64,
        /// The size found.
        got: u64,
    },
    /// Larger than [`ENTRY_BYTES_MAX`].
    #[error("entry has {got} bytes, more than the limit of {ENTRY_BYTES_MAX}")]
    TooLarge {
        /// The size found.
        got: u64,
    },
    /// Damaged.
    #[error(
        "entry of key {key} is damaged: its checksum is {got:032x} where {expected:032x} was stored"
    )]
    Checksum {
        /// The entry's key.
        key: CacheKey,
        /// The checksum stored in the entry.
        expected: u128,
        /// The checksum of its bytes.
        got: u128,
    },
    /// Undamaged, but not something that [`seal`] makes.
    #[error("entry of key {key} is sealed, but its metadata is malformed")]
    Malformed {
        /// The entry's key.
        key: CacheKey,
    },
}

fn codec() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<ENTRY_BYTES_MAX>()
}

/// Makes the entry of one compiled stencil.
///
/// # Errors
///
/// [`EntryError::TooLarge`] if it would exceed [`ENTRY_BYTES_MAX`].
pub fn seal(key: &CacheKey, stencil: &StencilBuilder) -> Result<EntryBytes, EntryError> {
    let code = stencil.code.as_slice();
    let mut bytes = Vec::with_capacity(HEADER_LEN + code.len() + code.len() / 2 + 128);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.resize(KEY_AT, 0);
    bytes.extend_from_slice(key.as_bytes());
    bytes.resize(HEADER_LEN, 0);
    bytes.extend_from_slice(code);
    let metadata_len = bincode::encode_into_std_write(stencil.metadata(), &mut bytes, codec())
        .unwrap_or(usize::MAX);
    let too_large =
        EntryError::TooLarge { got: (code.len() as u64).saturating_add(metadata_len as u64) };
    if bytes.len() > ENTRY_BYTES_MAX || metadata_len > ENTRY_BYTES_MAX {
        return Err(too_large);
    }
    let (Ok(code_len), Ok(metadata_len)) = (u32::try_from(code.len()), u32::try_from(metadata_len))
    else {
        return Err(too_large);
    };
    put(&mut bytes, CODE_LEN_AT, &code_len.to_le_bytes());
    put(&mut bytes, METADATA_LEN_AT, &metadata_len.to_le_bytes());
    let checksum = checksum(&bytes);
    put(&mut bytes, CHECKSUM_AT, &checksum.to_le_bytes());
    Ok(bytes.into())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Of everything behind the checksum.
fn checksum(bytes: &[u8]) -> u128 {
    xxh3_128(&bytes[KEY_AT..])
}

fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&header[at..at + N]);
    value
}

/// Where an entry's parts lie, once its header and checksum are known to be
/// good.
struct Parts<'a> {
    key: CacheKey,
    code: &'a [u8],
    metadata: &'a [u8],
}

fn parts(bytes: &[u8]) -> Result<Parts<'_>, EntryError> {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(match bytes.get(..MAGIC.len()) {
            Some(start) if start == MAGIC => {
                EntryError::Length { expected: HEADER_LEN as u64, got: bytes.len() as u64 }
            }
            start => EntryError::Magic { got: start.unwrap_or(bytes).to_vec() },
        });
    };
    let magic: [u8; 4] = field(header, 0);
    if magic != MAGIC {
        return Err(EntryError::Magic { got: magic.to_vec() });
    }
    let format = u16::from_le_bytes(field(header, FORMAT_AT));
    let reserved = u16::from_le_bytes(field(header, RESERVED_AT));
    if format != FORMAT_VERSION || reserved != 0 {
        return Err(EntryError::Version { got: format });
    }
    let key = CacheKey::from_bytes(field(header, KEY_AT));
    let code_len = u32::from_le_bytes(field(header, CODE_LEN_AT));
    let metadata_len = u32::from_le_bytes(field(header, METADATA_LEN_AT));
    let expected = HEADER_LEN as u64 + u64::from(code_len) + u64::from(metadata_len);
    let got = bytes.len() as u64;
    if got > ENTRY_BYTES_MAX as u64 {
        return Err(EntryError::TooLarge { got });
    }
    let split = payload.split_at_checked(code_len as usize);
    let (code, metadata) = match split {
        Some((code, metadata)) if expected == got => (code, metadata),
        _ => return Err(EntryError::Length { expected, got }),
    };
    let stored = u128::from_le_bytes(field(header, CHECKSUM_AT));
    let found = checksum(bytes);
    if stored != found {
        return Err(EntryError::Checksum { key, expected: stored, got: found });
    }
    Ok(Parts { key, code, metadata })
}

/// Checks an entry's seal without looking into it: what a store does on write
/// and on every read.
///
/// # Errors
///
/// Everything but [`EntryError::Malformed`].
pub fn verify(key: &CacheKey, bytes: &[u8]) -> Result<(), EntryError> {
    echo(key, &parts(bytes)?)
}

/// The key that an undamaged entry says it has.
///
/// # Errors
///
/// Everything but [`EntryError::KeyMismatch`] and [`EntryError::Malformed`].
pub fn key_of(bytes: &[u8]) -> Result<CacheKey, EntryError> {
    Ok(parts(bytes)?.key)
}

fn echo(key: &CacheKey, parts: &Parts<'_>) -> Result<(), EntryError> {
    if parts.key == *key {
        return Ok(());
    }
    Err(EntryError::KeyMismatch { expected: *key, got: parts.key })
}

/// Opens an entry: checks its seal, then reads its metadata where it lies.
///
/// # Errors
///
/// Any [`EntryError`]. The caller treats all of them as a miss with a reason.
pub fn open<'a>(key: &CacheKey, bytes: &'a [u8]) -> Result<CompiledStencil<'a>, EntryError> {
    let parts = parts(bytes)?;
    echo(key, &parts)?;
    let malformed = || EntryError::Malformed { key: *key };
    let (metadata, len): (Metadata<'a>, usize) =
        bincode::borrow_decode_from_slice(parts.metadata, codec()).map_err(|_| malformed())?;
    if len != parts.metadata.len() {
        return Err(malformed());
    }
    CompiledStencil::read(parts.code, metadata).ok_or_else(malformed)
}

/// Whether bytes are the sound entry of a key, and a marker
/// ([`CompiledStencil::is_marker`]).
pub fn is_marker(key: &CacheKey, bytes: &[u8]) -> bool {
    // Most are not, and say so in their header.
    let no_code = bytes.get(CODE_LEN_AT..METADATA_LEN_AT) == Some(&[0; 4]);
    no_code && open(key, bytes).is_ok_and(|stencil| stencil.is_marker())
}

/// An entry that [`open`] has accepted, with its bytes.
#[derive(Clone, Debug)]
pub struct OpenEntry {
    bytes: EntryBytes,
}

impl OpenEntry {
    /// Opens an entry once for many readings.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn open(key: &CacheKey, bytes: EntryBytes) -> Result<Self, EntryError> {
        open(key, &bytes)?;
        Ok(Self { bytes })
    }

    /// The entry's bytes.
    pub fn bytes(&self) -> &EntryBytes {
        &self.bytes
    }

    /// The stencil; its tables are not walked again.
    pub fn stencil(&self) -> CompiledStencil<'_> {
        let (header, payload) =
            self.bytes.split_first_chunk::<HEADER_LEN>().expect("an open entry has a header");
        let code_len = u32::from_le_bytes(field(header, CODE_LEN_AT));
        let (code, metadata) = payload.split_at(code_len as usize);
        let (metadata, _) = bincode::borrow_decode_from_slice(metadata, codec())
            .expect("the metadata of an open entry was decoded before");
        CompiledStencil { code, metadata }
    }
}
