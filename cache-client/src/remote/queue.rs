//! Batches to publish -> one thread that publishes them, one after the other.
//!
//! Invariant: the queue never holds more than [`QUEUE_BYTES_MAX`] bytes of
//! entries; a batch that does not fit is not taken.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use stencil::NewEntry;

/// Bytes of entries that may wait. A module's entries fit several times.
pub const QUEUE_BYTES_MAX: u64 = 512 << 20;

/// Publishes one batch; calls its second argument whenever it gets on.
pub(crate) type Work = dyn Fn(Vec<NewEntry>, &dyn Fn()) + Send + Sync;

/// A queue and its thread, which is started with the first batch.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    work: Arc<Work>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<NewEntry>,
    waiting_bytes: u64,
    /// How many entries the thread is publishing.
    at_work: u64,
    /// When the thread last got on.
    progress: Option<Instant>,
    running: bool,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get_on(&self) {
        self.state().progress = Some(Instant::now());
        self.changed.notify_all();
    }
}

impl Queue {
    pub(crate) fn new(work: Arc<Work>) -> Self {
        Self { shared: Arc::default(), work }
    }

    /// Takes a batch, or none of it.
    pub(crate) fn push(&self, entries: &[NewEntry]) -> bool {
        let bytes: u64 = entries.iter().map(|entry| entry.bytes.len() as u64).sum();
        let mut state = self.shared.state();
        if state.closed || state.waiting_bytes + bytes > QUEUE_BYTES_MAX {
            return false;
        }
        if !state.running {
            let (shared, work) = (self.shared.clone(), self.work.clone());
            let thread = thread::Builder::new().name("stencil-publish".to_owned());
            if thread.spawn(move || run(&shared, &*work)).is_err() {
                return false;
            }
            state.running = true;
        }
        state.waiting.extend_from_slice(entries);
        state.waiting_bytes += bytes;
        drop(state);
        self.shared.changed.notify_all();
        true
    }

    /// Waits until everything is published, for at most `within` in all and
    /// `stall` without getting on. Gives how many entries it has given up; after
    /// that the queue takes no more.
    pub(crate) fn flush(&self, within: Duration, stall: Duration) -> u64 {
        let started = Instant::now();
        let mut state = self.shared.state();
        loop {
            if state.waiting.is_empty() && state.at_work == 0 {
                return 0;
            }
            let since = state.progress.map_or(started, |progress| progress.max(started));
            let left = (since + stall).min(started + within);
            let left = left.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.closed = true;
                let given_up = state.waiting.len() as u64 + state.at_work;
                state.waiting.clear();
                state.waiting_bytes = 0;
                return given_up;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Queue {
    /// Lets the thread end after the batch that it is at.
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
    }
}

fn run(shared: &Shared, work: &Work) {
    let mut state = shared.state();
    loop {
        if state.waiting.is_empty() {
            if state.closed {
                return;
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let batch = std::mem::take(&mut state.waiting);
        state.waiting_bytes = 0;
        state.at_work = batch.len() as u64;
        drop(state);
        work(batch, &|| shared.get_on());
        state = shared.state();
        state.at_work = 0;
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use stencil::CacheKey;

    const LONG: Duration = Duration::from_secs(60);

    fn entry(bytes: usize) -> NewEntry {
        NewEntry { key: CacheKey::from_bytes([0; 32]), bytes: vec![0; bytes].into() }
    }

    /// A queue whose thread goes on when it is told to.
    fn held() -> (Queue, std::sync::mpsc::Sender<()>, Receiver<usize>) {
        let (go, gone) = channel();
        let (tell, told) = channel();
        let gone = Mutex::new(gone);
        let tell = Mutex::new(tell);
        let work = move |batch: Vec<NewEntry>, progress: &dyn Fn()| {
            tell.lock().unwrap().send(batch.len()).unwrap();
            gone.lock().unwrap().recv().ok();
            progress();
        };
        (Queue::new(Arc::new(work)), go, told)
    }

    #[test]
    fn a_flush_waits_for_what_was_pushed() {
        let (queue, go, told) = held();
        assert!(queue.push(&[entry(1), entry(1)]));
        assert_eq!(told.recv(), Ok(2));
        assert!(queue.push(&[entry(1)]));
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(queue.flush(LONG, LONG), 0);
        assert_eq!(told.recv(), Ok(1));
    }

    #[test]
    fn what_is_not_published_in_time_is_given_up_and_counted() {
        let (queue, _go, told) = held();
        assert!(queue.push(&[entry(1), entry(1)]));
        assert_eq!(told.recv(), Ok(2));
        assert!(queue.push(&[entry(1)]));
        assert_eq!(queue.flush(LONG, Duration::from_millis(1)), 3);
        assert!(!queue.push(&[entry(1)]), "it takes no more");
    }

    #[test]
    fn the_limit_is_the_last_size_that_fits() {
        let (queue, go, told) = held();
        assert!(queue.push(&[entry(1)]));
        assert_eq!(told.recv(), Ok(1));
        // One buffer, so that the test needs no more memory than one of them.
        let part = entry(QUEUE_BYTES_MAX as usize / 8);
        assert!(queue.push(&vec![part.clone(); 8]));
        assert!(!queue.push(&[entry(1)]));
        go.send(()).unwrap();
        assert_eq!(told.recv(), Ok(8));
        assert!(queue.push(&vec![part; 8]), "there is room again");
        drop(go);
    }
}
