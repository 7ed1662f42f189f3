//! A stream of chunks of entries -> what became of them.
//!
//! Messages are received here and handed to a blocking thread ([`Taker`]), so
//! that the next one comes in while the last one is checked and committed.
//!
//! Invariant: there is a summary only if the whole stream was received and all
//! that it counts as stored is committed.

mod taker;

use crate::guard::Call;
use crate::service::{namespace_of, status};
use crate::shared::Shared;
use proto::Namespace;
use proto::limits::CHUNK_ENTRIES_MAX;
use proto::v1::{NewEntry, PublishChunk, PublishSummary};
use std::sync::Arc;
use taker::{Part, Taker};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tonic::{Status, Streaming};

pub async fn publish(
    shared: &Arc<Shared>,
    call: Arc<Call>,
    mut stream: Streaming<PublishChunk>,
) -> Result<PublishSummary, Status> {
    let end = Instant::now() + shared.limits.call;
    let Some(first) = receive(shared, &mut stream, end).await? else {
        return Ok(PublishSummary::default());
    };
    let namespace = namespace_of(shared, &call, first.namespace)?;
    if first.replace {
        let needed = call.caller.needs_replace();
        needed.map_err(|denial| shared.deny(call.rpc, denial, call.caller.name()))?;
    }
    check_entries(&first.entries)?;
    let (sender, receiver) = mpsc::channel(1);
    let taker = Taker::new(Arc::clone(shared), call, namespace.clone(), first.replace);
    let taking = spawn_blocking(move || taker.run(receiver));

    let replace = first.replace;
    let mut entries = first.entries;
    let mut broken = None;
    // When the other side has gone, its own result tells why.
    while sender.send(Part::Entries(entries)).await.is_ok() {
        let next = receive(shared, &mut stream, end).await;
        match next.and_then(|chunk| chunk.map(|it| check_next(it, &namespace, replace)).transpose())
        {
            Ok(Some(next)) => entries = next,
            Ok(None) => {
                sender.send(Part::End).await.ok();
                break;
            }
            Err(status) => {
                broken = Some(status);
                break;
            }
        }
    }
    drop(sender);
    let taken = taking.await.map_err(|_| status::bug())?;
    match broken {
        Some(status) => Err(status),
        None => taken,
    }
}

/// The next message, unless it takes too long.
async fn receive(
    shared: &Shared,
    stream: &mut Streaming<PublishChunk>,
    end: Instant,
) -> Result<Option<PublishChunk>, Status> {
    let stall = Instant::now() + shared.limits.stall;
    match timeout_at(end.min(stall), stream.message()).await {
        Ok(received) => received.map_err(status::received),
        Err(_) if end < stall => Err(status::too_long()),
        Err(_) => Err(status::stalled()),
    }
}

/// What the first chunk has said holds for the whole stream.
fn check_next(
    chunk: PublishChunk,
    namespace: &Namespace,
    replace: bool,
) -> Result<Vec<NewEntry>, Status> {
    if let Some(other) = chunk.namespace {
        let other = Namespace::from_message(Some(other));
        if other.map_err(|error| status::malformed(&error))? != *namespace {
            return Err(status::malformed(&"namespace differs from the first chunk's"));
        }
    }
    if chunk.replace && !replace {
        return Err(status::malformed(&"replace is said in the first chunk or not at all"));
    }
    check_entries(&chunk.entries)?;
    Ok(chunk.entries)
}

fn check_entries(entries: &[NewEntry]) -> Result<(), Status> {
    let got = entries.len();
    if got > CHUNK_ENTRIES_MAX {
        let max = CHUNK_ENTRIES_MAX;
        let what = format!("entries has {got} entries, more than the limit of {max}");
        return Err(status::malformed(&what));
    }
    match entries.iter().find(|entry| entry.key.len() != proto::keys::KEY_LEN) {
        None => Ok(()),
        Some(entry) => {
            let got = entry.key.len();
            Err(status::malformed(&format!("entries.key has {got} bytes, not 32")))
        }
    }
}
