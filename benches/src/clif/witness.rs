//! What a compile asks of its store -> which of the files it writes are of hits.
//!
//! On one thread a function's file is written after the store was asked for the
//! function and before it is asked for the next. So what was found and what was
//! not can be kept in different directories: around each miss the files so far
//! are moved away.
//!
//! Invariant: a function is a miss if it was not found or if it was given back
//! newly compiled, which is what happens to a value that cannot be decoded.

use anyhow::{Context as _, Result};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store in memory that also moves files.
#[derive(Debug)]
pub(super) struct Witness {
    parent: PathBuf,
    clif: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    values: HashMap<Vec<u8>, Vec<u8>>,
    watching: bool,
    /// The file that comes next is that of a function that was compiled.
    in_miss: bool,
    /// Directories with the files of hits.
    kept: Vec<PathBuf>,
    missed: usize,
    /// A store has no errors, so the first is told at the end.
    error: Option<io::Error>,
}

/// What was seen.
pub(super) struct Witnessed {
    /// The files of hits, unordered.
    pub hits: Vec<PathBuf>,
    /// How many files there were of misses.
    pub missed: usize,
}

impl Witness {
    /// A store whose compile writes to a directory in this one.
    pub(super) fn in_directory(parent: &Path) -> io::Result<Self> {
        let clif = parent.join("clif");
        std::fs::create_dir(&clif)?;
        Ok(Self { parent: parent.to_owned(), clif, state: Mutex::default() })
    }

    /// Where the compile has to write.
    pub(super) fn clif_directory(&self) -> &Path {
        &self.clif
    }

    /// From now on files are written.
    pub(super) fn watch(&self) {
        self.state().watching = true;
    }

    /// Ends it.
    pub(super) fn settle(&self) -> Result<Witnessed> {
        let mut state = self.state();
        self.end_miss(&mut state);
        if let Some(error) = state.error.take() {
            return Err(error).context("files of IR cannot be moved");
        }
        let mut hits = Vec::new();
        for directory in state.kept.iter().chain([&self.clif]) {
            for file in std::fs::read_dir(directory)? {
                hits.push(file?.path());
            }
        }
        Ok(Witnessed { hits, missed: state.missed })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts aside the files of the hits before this miss.
    fn begin_miss(&self, state: &mut State) {
        if state.watching && !state.in_miss {
            state.in_miss = true;
            let kept = self.parent.join(format!("hits.{}", state.kept.len()));
            let moved = std::fs::rename(&self.clif, &kept);
            state.kept.push(kept);
            self.renew(state, moved);
        }
    }

    /// Removes the file of the miss, if there was one.
    fn end_miss(&self, state: &mut State) {
        if std::mem::take(&mut state.in_miss) {
            state.missed += 1;
            self.renew(state, std::fs::remove_dir_all(&self.clif));
        }
    }

    fn renew(&self, state: &mut State, cleared: io::Result<()>) {
        if let Err(error) = cleared.and_then(|()| std::fs::create_dir(&self.clif)) {
            state.error.get_or_insert(error);
        }
    }
}

impl wasmtime::CacheStore for Witness {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut state = self.state();
        self.end_miss(&mut state);
        let value = state.values.get(key).cloned();
        if value.is_none() {
            self.begin_miss(&mut state);
        }
        value.map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let mut state = self.state();
        self.begin_miss(&mut state);
        state.values.insert(key.to_vec(), value);
        true
    }
}
