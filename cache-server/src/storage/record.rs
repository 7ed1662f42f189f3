//! An entry, or a namespace's name <-> a record in a pack file.
//!
//! ```text
//!  0       4            20          24         56            60       64       65
//!  +-------+------------+-----------+----------+-------------+--------+--------+------+
//!  | STR2  | checksum   | namespace | key      | entry bytes | data   | coding | data |
//!  | STX2  | XXH3-128   | u32       | 32 bytes | u32         | length | u8     |      |
//!  +-------+------------+-----------+----------+-------------+--------+--------+------+
//! ```
//!
//! All integers are little-endian. `STX2` marks a dead record: one that was
//! replaced or put aside. Coding 0 is the name of the namespace with this
//! number; it stands in every pack before the namespace's first entry there.
//!
//! Invariants:
//! - the checksum covers everything behind it, and is seeded with the place of
//!   the record and a secret (`seal`); what is before it is compared;
//! - a [`Record`] exists only of bytes that passed it.

use crate::storage::seal::Seal;
use bytes::Bytes;
use proto::v1::Coding;
use proto::{Coded, Namespace};
use stencil::{CacheKey, Fingerprint};

/// The number that an index gives to a namespace. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamespaceId(pub(crate) u32);

/// How a record starts.
pub(crate) const LIVE: [u8; 4] = *b"STR2";
/// How a record starts that nobody is to find.
pub(crate) const DEAD: [u8; 4] = *b"STX2";

const CHECKSUM_AT: usize = 4;
const NAMESPACE_AT: usize = 20;
const KEY_AT: usize = 24;
const ENTRY_BYTES_AT: usize = 56;
const DATA_LEN_AT: usize = 60;
const CODING_AT: usize = 64;
/// Where the data starts.
pub(crate) const HEADER_LEN: usize = 65;

/// The coding of a record that holds a namespace's name.
const NAME: u8 = 0;

/// Data longer than this is no record's.
const DATA_LEN_MAX: usize = proto::limits::ENTRY_BYTES_MAX;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RecordError {
    #[error("a record starts with {got:02x?}")]
    Magic { got: [u8; 4] },
    #[error("a record has {got} bytes where {expected} were written")]
    Length { expected: usize, got: usize },
    #[error("a record's checksum is {got:032x} where {expected:032x} was stored")]
    Checksum { expected: u128, got: u128 },
    #[error("a record has the unknown coding {got}")]
    Coding { got: u8 },
    #[error("a record of namespace {} and key {key} stands where another was written", namespace.0)]
    Stranger { namespace: NamespaceId, key: CacheKey },
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The name of its namespace.
    Name(Namespace),
    /// An entry.
    Entry(Coded),
}

/// A record whose bytes are known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) namespace: NamespaceId,
    pub(crate) key: CacheKey,
    pub(crate) body: Body,
}

/// The first bytes of a record, not yet checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    magic: [u8; 4],
    namespace: NamespaceId,
    key: CacheKey,
    entry_bytes: u32,
    data_len: u32,
    coding: u8,
    checksum: u128,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    field(bytes, at).map(u32::from_le_bytes)
}

impl Header {
    /// The header at the start of `bytes`, if its lengths and marks can be a
    /// record's.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            magic: field(bytes, 0)?,
            namespace: NamespaceId(number(bytes, NAMESPACE_AT)?),
            key: CacheKey::from_bytes(field(bytes, KEY_AT)?),
            entry_bytes: number(bytes, ENTRY_BYTES_AT)?,
            data_len: number(bytes, DATA_LEN_AT)?,
            coding: *bytes.get(CODING_AT)?,
            checksum: u128::from_le_bytes(field(bytes, CHECKSUM_AT)?),
        };
        let possible = header.magic == LIVE || header.magic == DEAD;
        (possible && header.data_len as usize <= DATA_LEN_MAX).then_some(header)
    }

    /// The length of the whole record.
    pub(crate) fn record_len(&self) -> usize {
        HEADER_LEN + self.data_len as usize
    }

    /// Whether it is marked as dead.
    pub(crate) fn is_dead(&self) -> bool {
        self.magic == DEAD
    }
}

/// The length of the record of an entry, in bytes.
pub(crate) fn record_len(coded: &Coded) -> usize {
    HEADER_LEN + coded.data.len()
}

/// Appends an entry's record.
pub(crate) fn put_entry(
    out: &mut Vec<u8>,
    seal: Seal,
    namespace: NamespaceId,
    key: &CacheKey,
    coded: &Coded,
) {
    put(out, seal, namespace, key, coded.entry_bytes, coded.coding as u8, &coded.data);
}

/// Appends the record of a namespace's name.
pub(crate) fn put_name(out: &mut Vec<u8>, seal: Seal, id: NamespaceId, namespace: &Namespace) {
    let key = CacheKey::from_bytes(*namespace.fingerprint().as_bytes());
    put(out, seal, id, &key, 0, NAME, namespace.project().as_bytes());
}

fn put(
    out: &mut Vec<u8>,
    seal: Seal,
    namespace: NamespaceId,
    key: &CacheKey,
    entry_bytes: u32,
    coding: u8,
    data: &[u8],
) {
    let start = out.len();
    out.extend_from_slice(&LIVE);
    out.extend_from_slice(&[0; NAMESPACE_AT - CHECKSUM_AT]);
    out.extend_from_slice(&namespace.0.to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&entry_bytes.to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out.push(coding);
    out.extend_from_slice(data);
    let record = out.get_mut(start..).unwrap_or_default();
    let checksum = checksum(seal, record).to_le_bytes();
    if let Some(place) = record.get_mut(CHECKSUM_AT..NAMESPACE_AT) {
        place.copy_from_slice(&checksum);
    }
}

/// Of what is behind the checksum.
fn checksum(seal: Seal, record: &[u8]) -> u128 {
    seal.checksum(record.get(NAMESPACE_AT..).unwrap_or_default())
}

impl Record {
    /// The record that `bytes` are, to the last of them.
    ///
    /// # Errors
    ///
    /// Any [`RecordError`] but [`RecordError::Stranger`].
    pub(crate) fn open(seal: Seal, bytes: &Bytes) -> Result<Self, RecordError> {
        Self::open_marked(seal, bytes, LIVE)
    }

    /// As [`open`](Self::open), for a record that is marked as dead.
    pub(crate) fn open_dead(seal: Seal, bytes: &Bytes) -> Result<Self, RecordError> {
        Self::open_marked(seal, bytes, DEAD)
    }

    fn open_marked(seal: Seal, bytes: &Bytes, mark: [u8; 4]) -> Result<Self, RecordError> {
        let got = bytes.len();
        let magic = field(bytes, 0).unwrap_or_default();
        if magic != mark {
            return Err(RecordError::Magic { got: magic });
        }
        let header = Header::of(bytes).ok_or(RecordError::Length { expected: HEADER_LEN, got })?;
        if header.record_len() != got {
            return Err(RecordError::Length { expected: header.record_len(), got });
        }
        let found = checksum(seal, bytes);
        if found != header.checksum {
            return Err(RecordError::Checksum { expected: header.checksum, got: found });
        }
        let data = bytes.slice(HEADER_LEN..);
        let unknown = RecordError::Coding { got: header.coding };
        let body = match Coding::try_from(i32::from(header.coding)) {
            Ok(Coding::Unspecified) => {
                let fingerprint = Fingerprint::from_bytes(*header.key.as_bytes());
                let project = std::str::from_utf8(&data).map_err(|_| unknown)?;
                Body::Name(Namespace::new(project, fingerprint).map_err(|_| unknown)?)
            }
            Ok(coding) => Body::Entry(Coded { coding, entry_bytes: header.entry_bytes, data }),
            Err(_) => return Err(unknown),
        };
        Ok(Self { namespace: header.namespace, key: header.key, body })
    }

    /// The entry, if this is the record of this key in this namespace.
    ///
    /// # Errors
    ///
    /// [`RecordError::Stranger`].
    pub(crate) fn entry_of(
        self,
        namespace: NamespaceId,
        key: &CacheKey,
    ) -> Result<Coded, RecordError> {
        match self.body {
            Body::Entry(coded) if self.namespace == namespace && self.key == *key => Ok(coded),
            _ => Err(RecordError::Stranger { namespace: self.namespace, key: self.key }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded() -> Coded {
        let data = Bytes::from_static(b"the entry");
        Coded { coding: Coding::Raw, entry_bytes: data.len() as u32, data }
    }

    fn record() -> Vec<u8> {
        let mut bytes = Vec::new();
        put_entry(
            &mut bytes,
            Seal::of(1),
            NamespaceId(3),
            &CacheKey::from_bytes([7; 32]),
            &coded(),
        );
        bytes
    }

    #[test]
    fn an_entry_comes_back() {
        let record = Record::open(Seal::of(1), &record().into()).unwrap();
        let (namespace, key) = (NamespaceId(3), CacheKey::from_bytes([7; 32]));
        assert_eq!(record.entry_of(namespace, &key), Ok(coded()));
    }

    #[test]
    fn a_name_comes_back() {
        let name = Namespace::new("swc", Fingerprint::from_bytes([9; 32])).unwrap();
        let mut bytes = Vec::new();
        put_name(&mut bytes, Seal::of(1), NamespaceId(3), &name);
        assert_eq!(Record::open(Seal::of(1), &bytes.into()).unwrap().body, Body::Name(name));
    }

    #[test]
    fn every_changed_bit_and_every_other_length_is_found() {
        let good = record();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::open(Seal::of(1), &bytes.into()).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(
                Record::open(Seal::of(1), &Bytes::copy_from_slice(&good[..len])).is_err(),
                "length {len}"
            );
        }
    }

    #[test]
    fn a_record_of_another_place_or_directory_is_damage() {
        let opened = Record::open(Seal::of(2), &record().into());
        assert!(matches!(opened, Err(RecordError::Checksum { .. })), "{opened:?}");
    }

    #[test]
    fn a_sound_record_of_another_key_or_namespace_is_a_stranger() {
        let record = Record::open(Seal::of(1), &record().into()).unwrap();
        let key = CacheKey::from_bytes([7; 32]);
        assert!(record.clone().entry_of(NamespaceId(4), &key).is_err());
        assert!(record.entry_of(NamespaceId(3), &CacheKey::from_bytes([8; 32])).is_err());
    }
}
