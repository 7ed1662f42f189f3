//! Messages <-> the bytes of a gRPC message, in one allocation each.
//!
//! prost's own codec lets its buffer grow from 8 KiB by doubling, so that a
//! chunk of entries is copied several times; here room for the whole message is
//! made first, and the bytes of an entry are copied once on their way out and
//! not at all on their way in.
//!
//! Before a message is decoded its fields are counted: an empty entry has two
//! bytes on the wire and many more in memory, so that the limit of a message's
//! bytes alone does not bound what it becomes.

use crate::limits::CHUNK_ENTRIES_MAX;
use bytes::Buf as _;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

/// Bytes that wait before they are handed to HTTP/2: one chunk is enough.
const YIELD_BYTES: usize = 32 << 10;
/// What is allocated for a small message.
const BUFFER_BYTES: usize = 1 << 10;

/// The codec of every call.
#[derive(Debug)]
pub struct MessageCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = MessageEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> MessageEncoder<T> {
        MessageEncoder(PhantomData)
    }

    fn decoder(&mut self) -> MessageDecoder<U> {
        MessageDecoder(ProstCodec::<T, U>::raw_decoder(BufferSettings::default()))
    }
}

/// Writes messages.
#[derive(Debug)]
pub struct MessageEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for MessageEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// Reads messages that do not have too many fields.
#[derive(Debug)]
pub struct MessageDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if has_too_many_fields(buffer.chunk()) {
            return Err(Status::invalid_argument(format!(
                "message has more than the limit of {CHUNK_ENTRIES_MAX} entries; send smaller chunks"
            )));
        }
        self.0.decode(buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

/// Whether a message has more fields with a length (entries, among others) than
/// a chunk may have entries. A chunk's namespace, said once, does not count.
///
/// Goes as far as prost would; what prost refuses is left to prost.
fn has_too_many_fields(mut message: &[u8]) -> bool {
    // One for the namespace.
    let mut left = CHUNK_ENTRIES_MAX + 1;
    while message.has_remaining() {
        let Ok((_, wire_type)) = decode_key(&mut message) else { return false };
        let skip = match wire_type {
            WireType::Varint => decode_varint(&mut message).map(|_| 0),
            WireType::ThirtyTwoBit => Ok(4),
            WireType::SixtyFourBit => Ok(8),
            WireType::LengthDelimited => {
                let Some(fewer) = left.checked_sub(1) else { return true };
                left = fewer;
                decode_varint(&mut message)
            }
            // What is in a group is counted as if it was not.
            WireType::StartGroup | WireType::EndGroup => Ok(0),
        };
        let skip = skip.ok().and_then(|skip| usize::try_from(skip).ok());
        let Some(rest) = skip.and_then(|skip| message.get(skip..)) else { return false };
        message = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{FindMissingReply, LookupChunk, Namespace, NewEntry, PublishChunk};
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    #[test]
    fn a_chunk_may_have_65536_entries_and_not_one_more() {
        let publish = |entries| {
            let namespace = Some(Namespace { project: "p".into(), ..Namespace::default() });
            let entries = vec![NewEntry::default(); entries];
            PublishChunk { namespace, entries, replace: true }.encode_to_vec()
        };
        assert!(!has_too_many_fields(&publish(CHUNK_ENTRIES_MAX)));
        assert!(has_too_many_fields(&publish(CHUNK_ENTRIES_MAX + 1)));
        let mut full = vec![crate::v1::FoundEntry::default(); CHUNK_ENTRIES_MAX];
        assert!(!has_too_many_fields(&LookupChunk { entries: full.clone() }.encode_to_vec()));
        full.extend([crate::v1::FoundEntry::default(), crate::v1::FoundEntry::default()]);
        assert!(has_too_many_fields(&LookupChunk { entries: full }.encode_to_vec()));
    }

    #[test]
    fn numbers_are_one_field_however_many_they_are() {
        let reply = FindMissingReply { indexes: (0..1 << 20).collect() };
        assert!(!has_too_many_fields(&reply.encode_to_vec()));
    }

    #[test]
    fn entries_in_groups_and_after_other_fields_are_counted() {
        for start in
            [&[0x0b][..], &[0x08, 0x01], &[0x0d, 0, 0, 0, 0], &[0x09, 0, 0, 0, 0, 0, 0, 0, 0]]
        {
            let message = [start, &[0x12, 0].repeat(CHUNK_ENTRIES_MAX + 2)].concat();
            assert!(has_too_many_fields(&message), "{start:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_are_counted_without_a_panic() {
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..20_000 {
            let mut bytes = vec![0; random.random_range(0..64)];
            random.fill(bytes.as_mut_slice());
            assert!(!has_too_many_fields(&bytes));
        }
        for len in [
            &[0xff; 9][..],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert!(!has_too_many_fields(&[&[0x12], len].concat()));
        }
    }
}
