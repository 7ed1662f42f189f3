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

/// Publishes one batch; calls its second argument whenever it gets on. What it
/// gives is called if nobody has given the batch up meanwhile: it counts what
/// became of it.
pub(crate) type Work = dyn Fn(Vec<NewEntry>, &dyn Fn()) -> Count + Send + Sync;

/// See [`Work`]. It must not use the queue.
pub(crate) type Count = Box<dyn FnOnce() + Send>;

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
    /// How many entries the thread is publishing that are waited for.
    at_work: u64,
    /// How often everything was given up.
    given_up: u64,
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
    /// `stall` without getting on. Then gives up what is left, and tells how many
    /// entries that is.
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
                let given_up = state.waiting.len() as u64 + state.at_work;
                state.given_up += 1;
                state.at_work = 0;
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
        let given_up = state.given_up;
        drop(state);
        let count = work(batch, &|| shared.get_on());
        state = shared.state();
        if state.given_up == given_up {
            count();
            state.at_work = 0;
        }
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use stencil::CacheKey;

    const LONG: Duration = Duration::from_secs(60);

    fn entry(bytes: usize) -> NewEntry {
        NewEntry { key: CacheKey::from_bytes([0; 32]), bytes: vec![0; bytes].into() }
    }

    /// A queue whose thread goes on when it is told to.
    fn held() -> (Queue, Sender<()>, Receiver<usize>) {
        held_counting(&Arc::default())
    }

    /// The same; what was counted is added up.
    fn held_counting(counted: &Arc<Mutex<usize>>) -> (Queue, Sender<()>, Receiver<usize>) {
        let counted = counted.clone();
        let (go, gone) = channel();
        let (tell, told) = channel();
        let gone = Mutex::new(gone);
        let tell = Mutex::new(tell);
        let work = move |batch: Vec<NewEntry>, progress: &dyn Fn()| {
            tell.lock().unwrap().send(batch.len()).unwrap();
            gone.lock().unwrap().recv().ok();
            progress();
            let counted = counted.clone();
            let count: Count = Box::new(move || *counted.lock().unwrap() += batch.len());
            count
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
    fn what_is_not_published_in_time_is_given_up_and_counted_once() {
        let counted = Arc::default();
        let (queue, go, told) = held_counting(&counted);
        assert!(queue.push(&[entry(1), entry(1)]));
        assert_eq!(told.recv(), Ok(2));
        assert!(queue.push(&[entry(1)]));
        assert_eq!(queue.flush(LONG, Duration::from_millis(1)), 3);
        assert_eq!(queue.flush(LONG, LONG), 0, "there is nothing left to wait for");

        assert!(queue.push(&[entry(1), entry(1), entry(1)]), "it goes on");
        go.send(()).unwrap();
        assert_eq!(told.recv(), Ok(3));
        go.send(()).unwrap();
        assert_eq!(queue.flush(LONG, LONG), 0);
        assert_eq!(*counted.lock().unwrap(), 3, "not what was given up");
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
