//! Bytes -> what a client makes of them when a server sends them as an answer:
//! messages and entries that are sound, or errors.

use super::request::{Ending, body, framed};
use prost::Message;
use proto::codec::MessageCodec;
use proto::coding::Decoder;
use proto::limits::ENTRY_BYTES_MAX;
use proto::v1::{Coding, FindMissingReply, LookupChunk, PublishSummary, Stats};
use proto::{Coded, CodingError};
use std::fmt::Debug;
use stencil::{CacheKey, entry};
use tonic::Status;
use tonic::codec::{Codec as _, Streaming};
use tonic::codegen::http::StatusCode;

/// Reads the bytes as the answer to every call, as one message and as a whole
/// body, and as one entry's data.
///
/// # Panics
///
/// If something is made of them that their message does not say.
pub async fn check(bytes: &[u8]) {
    for body in [bytes, &framed(bytes)] {
        let pieces = 1 + body.len() / 3;
        for chunk in messages::<LookupChunk>(body, pieces).await {
            let mut decoder = Decoder::new();
            for found in chunk.entries {
                let coded = Coded::from_message(found.coding, found.entry_bytes, found.data);
                if let Ok(coded) = coded {
                    decode(&mut decoder, &coded);
                }
            }
        }
        messages::<PublishSummary>(body, pieces).await;
        messages::<FindMissingReply>(body, pieces).await;
        messages::<Stats>(body, pieces).await;
    }
    let (declared, data) = bytes.split_at(bytes.len().min(3));
    let declared = declared.iter().fold(0, |all, byte| all << 8 | i32::from(*byte));
    // Three bytes and so up to 16 MiB; mostly fewer, since zeros take time.
    let declared = if declared % 64 == 0 { declared } else { declared % 4096 };
    let mut decoder = Decoder::new();
    for coding in [Coding::Raw, Coding::Zstd] {
        let data = data.to_vec().into();
        if let Ok(coded) = Coded::from_message(coding.into(), declared as u32, data) {
            decode(&mut decoder, &coded);
        }
    }
}

/// The messages before the first error.
async fn messages<T>(bytes: &[u8], piece_bytes: usize) -> Vec<T>
where
    T: Message + Default + PartialEq + Debug + 'static,
{
    let decoder = MessageCodec::<(), T>::default().decoder();
    let body = body(bytes, piece_bytes, Ending::Clean);
    let mut stream = Streaming::new_response(decoder, body, StatusCode::OK, None, None);
    let mut messages = Vec::new();
    let ended: Status = loop {
        match stream.message().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => panic!("an answer without a status has ended well"),
            Err(status) => break status,
        }
    };
    assert_ne!(ended.code(), tonic::Code::Ok);
    for message in &messages {
        let again = T::decode(message.encode_to_vec().as_slice());
        assert_eq!(again.as_ref(), Ok(message));
    }
    messages
}

fn decode(decoder: &mut Decoder, coded: &Coded) {
    const BEFORE: &[u8] = b"before";
    let mut out = BEFORE.to_vec();
    let declared = coded.entry_bytes as usize;
    match decoder.decode_into(coded, &mut out) {
        Ok(()) => {
            assert_eq!(out.len(), BEFORE.len() + declared);
            let entry = &out[BEFORE.len()..];
            let fresh = Decoder::new().decode(coded);
            assert_eq!(fresh.as_deref(), Ok(entry));
            open(entry);
        }
        Err(CodingError::Damaged { .. }) => assert_eq!(out, BEFORE),
        Err(error) => panic!("at most {ENTRY_BYTES_MAX} bytes were let in: {error}"),
    }
}

/// What is opened is sealed, and for its own key only.
fn open(bytes: &[u8]) {
    let other = CacheKey::from_bytes([0; 32]);
    match entry::key_of(bytes) {
        Ok(key) => {
            entry::verify(&key, bytes).expect("its own key");
            assert_eq!(
                entry::open(&other, bytes).is_ok(),
                key == other && entry::open(&key, bytes).is_ok()
            );
        }
        Err(error) => assert_eq!(entry::verify(&other, bytes), Err(error)),
    }
}
