//! Entries as they came -> entries that are known to be sound, in batches for
//! the storage, and the count of what became of each.
//!
//! Invariants:
//! - an entry reaches the storage only after it has been decoded and has passed
//!   its checksum and said its own key;
//! - an entry that is kept owns its bytes and no more: it is copied out of the
//!   message, whose size it does not know.

use crate::guard::Call;
use crate::service::status;
use crate::shared::Shared;
use crate::storage::{Conflict, StoredEntry};
use bytes::Bytes;
use proto::coding::Decoder;
use proto::v1::{self, NewEntry, PublishSummary, RefusedReason};
use proto::{Coded, CodingError, Namespace};
use std::collections::BTreeMap;
use std::sync::Arc;
use stencil::{CacheKey, EntryError, entry};
use tokio::sync::mpsc::Receiver;
use tonic::Status;

/// A batch is committed when it has this many bytes of entries.
const BATCH_BYTES: usize = 8 << 20;
/// Or this many entries.
const BATCH_ENTRIES: usize = 16 << 10;
/// Conflicts that the summary lists and the log tells one by one.
const CONFLICTS_LISTED: usize = 16;

/// What is handed over.
pub enum Part {
    /// Entries of one message.
    Entries(Vec<NewEntry>),
    /// The stream has ended well.
    End,
}

/// Takes the entries of one stream.
pub struct Taker {
    shared: Arc<Shared>,
    call: Arc<Call>,
    namespace: Namespace,
    replace: bool,
    decoder: Decoder,
    decoded: Vec<u8>,
    batch: Vec<StoredEntry>,
    batch_bytes: usize,
    summary: PublishSummary,
    refused: BTreeMap<i32, u64>,
}

impl Taker {
    pub fn new(shared: Arc<Shared>, call: Arc<Call>, namespace: Namespace, replace: bool) -> Self {
        Self {
            shared,
            call,
            namespace,
            replace,
            decoder: Decoder::new(),
            decoded: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            summary: PublishSummary::default(),
            refused: BTreeMap::new(),
        }
    }

    /// Takes everything; blocks. A stream that breaks has no result.
    pub fn run(mut self, mut parts: Receiver<Part>) -> Result<PublishSummary, Status> {
        loop {
            match parts.blocking_recv() {
                Some(Part::Entries(entries)) => {
                    for new in entries {
                        self.take(new)?;
                    }
                }
                Some(Part::End) => break,
                None => return Err(Status::cancelled("the stream broke")),
            }
        }
        self.commit()?;
        self.summary.refused = self
            .refused
            .iter()
            .map(|(reason, count)| v1::Refused { reason: *reason, count: *count })
            .collect();
        self.tell_conflicts();
        Ok(self.summary)
    }

    fn take(&mut self, new: NewEntry) -> Result<(), Status> {
        match self.check(new) {
            Ok(stored) => {
                self.batch_bytes += stored.coded.data.len();
                self.batch.push(stored);
            }
            Err(reason) => {
                self.shared.metrics.refuse(reason_name(reason), 1);
                *self.refused.entry(reason.into()).or_default() += 1;
            }
        }
        if self.batch_bytes < BATCH_BYTES && self.batch.len() < BATCH_ENTRIES {
            return Ok(());
        }
        self.commit()
    }

    fn check(&mut self, new: NewEntry) -> Result<StoredEntry, RefusedReason> {
        let key = proto::keys::decode_one(&new.key).ok_or(RefusedReason::WrongKey)?;
        let coded = Coded::from_message(new.coding, new.entry_bytes, new.data)
            .map_err(|error| reason_of_coding(&error))?;
        self.decoded.clear();
        self.decoder
            .decode_into(&coded, &mut self.decoded)
            .map_err(|error| reason_of_coding(&error))?;
        entry::verify(&key, &self.decoded).map_err(|error| reason_of_entry(&error))?;
        let data = Bytes::copy_from_slice(&coded.data);
        Ok(StoredEntry { key, coded: Coded { data, ..coded } })
    }

    fn commit(&mut self) -> Result<(), Status> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let count = batch.len() as u64;
        let metrics = &self.shared.metrics;
        let published = self.shared.storage.publish(&self.namespace, batch, self.replace);
        let published = published.map_err(|error| {
            metrics.storage_errors.inc();
            let reason = match error {
                crate::storage::StorageError::Full { .. } => RefusedReason::Full,
                _ => RefusedReason::Io,
            };
            metrics.refuse(reason_name(reason), count);
            tracing::error!(%error, entries = count, "the storage did not take a batch");
            status::storage(&error)
        })?;
        metrics.published.inc_by(published.stored);
        metrics.published_bytes.inc_by(published.stored_bytes);
        metrics.already_there.inc_by(published.already_there);
        metrics.conflicts.inc_by(published.conflicts.len() as u64);
        if published.refused > 0 {
            metrics.refuse(reason_name(RefusedReason::Io), published.refused);
            *self.refused.entry(RefusedReason::Io.into()).or_default() += published.refused;
        }
        self.summary.stored += published.stored;
        self.summary.stored_bytes += published.stored_bytes;
        self.summary.already_there += published.already_there;
        for conflict in published.conflicts {
            self.conflict(&conflict);
        }
        Ok(())
    }

    fn conflict(&mut self, conflict: &Conflict) {
        self.summary.conflicts += 1;
        if self.summary.conflict_list.len() >= CONFLICTS_LISTED {
            return;
        }
        let Conflict { key, stored, offered } = conflict;
        tracing::error!(
            %key,
            stored_sha256 = %hex(stored),
            offered_sha256 = %hex(offered),
            namespace = %self.namespace,
            caller = self.call.caller.name(),
            "conflict: other bytes under the same key, so its cache key is wrong"
        );
        self.summary.conflict_list.push(v1::Conflict {
            key: Bytes::copy_from_slice(key.as_bytes()),
            stored_sha256: Bytes::copy_from_slice(stored),
            offered_sha256: Bytes::copy_from_slice(offered),
        });
    }

    /// One line for a publish with conflicts, and one for a replacement.
    fn tell_conflicts(&self) {
        let PublishSummary { stored, already_there, conflicts, .. } = self.summary;
        let (caller, peer) = (self.call.caller.name(), self.call.from);
        let namespace = &self.namespace;
        if conflicts > 0 {
            let what = "a publish had conflicts";
            tracing::error!(conflicts, stored, already_there, %namespace, caller, ?peer, "{what}");
        } else if self.replace {
            tracing::info!(stored, %namespace, caller, ?peer, "entries were replaced");
        }
    }
}

/// A digest's text.
fn hex(digest: &[u8; 32]) -> CacheKey {
    CacheKey::from_bytes(*digest)
}

fn reason_of_coding(error: &CodingError) -> RefusedReason {
    match error {
        CodingError::TooLarge { .. } => RefusedReason::TooLarge,
        CodingError::Unknown { .. } => RefusedReason::Format,
        _ => RefusedReason::Damaged,
    }
}

fn reason_of_entry(error: &EntryError) -> RefusedReason {
    match error {
        EntryError::Version { .. } => RefusedReason::Format,
        EntryError::KeyMismatch { .. } => RefusedReason::WrongKey,
        EntryError::TooLarge { .. } => RefusedReason::TooLarge,
        _ => RefusedReason::Damaged,
    }
}

/// The label in metrics.
fn reason_name(reason: RefusedReason) -> &'static str {
    match reason {
        RefusedReason::Unspecified => "unspecified",
        RefusedReason::Damaged => "damaged",
        RefusedReason::WrongKey => "wrong-key",
        RefusedReason::Format => "format",
        RefusedReason::TooLarge => "too-large",
        RefusedReason::Full => "full",
        RefusedReason::Io => "io",
    }
}
