//! Failed calls -> whether to make the next one.
//!
//! ```text
//!   closed --3 failures in a row--> open --30 s--> one probe --success--> closed
//!                                     ^---------------failure---'
//! ```
//!
//! Invariant: while it is open no thread waits for the server, and of several
//! threads that ask after the pause exactly one makes the probe.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which the server is left alone.
pub const BREAKER_FAILURES: u32 = 3;

/// For how long.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Since when it is open.
    opened: Option<Instant>,
    probing: bool,
    /// Whether the outage was told about.
    told: bool,
}

/// The right to make one call; what becomes of it has to be said.
#[must_use]
#[derive(Debug)]
pub(crate) struct Admission(());

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may be made `now`.
    pub(crate) fn admit(&self, now: Instant) -> Option<Admission> {
        let mut state = self.state();
        match state.opened {
            None => Some(Admission(())),
            Some(opened) if now.duration_since(opened) >= BREAKER_PAUSE && !state.probing => {
                state.probing = true;
                Some(Admission(()))
            }
            Some(_) => None,
        }
    }

    pub(crate) fn succeeded(&self, _: Admission) {
        *self.state() = State::default();
    }

    /// Says that a call failed; true if this is the first failure of an outage,
    /// to be told about.
    pub(crate) fn failed(&self, _: Admission, now: Instant) -> bool {
        let mut state = self.state();
        state.failures += 1;
        state.probing = false;
        if state.failures >= BREAKER_FAILURES {
            state.opened = Some(now);
        }
        !std::mem::replace(&mut state.told, true)
    }

    /// Says that a call told nothing about the server's health.
    pub(crate) fn undecided(&self, _: Admission) {
        self.state().probing = false;
    }

    /// Whether the last call failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.state().failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, now: Instant) -> bool {
        let admission = breaker.admit(now).unwrap();
        breaker.failed(admission, now)
    }

    #[test]
    fn three_failures_open_it_for_thirty_seconds_and_then_for_one_probe() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        assert!(fail(&breaker, start), "the first failure is told");
        assert!(!fail(&breaker, start), "and no other one");
        assert!(breaker.admit(start).is_some(), "two failures do not open it");
        assert!(!fail(&breaker, start));
        assert!(breaker.admit(start + BREAKER_PAUSE - Duration::from_millis(1)).is_none());

        let later = start + BREAKER_PAUSE;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_none(), "one probe at a time");
        assert!(!breaker.failed(probe, later), "it is the same outage");
        assert!(breaker.admit(later + BREAKER_PAUSE / 2).is_none());

        let probe = breaker.admit(later + BREAKER_PAUSE).unwrap();
        breaker.succeeded(probe);
        assert!(breaker.admit(later + BREAKER_PAUSE).is_some());
        assert!(fail(&breaker, later + BREAKER_PAUSE), "another outage is told again");
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            fail(&breaker, now);
            fail(&breaker, now);
            let admission = breaker.admit(now).unwrap();
            breaker.succeeded(admission);
        }
        assert!(!breaker.is_failing());
    }

    #[test]
    fn being_refused_does_not_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            let admission = breaker.admit(now).unwrap();
            breaker.undecided(admission);
        }
        assert!(breaker.admit(now).is_some());
    }

    #[test]
    fn of_many_threads_one_makes_the_probe() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..BREAKER_FAILURES {
            fail(&breaker, start);
        }
        let later = start + BREAKER_PAUSE;
        let probes: usize = std::thread::scope(|scope| {
            let ask = || usize::from(breaker.admit(later).is_some());
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(probes, 1);
    }
}
