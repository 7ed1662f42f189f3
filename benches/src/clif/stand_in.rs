//! Any question -> the code of an empty function, so that nothing is compiled.
//!
//! What a store gives to Wasmtime has to be decodable; that it is the code of the
//! function that was asked for is trusted. The artifact is then useless, but its
//! functions have been translated and not been optimised.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A store that learns one value, and then answers with it.
#[derive(Debug, Default)]
pub(super) struct StandIn {
    learnt: Mutex<Option<Vec<u8>>>,
    answer: OnceLock<Vec<u8>>,
    refused: Mutex<usize>,
}

impl StandIn {
    /// From now on the smallest value of those so far is the answer; false if there is none.
    pub(super) fn answer(&self) -> bool {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.take().is_some_and(|value| self.answer.set(value).is_ok())
    }

    /// How many functions were compiled although there was an answer.
    pub(super) fn refused(&self) -> usize {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl wasmtime::CacheStore for StandIn {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.answer.get().map(|value| Cow::Borrowed(value.as_slice()))
    }

    fn insert(&self, _: &[u8], value: Vec<u8>) -> bool {
        if self.answer.get().is_some() {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            return false;
        }
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if learnt.as_ref().is_none_or(|smallest| value.len() < smallest.len()) {
            *learnt = Some(value);
        }
        true
    }
}
