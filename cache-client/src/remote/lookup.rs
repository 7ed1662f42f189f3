//! A module's keys -> entries, by one stream or a few, within a time.
//!
//! What has arrived when the time is over is used; the rest is a miss. Entries
//! are decoded by the stream that receives them, while the connection's own
//! thread reads on.

use super::connection::{Client, Connection};
use super::failure::Failure;
use super::incoming::{Found, Incoming, Taken};
use proto::v1::LookupRequest;
use proto::{Namespace, keys};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use stencil::{CacheKey, Lookup, MissReason, Tier};
use tonic::{Request, Status};

/// Keys in one stream. More are split over several, at most
/// [`STREAMS_MAX`] at a time.
const STREAM_KEYS: usize = 32_768;

/// Streams at a time.
const STREAMS_MAX: usize = 4;

/// A module's answers.
pub(crate) struct Answers {
    pub(crate) lookups: Vec<Lookup>,
    /// Bytes of entries as they came.
    pub(crate) wire_bytes: u64,
    /// How often all streams together had to wait for the server.
    pub(crate) round_trips: u64,
    /// What went wrong first.
    pub(crate) failure: Option<Failure>,
}

/// What has arrived on one stream.
#[derive(Default)]
struct Arrived {
    entries: Vec<Option<Found>>,
    wire_bytes: u64,
}

type Shared = Arc<Mutex<Arrived>>;

/// Asks for all keys.
pub(crate) fn lookup(
    connection: &Connection,
    namespace: &Namespace,
    keys: &[CacheKey],
    within: Duration,
) -> Answers {
    let started = Instant::now();
    let mut answers = Answers {
        lookups: Vec::with_capacity(keys.len()),
        wire_bytes: 0,
        round_trips: 0,
        failure: None,
    };
    for wave in keys.chunks(STREAM_KEYS * STREAMS_MAX) {
        let left = within.saturating_sub(started.elapsed());
        match &answers.failure {
            // The rest of a lookup that failed is not asked for.
            Some(failure) => {
                let missed = std::iter::repeat_n(Lookup::Miss(failure.reason), wave.len());
                answers.lookups.extend(missed);
            }
            None => {
                answers.round_trips += 1;
                ask(connection, namespace, wave, left, &mut answers);
            }
        }
    }
    answers
}

/// Asks for the keys of a few streams at once.
fn ask(
    connection: &Connection,
    namespace: &Namespace,
    keys: &[CacheKey],
    within: Duration,
    answers: &mut Answers,
) {
    let deadline = Instant::now() + within;
    let (sender, ended) = mpsc::channel();
    let parts: Vec<&[CacheKey]> = keys.chunks(STREAM_KEYS).collect();
    let mut streams = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let arrived =
            Shared::new(Mutex::new(Arrived { entries: vec![None; part.len()], wire_bytes: 0 }));
        let request = LookupRequest {
            namespace: Some(namespace.to_message()),
            keys: keys::encode(part.iter()),
        };
        let mut request = Request::new(request);
        request.set_timeout(within);
        let (client, sender) = (connection.client(), sender.clone());
        let (filled, asked) = (arrived.clone(), part.to_vec());
        let task = connection.spawn(async move {
            let end = stream(client, request, &asked, &filled).await;
            sender.send((at, end)).ok();
        });
        streams.push((arrived, task));
    }
    let mut ends: Vec<Result<(), Failure>> = vec![Err(Failure::timeout()); parts.len()];
    for _ in &parts {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((at, end)) = ended.recv_timeout(left) else {
            break;
        };
        if let Some(slot) = ends.get_mut(at) {
            *slot = end;
        }
    }
    for ((arrived, task), end) in streams.into_iter().zip(ends) {
        task.abort();
        answers.take(&arrived, end);
    }
}

impl Answers {
    fn take(&mut self, arrived: &Shared, end: Result<(), Failure>) {
        let arrived = {
            let mut shared = arrived.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *shared)
        };
        let reason = end.as_ref().map_or_else(|failure| failure.reason, |()| MissReason::Absent);
        self.wire_bytes += arrived.wire_bytes;
        self.lookups.extend(arrived.entries.into_iter().map(|entry| match entry {
            Some(Found::Entry(entry)) => Lookup::Hit(entry, Tier::Remote),
            Some(Found::Rejected(reason)) => Lookup::Miss(reason),
            None => Lookup::Miss(reason),
        }));
        if let Err(failure) = end {
            self.failure.get_or_insert(failure);
        }
    }
}

/// Runs one stream to its end.
async fn stream(
    mut client: Client,
    request: Request<LookupRequest>,
    keys: &[CacheKey],
    arrived: &Shared,
) -> Result<(), Failure> {
    let failed = |status: Status| Failure::from(&status);
    let mut chunks = client.lookup(request).await.map_err(failed)?.into_inner();
    let mut incoming = Incoming::new(keys);
    while let Some(chunk) = chunks.message().await.map_err(failed)? {
        // What has not arrived when the lookup is over is not looked at.
        tokio::task::yield_now().await;
        let entries = incoming.take(chunk)?;
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        for Taken { index, entry, wire_bytes } in entries {
            arrived.wire_bytes += wire_bytes;
            if let Some(slot) = arrived.entries.get_mut(index) {
                *slot = Some(entry);
            }
        }
    }
    incoming.end()
}
