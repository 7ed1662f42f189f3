//! What the compiler asks of its store -> a line on the terminal that tells how
//! far it is. In a pipe there is none.

use crate::count::count;
use indicatif::{ProgressBar, ProgressStyle};
use std::borrow::Cow;
use std::io::{self, IsTerminal as _};
use std::time::Duration;
use stencil::{CacheKey, CacheStore, Lookup, NewEntry, PublishSummary};

const TICK: Duration = Duration::from_millis(100);

/// The line, if there is a terminal.
#[derive(Clone)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts a line if stderr is a terminal.
    pub fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            line.set_style(style);
        }
        line.enable_steady_tick(TICK);
        Self(Some(line))
    }

    /// Shows what is being done.
    pub fn stage(&self, text: impl Into<Cow<'static, str>>) {
        if let Some(line) = &self.0 {
            line.set_message(text);
        }
    }

    /// Removes the line.
    pub fn clear(&self) {
        if let Some(line) = &self.0 {
            line.finish_and_clear();
        }
    }

    /// A store that tells this line what is asked of it.
    pub fn watch<'a>(&'a self, store: &'a dyn CacheStore) -> Watched<'a> {
        Watched { progress: self, store }
    }
}

/// See [`Progress::watch`].
pub struct Watched<'a> {
    progress: &'a Progress,
    store: &'a dyn CacheStore,
}

impl CacheStore for Watched<'_> {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.store.get(key)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.store.insert(key, value)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let all = count(keys.len() as u64);
        self.progress.stage(format!("looking up {all} functions"));
        let answers = self.store.lookup(keys);
        let misses = answers.iter().filter(|answer| matches!(answer, Lookup::Miss(_))).count();
        let misses = count(misses as u64);
        self.progress.stage(format!("compiling {misses} of {all} functions"));
        answers
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        let new = count(entries.len() as u64);
        self.progress.stage(format!("linking, and keeping {new} functions"));
        self.store.publish(entries)
    }

    fn replace(&self, entries: &[NewEntry]) -> PublishSummary {
        self.store.replace(entries)
    }

    fn round_trips(&self) -> u64 {
        self.store.round_trips()
    }
}
