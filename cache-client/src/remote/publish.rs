//! New entries -> the server, in the background.
//!
//! ```text
//! publish()  -> queue, bounded in bytes -> one thread: encode, one stream a batch -> summary
//!    what does not fit is dropped and counted            flush() waits for it
//! ```
//!
//! Invariant: every entry is counted once: in the server's summary, or as
//! refused with a reason.

use super::connection::Connection;
use super::failure::Failure;
use bytes::Bytes;
use proto::Namespace;
use proto::coding::Encoder;
use proto::limits::{CHUNK_BYTES, CHUNK_ENTRIES_MAX};
use proto::v1::{self, PublishChunk, RefusedReason};
use std::time::Duration;
use stencil::{MissReason, NewEntry, PublishSummary};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response};

/// Encoded chunks that wait for the connection.
const CHUNKS_MAX: usize = 4;

/// A server that takes nothing for this long is given up.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(10);

/// What became of a batch.
pub(crate) struct Sent {
    pub(crate) summary: PublishSummary,
    pub(crate) wire_bytes: u64,
    pub(crate) failure: Option<Failure>,
}

/// Publishes a batch by one stream. `progress` is called whenever the server has
/// taken something.
pub(crate) fn publish(
    connection: &Connection,
    namespace: &Namespace,
    entries: Vec<NewEntry>,
    progress: &dyn Fn(),
) -> Sent {
    let mut summary = PublishSummary::default();
    let mut wire_bytes = 0;
    let offered = entries.len() as u64;
    let end = connection.block_on(async {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let mut client = connection.client();
        let mut call = connection.spawn(async move {
            let chunks = ReceiverStream::new(receiver);
            client.publish(Request::new(chunks)).await.map(Response::into_inner)
        });
        let give_up = call.abort_handle();
        let mut chunks = Chunks::new(namespace, entries);
        while let Some(chunk) = chunks.next(&mut summary) {
            wire_bytes += chunk.entries.iter().map(|entry| entry.data.len() as u64).sum::<u64>();
            match timeout(STALL_MAX, sender.send(chunk)).await {
                Ok(Ok(())) => progress(),
                // The call has ended; it says why.
                Ok(Err(_)) => break,
                Err(_) => {
                    give_up.abort();
                    return Err(Failure::timeout());
                }
            }
        }
        drop(sender);
        let Ok(answer) = timeout(STALL_MAX, &mut call).await else {
            give_up.abort();
            return Err(Failure::timeout());
        };
        let answer = answer.map_err(|_| Failure::new(MissReason::Io, "was not asked"))?;
        progress();
        answer.map_err(|status| Failure::from(&status))
    });
    let (answer, failure) = match end {
        Ok(answer) => (answer, None),
        Err(failure) => (v1::PublishSummary::default(), Some(failure)),
    };
    add(&mut summary, &answer);
    // Whatever was not spoken of.
    let refused: u64 = summary.refused.values().sum();
    let counted = summary.stored + summary.already_there + summary.conflicts + refused;
    let reason = failure.as_ref().map_or(MissReason::Protocol, |failure| failure.reason);
    summary.refuse(reason, offered.saturating_sub(counted));
    Sent { summary, wire_bytes, failure }
}

fn add(summary: &mut PublishSummary, answer: &v1::PublishSummary) {
    summary.stored += answer.stored;
    summary.stored_bytes += answer.stored_bytes;
    summary.already_there += answer.already_there;
    summary.conflicts += answer.conflicts;
    for refused in &answer.refused {
        let reason = match refused.reason() {
            RefusedReason::Damaged => MissReason::Checksum,
            RefusedReason::WrongKey => MissReason::WrongKey,
            RefusedReason::Format => MissReason::Version,
            RefusedReason::TooLarge => MissReason::TooLarge,
            RefusedReason::Full => MissReason::Full,
            RefusedReason::Io => MissReason::Io,
            RefusedReason::Unspecified => MissReason::Protocol,
        };
        summary.refuse(reason, refused.count);
    }
}

/// Entries, encoded one chunk at a time.
struct Chunks {
    namespace: Option<v1::Namespace>,
    entries: std::vec::IntoIter<NewEntry>,
    encoder: Encoder,
}

impl Chunks {
    fn new(namespace: &Namespace, entries: Vec<NewEntry>) -> Self {
        Self {
            namespace: Some(namespace.to_message()),
            entries: entries.into_iter(),
            encoder: Encoder::new(),
        }
    }

    /// The next chunk; what cannot travel is counted as refused.
    fn next(&mut self, summary: &mut PublishSummary) -> Option<PublishChunk> {
        let mut chunk = PublishChunk::default();
        let mut bytes = 0;
        while bytes < CHUNK_BYTES && chunk.entries.len() < CHUNK_ENTRIES_MAX {
            let Some(entry) = self.entries.next() else {
                break;
            };
            let Ok(coded) = self.encoder.encode(&entry.bytes) else {
                summary.refuse(MissReason::TooLarge, 1);
                continue;
            };
            bytes += coded.data.len();
            chunk.entries.push(v1::NewEntry {
                key: Bytes::copy_from_slice(entry.key.as_bytes()),
                coding: coded.coding.into(),
                entry_bytes: coded.entry_bytes,
                data: coded.data,
            });
        }
        if chunk.entries.is_empty() {
            return None;
        }
        chunk.namespace = self.namespace.take();
        Some(chunk)
    }
}
