//! Keys -> a stream of chunks of the entries that are there.
//!
//! The storage is asked on a blocking thread, which fills chunks and waits when
//! two of them have not been taken yet; entries are not copied on the way.
//!
//! Invariant: the stream ends with OK only if the storage was asked for every
//! key.

use crate::guard::Call;
use crate::service::{namespace_of, status};
use crate::shared::Shared;
use crate::storage::{LookupCounts, Next};
use proto::limits::{CHUNK_BYTES, CHUNK_ENTRIES_MAX};
use proto::v1::{FoundEntry, LookupChunk, LookupRequest};
use proto::{Coded, keys};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Chunks that wait for the client.
const CHUNKS_QUEUED: usize = 2;
/// Keys that the storage is asked for at a time: the first entries are on their
/// way while the rest is looked for.
const SLICE_KEYS: usize = 2048;
/// About what an entry's message takes beside its data.
const ENVELOPE_BYTES: usize = 16;

type Chunk = Result<LookupChunk, Status>;

pub fn lookup(
    shared: &Arc<Shared>,
    call: Arc<Call>,
    request: LookupRequest,
) -> Result<ReceiverStream<Chunk>, Status> {
    let namespace = namespace_of(shared, &call, request.namespace)?;
    let keys = keys::decode(&request.keys).map_err(|error| status::malformed(&error))?;
    drop(request.keys);
    shared.metrics.lookups.inc();
    let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED);
    let last_words = sender.clone();
    let shared = Arc::clone(shared);
    let blocking = spawn_blocking(move || {
        let mut chunks = Chunks {
            sender,
            runtime: Handle::current(),
            stall: shared.limits.stall,
            end: Instant::now() + shared.limits.call,
            entries: Vec::new(),
            bytes: 0,
            sent_bytes: 0,
            gone: false,
            call: &call,
        };
        let mut counts = LookupCounts::default();
        for (first, slice) in (0..).step_by(SLICE_KEYS).zip(keys.chunks(SLICE_KEYS)) {
            let mut found = |index: u32, coded| chunks.push(first + index, coded);
            counts.add(&shared.storage.lookup(&namespace, slice, &mut found));
            if chunks.gone {
                break;
            }
        }
        chunks.send();
        shared.metrics.entry_bytes_out.inc_by(chunks.sent_bytes);
        shared.metrics.looked_up(&counts);
    });
    tokio::spawn(async move {
        if blocking.await.is_err() {
            last_words.send(Err(status::bug())).await.ok();
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// The chunk that is being filled, and where it goes.
struct Chunks<'a> {
    sender: mpsc::Sender<Chunk>,
    runtime: Handle,
    stall: Duration,
    end: Instant,
    entries: Vec<FoundEntry>,
    bytes: usize,
    sent_bytes: u64,
    /// Nobody is listening any more.
    gone: bool,
    call: &'a Call,
}

impl Chunks<'_> {
    fn push(&mut self, index: u32, coded: Coded) -> Next {
        let Coded { coding, entry_bytes, data } = coded;
        self.sent_bytes += data.len() as u64;
        self.bytes += data.len() + ENVELOPE_BYTES;
        self.entries.push(FoundEntry { index, coding: coding.into(), entry_bytes, data });
        if self.bytes < CHUNK_BYTES && self.entries.len() < CHUNK_ENTRIES_MAX {
            return Next::More;
        }
        self.send()
    }

    fn send(&mut self) -> Next {
        let next = self.hand_over();
        self.gone |= next == Next::Stop;
        next
    }

    /// Hands the chunk over, or gives up if the client does not read.
    fn hand_over(&mut self) -> Next {
        if self.entries.is_empty() {
            return Next::More;
        }
        self.bytes = 0;
        let chunk = Ok(LookupChunk { entries: std::mem::take(&mut self.entries) });
        let chunk = match self.sender.try_send(chunk) {
            Ok(()) => return Next::More,
            Err(TrySendError::Closed(_)) => return Next::Stop,
            Err(TrySendError::Full(chunk)) => chunk,
        };
        let until = self.end.min(Instant::now() + self.stall);
        match self.runtime.block_on(timeout_at(until, self.sender.send(chunk))) {
            Ok(Ok(())) => Next::More,
            Ok(Err(_)) => Next::Stop,
            Err(_) => {
                self.call.stalled();
                Next::Stop
            }
        }
    }
}
