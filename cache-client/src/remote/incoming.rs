//! Chunks of a lookup -> entries that are those that were asked for.
//!
//! Invariants:
//! - an entry is handed on only if its seal is whole and says the key that was
//!   asked for, so that nothing else reaches the tiers above;
//! - nothing is decoded that was not asked for, or a second time, and what one
//!   stream may decode to is bounded by [`DECODED_BYTES_MAX`].

use super::failure::Failure;
use bytes::Bytes;
use proto::CodingError;
use proto::coding::{Coded, Decoder};
use proto::limits::{ENTRY_BYTES_MAX, MESSAGE_BYTES_MAX};
use proto::v1::{FoundEntry, LookupChunk};
use stencil::{CacheKey, MissReason, entry};

/// What the entries of one stream may come to, decoded. The largest module known
/// has a hundredth of it.
pub(crate) const DECODED_BYTES_MAX: u64 = 4 << 30;

/// An answer for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A sound entry of this key.
    Entry(Bytes),
    /// Something else, which was not kept.
    Rejected(MissReason),
}

/// One answer, and what it took on the wire.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) index: usize,
    pub(crate) entry: Found,
    pub(crate) wire_bytes: u64,
}

/// What has come in on one stream.
pub(crate) struct Incoming<'a> {
    keys: &'a [CacheKey],
    seen: Vec<bool>,
    decoder: Decoder,
    decoded_bytes: u64,
    rejected: Option<MissReason>,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(keys: &'a [CacheKey]) -> Self {
        Self {
            keys,
            seen: vec![false; keys.len()],
            decoder: Decoder::new(),
            decoded_bytes: 0,
            rejected: None,
        }
    }

    /// The entries of a chunk: slices of one buffer.
    pub(crate) fn take(&mut self, chunk: LookupChunk) -> Result<Vec<Taken>, Failure> {
        let declared: usize = chunk.entries.iter().map(|entry| entry.entry_bytes as usize).sum();
        let mut buffer = Vec::with_capacity(declared.min(MESSAGE_BYTES_MAX));
        let mut places = Vec::with_capacity(chunk.entries.len());
        for found in chunk.entries {
            let (index, wire_bytes) = (found.index as usize, found.data.len() as u64);
            let key = self.asked(index)?;
            let start = buffer.len();
            self.decode(found, &mut buffer)?;
            let bytes = buffer.get(start..).unwrap_or_default();
            let place = match entry::verify(&key, bytes) {
                Ok(()) => Ok(start..buffer.len()),
                Err(error) => {
                    buffer.truncate(start);
                    Err(*self.rejected.insert(MissReason::from(&error)))
                }
            };
            places.push((index, place, wire_bytes));
        }
        let buffer = Bytes::from(buffer);
        let taken = |(index, place, wire_bytes)| {
            let entry = match place {
                Ok(place) => Found::Entry(buffer.slice(place)),
                Err(reason) => Found::Rejected(reason),
            };
            Taken { index, entry, wire_bytes }
        };
        Ok(places.into_iter().map(taken).collect())
    }

    /// How the stream ended, once the server has said that it did.
    pub(crate) fn end(self) -> Result<(), Failure> {
        match self.rejected {
            None => Ok(()),
            Some(reason) => {
                let what = format!("sends entries that are none of what was asked for ({reason})");
                // Those that it did not mention are absent all the same.
                Err(Failure::new(MissReason::Absent, what))
            }
        }
    }

    /// The key that an answer is for.
    fn asked(&mut self, index: usize) -> Result<CacheKey, Failure> {
        let strange = |what: &str| {
            let what = format!("answers for key {index}, which {what}");
            Err(Failure::new(MissReason::Protocol, what))
        };
        let (Some(key), Some(seen)) = (self.keys.get(index), self.seen.get_mut(index)) else {
            return strange("it was not asked for");
        };
        match std::mem::replace(seen, true) {
            false => Ok(*key),
            true => strange("it has answered already"),
        }
    }

    fn decode(&mut self, found: FoundEntry, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        self.decoded_bytes += u64::from(found.entry_bytes).min(ENTRY_BYTES_MAX as u64);
        if self.decoded_bytes > DECODED_BYTES_MAX {
            let what = format!("sends more than {DECODED_BYTES_MAX} bytes in one answer");
            return Err(Failure::new(MissReason::Protocol, what));
        }
        let damaged = |error: CodingError| {
            Failure::new(MissReason::Protocol, format!("sends what cannot be decoded: {error}"))
        };
        let coded = Coded::from_message(found.coding, found.entry_bytes, found.data);
        self.decoder.decode_into(&coded.map_err(damaged)?, buffer).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::Coding;
    use stencil::StencilBuilder;

    fn key(byte: u8) -> CacheKey {
        CacheKey::from_bytes([byte; 32])
    }

    fn found(index: u32, byte: u8) -> FoundEntry {
        let data = entry::seal(&key(byte), &StencilBuilder::new(vec![byte; 9], 1, 0, 0)).unwrap();
        FoundEntry { index, coding: Coding::Raw.into(), entry_bytes: data.len() as u32, data }
    }

    fn chunk(entries: Vec<FoundEntry>) -> LookupChunk {
        LookupChunk { entries }
    }

    #[test]
    fn sound_entries_of_the_right_keys_are_handed_on() {
        let keys = [key(1), key(2)];
        let mut incoming = Incoming::new(&keys);
        let taken = incoming.take(chunk(vec![found(1, 2), found(0, 1)])).unwrap();
        for (taken, (index, byte)) in taken.iter().zip([(1, 2), (0, 1)]) {
            assert_eq!(taken.index, index);
            assert_eq!(taken.entry, Found::Entry(found(0, byte).data));
        }
        assert_eq!(incoming.end(), Ok(()));
    }

    #[test]
    fn entries_of_other_keys_and_damaged_ones_are_rejected_and_told() {
        let keys = [key(1), key(2), key(3)];
        let mut incoming = Incoming::new(&keys);
        let mut damaged = found(1, 2);
        damaged.data = [&damaged.data[..70], &[0xff], &damaged.data[71..]].concat().into();
        let taken = incoming.take(chunk(vec![found(0, 9), damaged, found(2, 3)])).unwrap();
        let entries: Vec<_> = taken.into_iter().map(|taken| taken.entry).collect();
        assert_eq!(entries[0], Found::Rejected(MissReason::WrongKey));
        assert_eq!(entries[1], Found::Rejected(MissReason::Checksum));
        assert_eq!(entries[2], Found::Entry(found(2, 3).data));
        assert!(incoming.end().is_err());
    }

    #[test]
    fn answers_that_nobody_asked_for_end_the_stream() {
        let keys = [key(1)];
        assert!(Incoming::new(&keys).take(chunk(vec![found(1, 1)])).is_err());
        assert!(Incoming::new(&keys).take(chunk(vec![found(0, 1), found(0, 1)])).is_err());
        let bomb = FoundEntry { entry_bytes: u32::MAX, ..found(0, 1) };
        assert!(Incoming::new(&keys).take(chunk(vec![bomb])).is_err());
    }

    #[test]
    fn what_one_stream_decodes_to_is_bounded() {
        let keys = vec![key(1); 2];
        let mut incoming = Incoming::new(&keys);
        incoming.decoded_bytes = DECODED_BYTES_MAX - found(0, 1).data.len() as u64;
        incoming.take(chunk(vec![found(0, 1)])).unwrap();
        assert!(incoming.take(chunk(vec![found(1, 1)])).is_err());
    }
}
