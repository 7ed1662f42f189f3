//! Entries <-> one database file that all processes of one user share.
//!
//! ```text
//! ~/.cache/stencil/                   directory   0700, ours alone
//!   entries-v1-000001.sqlite          schema      three tables
//!   entries-v1-000001.sqlite-journal  SQLite's: what an interrupted commit undoes
//!   entries.lock                      heal        held while a file is made or deleted
//! ```
//!
//! Invariants:
//! - nothing is opened before the first lookup or publish, and no state of the
//!   files is worse than a miss with a counted reason and a sentence in
//!   [`DiskStore::problems`];
//! - the directory may be deleted, and the file damaged or replaced, at any
//!   time: every operation first sees whether its file is still in place;
//! - a damaged file is followed by an empty one; a sound one is never deleted,
//!   but by [`DiskStore::clear`].

mod directory;
mod error;

mod generation;
mod heal;
mod schema;

mod chunk;
mod plan;
mod read;
mod touch;

mod evict;
mod write;

mod face;
mod stats;

pub use directory::default_directory;
pub use stats::DiskStats;
pub use write::DiskEvent;

use error::DiskError;
use generation::{Generation, lock};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use stencil::{CacheKey, CacheStore as _, Lookup, MissReason};

/// How large the cache may become unless it is told otherwise, in bytes.
pub const CACHE_BYTES_DEFAULT: u64 = 10 << 30;

/// After a failure to open, operations fail at once for this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often an operation starts again because its file went away meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// A report names at most this many problems.
const PROBLEMS_MAX: usize = 16;

/// Where the entries are kept, and how much of the disk they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// The directory; it and its parents are made when they are needed. See
    /// [`default_directory`].
    pub dir: PathBuf,
    /// Limit on the size of the database file, in bytes. Its journal comes on
    /// top while a transaction runs, a few MiB.
    pub size_max: u64,
}

impl DiskConfig {
    /// Entries in `dir`, up to [`CACHE_BYTES_DEFAULT`].
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), size_max: CACHE_BYTES_DEFAULT }
    }
}

/// What [`DiskStore::prune`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneSummary {
    /// Chunks removed.
    pub chunks: u64,
    /// Entries removed.
    pub entries: u64,
    /// Bytes of the entries removed.
    pub entry_bytes: u64,
    /// Size of the file and its companions before and after, in bytes.
    pub file_bytes_before: u64,
    /// See `file_bytes_before`.
    pub file_bytes_after: u64,
    /// Why it was given up.
    pub failure: Option<MissReason>,
}

/// A store in a directory that many processes use at once.
pub struct DiskStore {
    config: DiskConfig,
    observer: fn(DiskEvent),
    state: Mutex<State>,
    problems: Mutex<Vec<String>>,
    touching: Mutex<Option<JoinHandle<()>>>,
}

enum State {
    Closed,
    Open(Arc<Generation>),
    Failed { reason: MissReason, at: Instant },
}

/// A file to work on.
struct Opened {
    generation: Arc<Generation>,
    /// Why its predecessor was given up just now.
    healed: Option<MissReason>,
}

impl DiskStore {
    /// A store in the configured directory. Does nothing yet, so it cannot
    /// fail.
    pub fn open(config: DiskConfig) -> Self {
        Self {
            config,
            observer: |_| {},
            state: Mutex::new(State::Closed),
            problems: Mutex::default(),
            touching: Mutex::default(),
        }
    }

    /// Calls `observer` at every step of every publish.
    pub fn with_observer(mut self, observer: fn(DiskEvent)) -> Self {
        self.observer = observer;
        self
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.config.dir
    }

    /// What went wrong so far: each problem once, one sentence that names the
    /// file and says what to do.
    pub fn problems(&self) -> Vec<String> {
        lock(&self.problems).clone()
    }

    /// Looks up one key.
    pub fn get_one(&self, key: &CacheKey) -> Lookup {
        let answers = self.lookup(std::slice::from_ref(key));
        let answer = answers.into_iter().next();
        answer.unwrap_or(Lookup::Miss(MissReason::Absent))
    }

    /// Figures on what is stored. Makes no files.
    pub fn stats(&self) -> DiskStats {
        let size_max = self.config.size_max;
        let stats = self.if_present(|generation| stats::stats(generation, size_max));
        let nothing = DiskStats { size_max, ..DiskStats::default() };
        match stats {
            Ok(Some(stats)) => stats,
            Ok(None) => nothing,
            Err(reason) => DiskStats { failure: Some(reason), ..nothing },
        }
    }

    /// Evicts until the file has at most `size_max` bytes (or as many as the
    /// store may have), and gives the room back to the file system.
    pub fn prune(&self, size_max: Option<u64>) -> PruneSummary {
        let size_max = size_max.unwrap_or(self.config.size_max);
        let pruned = self.if_present(|generation| {
            heal::sweep_old(&self.config.dir)?;
            let before = stats::file_bytes(generation);
            let evicted = generation
                .write(self.config.size_max, |connection| evict::prune(connection, size_max))?;
            Ok(PruneSummary {
                chunks: evicted.chunks,
                entries: evicted.entries,
                entry_bytes: evicted.bytes,
                file_bytes_before: before,
                file_bytes_after: stats::file_bytes(generation),
                failure: None,
            })
        });
        let pruned = pruned.map(Option::unwrap_or_default);
        pruned.unwrap_or_else(|reason| PruneSummary {
            failure: Some(reason),
            ..PruneSummary::default()
        })
    }

    /// Starts anew with an empty file. Processes that are at work finish on the
    /// old one.
    ///
    /// # Errors
    ///
    /// The reason, if it could not; [`DiskStore::problems`] has the sentence.
    pub fn clear(&self) -> Result<(), MissReason> {
        let dir = &self.config.dir;
        let mut state = lock(&self.state);
        let clear = || {
            directory::prepare(dir)?;
            heal::replace(dir, heal::newest(dir)?)
        };
        *state = State::Closed;
        let mut attempt = 1;
        loop {
            match clear() {
                Err(error) if attempt < ATTEMPTS_MAX && error.is_absence() => attempt += 1,
                cleared => return cleared.map_err(|error| self.note(&error)),
            }
        }
    }

    /// Runs an operation on the file if there is one, without making one.
    fn if_present<T>(
        &self,
        run: impl Fn(&Generation) -> Result<T, DiskError>,
    ) -> Result<Option<T>, MissReason> {
        let dir = &self.config.dir;
        let present = directory::check(dir).and_then(|()| generation::list(dir));
        match present {
            Ok(generations) if generations.is_empty() => return Ok(None),
            Err(error) if error.is_absence() => return Ok(None),
            Err(error) => return Err(self.note(&error)),
            Ok(_) => {}
        }
        let Opened { generation, .. } = self.generation()?;
        match run(&generation) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.give_up(&generation, error)),
        }
    }

    /// The file to work on: the one that is open if it is still in place, or
    /// the newest in the directory, or a new one.
    fn generation(&self) -> Result<Opened, MissReason> {
        let mut state = lock(&self.state);
        match &*state {
            State::Open(generation) if generation.is_in_place() => {
                return Ok(Opened { generation: generation.clone(), healed: None });
            }
            State::Failed { reason, at } if at.elapsed() < RETRY_AFTER => return Err(*reason),
            _ => {}
        }
        match self.open_newest() {
            Ok(opened) => {
                *state = State::Open(opened.generation.clone());
                Ok(opened)
            }
            Err(error) => {
                let reason = self.note(&error);
                let at = Instant::now();
                *state = State::Failed { reason, at };
                Err(reason)
            }
        }
    }

    fn open_newest(&self) -> Result<Opened, DiskError> {
        let dir = &self.config.dir;
        let mut healed = None;
        let mut attempt = 0;
        loop {
            attempt += 1;
            directory::prepare(dir)?;
            let opened = heal::newest(dir).and_then(|number| {
                let opened = Generation::open(dir, number);
                opened.or_else(|error| match error {
                    error if error.is_damage() => {
                        heal::replace(dir, number)?;
                        Err(error)
                    }
                    error => Err(error),
                })
            });
            match opened {
                Ok(generation) => {
                    let generation = Arc::new(generation);
                    return Ok(Opened { generation, healed });
                }
                Err(error) if attempt < ATTEMPTS_MAX && error.is_damage() => {
                    healed = Some(self.note(&error));
                }
                // Another process replaced the file, or deleted the directory.
                Err(error) if attempt < ATTEMPTS_MAX && error.is_absence() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes a failure of an operation, and replaces the file if it is to blame.
    fn give_up(&self, generation: &Arc<Generation>, error: DiskError) -> MissReason {
        let reason = self.note(&error);
        let mut state = lock(&self.state);
        if !matches!(&*state, State::Open(open) if Arc::ptr_eq(open, generation)) {
            return reason;
        }
        if error.is_damage() {
            *state = State::Closed;
            if let Err(error) = heal::replace(&self.config.dir, generation.number) {
                let reason = self.note(&error);
                let at = Instant::now();
                *state = State::Failed { reason, at };
            }
        }
        reason
    }

    fn note(&self, error: &DiskError) -> MissReason {
        let sentence = match error {
            error if error.is_damage() => {
                format!("{error}; it is replaced by an empty one, nothing needs to be done")
            }
            error => error.to_string(),
        };
        let mut problems = lock(&self.problems);
        if problems.len() < PROBLEMS_MAX && !problems.contains(&sentence) {
            problems.push(sentence);
        }
        error.reason()
    }

    /// Notes the use of chunks on a thread, unless one is at it already.
    fn touch(&self, generation: &Arc<Generation>, uses: Vec<plan::LastUse>) {
        let uses = touch::outdated(uses);
        let mut touching = lock(&self.touching);
        if uses.is_empty() || touching.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let (generation, size_max) = (generation.clone(), self.config.size_max);
        let note = move || touch::touch(&generation.path, size_max, &uses);
        *touching = thread::Builder::new().spawn(note).ok();
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        // A process that ends at once would never note what it used.
        if let Some(thread) = lock(&self.touching).take() {
            let _ = thread.join();
        }
    }
}
