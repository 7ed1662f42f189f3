//! Calls -> those that may run now; the others wait a little or are turned away.
//!
//! Invariant: at most `at_once` calls have passed and at most `waiting` wait.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets a number of calls through at once.
#[derive(Debug)]
pub struct Gate {
    at_once: Arc<Semaphore>,
    waiting: Semaphore,
    wait: Duration,
    at_once_max: u32,
}

/// Too many calls at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// How many may run at once.
    pub at_once_max: u32,
}

impl Gate {
    /// A gate for `at_once_max` calls, before which `waiting_max` may wait for
    /// `wait`.
    pub fn new(at_once_max: u32, waiting_max: u32, wait: Duration) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(at_once_max as usize)),
            waiting: Semaphore::new(waiting_max as usize),
            wait,
            at_once_max,
        }
    }

    /// The call may run until what this gives is dropped.
    ///
    /// # Errors
    ///
    /// [`Busy`].
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, Busy> {
        let busy = Busy { at_once_max: self.at_once_max };
        if let Ok(permit) = Arc::clone(&self.at_once).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| busy)?;
        let turn = Arc::clone(&self.at_once).acquire_owned();
        match tokio::time::timeout(self.wait, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_more_than_fits_waits_and_the_next_is_turned_away() {
        let gate = Arc::new(Gate::new(1, 1, Duration::from_secs(60)));
        let inside = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.map(drop) }
        });
        while gate.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.enter().await.unwrap_err(), Busy { at_once_max: 1 });
        drop(inside);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn who_has_waited_long_enough_is_turned_away() {
        let gate = Gate::new(1, 1, Duration::ZERO);
        let inside = gate.enter().await.unwrap();
        assert_eq!(gate.enter().await.unwrap_err(), Busy { at_once_max: 1 });
        drop(inside);
        assert!(gate.enter().await.is_ok());
    }
}
