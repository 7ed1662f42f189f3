//! New entries one at a time -> batches for the tiers, on a thread of its own.
//!
//! Invariants:
//! - `push` never waits for the tiers: what finds the queue full is refused;
//! - one batch at a time, in the order of the pushes;
//! - when `flush` returns, everything pushed before was published or refused.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use stencil::{CacheStore, MissReason, NewEntry, PublishSummary};

/// A batch goes out when it has this many bytes...
const BATCH_BYTES: u64 = 8 << 20;
/// ... or when its first entry has waited this long.
const LINGER: Duration = Duration::from_secs(1);

/// What was published.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    pub(super) summary: PublishSummary,
    pub(super) publishes: u64,
}

/// Publishes in the background until it is dropped.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    /// `None` if the system refused a thread: then `flush` does all.
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    tiers: Arc<dyn CacheStore>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<NewEntry>,
    waiting_bytes: u64,
    is_publishing: bool,
    is_closed: bool,
    published: Published,
    since_flush: PublishSummary,
}

impl Publisher {
    pub(super) fn new(tiers: Arc<dyn CacheStore>) -> Self {
        let shared = Arc::new(Shared { tiers, queue: Mutex::default(), changed: Condvar::new() });
        let worker = thread::Builder::new().name("stencil-publish".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.work()
        });
        Self { shared, worker: worker.ok() }
    }

    /// Queues an entry, if the queue has at most `bytes_max` bytes with it.
    pub(super) fn push(&self, entry: NewEntry, bytes_max: u64) -> Result<(), MissReason> {
        let mut queue = self.shared.queue();
        let bytes = queue.waiting_bytes.saturating_add(entry.bytes.len() as u64);
        if bytes > bytes_max {
            return Err(MissReason::Full);
        }
        let is_first = queue.waiting.is_empty();
        queue.waiting_bytes = bytes;
        queue.waiting.push(entry);
        drop(queue);
        if is_first || bytes >= BATCH_BYTES {
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// Publishes what is left. What became of everything since the last flush.
    pub(super) fn flush(&self) -> PublishSummary {
        let mut queue = self.shared.queue();
        loop {
            if queue.is_publishing {
                queue = self.shared.wait(queue);
            } else if queue.waiting.is_empty() {
                return mem::take(&mut queue.since_flush);
            } else {
                queue = self.shared.publish(queue);
            }
        }
    }

    pub(super) fn published(&self) -> Published {
        self.shared.queue().published.clone()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.flush();
        self.shared.queue().is_closed = true;
        self.shared.changed.notify_all();
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has nothing left to do either.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic elsewhere leaves whole entries behind.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'q>(&self, queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut queue = self.queue();
        while !queue.is_closed {
            if queue.is_publishing || queue.waiting.is_empty() {
                queue = self.wait(queue);
                continue;
            }
            let waits = |queue: &mut Queue| !queue.is_closed && queue.waiting_bytes < BATCH_BYTES;
            let waited = self.changed.wait_timeout_while(queue, LINGER, waits);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !queue.is_publishing && !queue.waiting.is_empty() {
                queue = self.publish(queue);
            }
        }
    }

    /// Publishes all that waits, without the lock.
    fn publish<'q>(&'q self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        let batch = mem::take(&mut queue.waiting);
        queue.waiting_bytes = 0;
        queue.is_publishing = true;
        drop(queue);
        let turn = Turn { shared: self };
        let summary = self.tiers.publish(&batch);
        let mut queue = self.queue();
        queue.published.summary.add(&summary);
        queue.published.publishes += 1;
        queue.since_flush.add(&summary);
        drop(queue);
        drop(turn);
        self.queue()
    }
}

/// Who publishes now; the next one may when it is dropped, even by a panic.
struct Turn<'s> {
    shared: &'s Shared,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.shared.queue().is_publishing = false;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use crate::wasmtime::blob;
    use stencil::CacheKey;

    fn entry(n: u8, len: usize) -> NewEntry {
        let key = CacheKey::from_bytes([n; 32]);
        NewEntry { key, bytes: blob::seal(&key, vec![n; len]).unwrap() }
    }

    #[test]
    fn flush_publishes_everything_in_few_batches() {
        let store = Arc::new(MemoryStore::new(u64::MAX));
        let publisher = Publisher::new(store.clone());
        for n in 0..200 {
            publisher.push(entry(n, 100), u64::MAX).unwrap();
        }
        assert_eq!(publisher.flush().stored, 200);
        assert_eq!(store.size().0, 200);
        assert_eq!(publisher.flush(), PublishSummary::default());
        assert!(publisher.published().publishes <= 3);
    }

    #[test]
    fn a_full_queue_refuses() {
        let publisher = Publisher::new(Arc::new(MemoryStore::new(u64::MAX)));
        assert_eq!(publisher.push(entry(1, 5000), 4000), Err(MissReason::Full));
        assert_eq!(publisher.push(entry(1, 100), 4000), Ok(()));
    }

    #[test]
    fn dropping_publishes_what_is_left() {
        let store = Arc::new(MemoryStore::new(u64::MAX));
        Publisher::new(store.clone()).push(entry(1, 100), u64::MAX).unwrap();
        assert_eq!(store.size().0, 1);
    }
}
