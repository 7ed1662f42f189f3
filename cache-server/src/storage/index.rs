//! Runs, namespaces and uses of packs <-> sled's files in `index/`.
//!
//! This is the one file that names sled. sled keeps few and small items: with
//! the entries in it, it took up to ten bytes of disk for each of theirs.
//!
//! Invariants:
//! - when [`Index::commit`] returns, its changes are in sled's log and the log
//!   is on the disk: sled's own flush is `sync_file_range` on Linux, which a
//!   power failure does not survive, so `fdatasync` follows it;
//! - a panic inside sled is an [`IndexError`] like any other.

use crate::storage::StorageError;
use crate::storage::pack::PackId;
use crate::storage::record::NamespaceId;
use crate::storage::run::Run;
use proto::Namespace;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use stencil::Fingerprint;

/// sled's cache of pages.
const CACHE_BYTES: u64 = 8 << 20;
/// sled writes and frees its file in pieces of this size. Pages over a quarter
/// of it become a file each.
const SEGMENT_BYTES: usize = 512 << 10;
/// sled's log and the number of bytes that the fingerprint has in a name.
const LOG: &str = "db";
const FINGERPRINT_LEN: usize = 32;

/// Why the index did not do what it was told.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct IndexError {
    what: String,
    /// Whether its files are to blame, rather than the disk or the rights.
    pub(crate) is_damage: bool,
}

impl IndexError {
    /// It is not open.
    pub(crate) fn closed() -> Self {
        Self { what: "it is closed after a failure".to_owned(), is_damage: false }
    }

    fn damage(what: impl ToString) -> Self {
        Self { what: what.to_string(), is_damage: true }
    }
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        let is_damage = match &error {
            sled::Error::Io(error) => is_damage(error),
            _ => true,
        };
        Self { what: error.to_string(), is_damage }
    }
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        Self { what: error.to_string(), is_damage: is_damage(&error) }
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData)
        || error.kind() == ErrorKind::InvalidInput
}

impl From<IndexError> for StorageError {
    fn from(error: IndexError) -> Self {
        Self::Index(error.what)
    }
}

/// Changes that are made together.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) runs: Vec<Run>,
    pub(crate) namespaces: Vec<(NamespaceId, Namespace)>,
}

/// The database.
#[derive(Debug)]
pub(crate) struct Index {
    db: sled::Db,
    runs: sled::Tree,
    uses: sled::Tree,
    namespaces: sled::Tree,
    log: File,
    dir: PathBuf,
}

fn guarded<T>(what: &str, run: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(_) => Err(IndexError::damage(format!("sled panicked while it was to {what}"))),
    }
}

impl Index {
    /// Opens it, or makes it.
    pub(crate) fn open(dir: &Path) -> Result<Self, IndexError> {
        guarded("open", || {
            let config = sled::Config::default().path(dir).cache_capacity(CACHE_BYTES);
            let config = config.flush_every_ms(None).segment_size(SEGMENT_BYTES);
            let db = config.mode(sled::Mode::LowSpace).open()?;
            let (runs, uses) = (db.open_tree("runs")?, db.open_tree("uses")?);
            let namespaces = db.open_tree("namespaces")?;
            let log = File::open(dir.join(LOG))?;
            Ok(Self { db, runs, uses, namespaces, log, dir: dir.to_owned() })
        })
    }

    /// The packs that have runs.
    pub(crate) fn packs(&self) -> Result<Vec<PackId>, IndexError> {
        guarded("read", || {
            let mut packs = Vec::new();
            let mut from = 0_u64;
            while let Some(item) = self.runs.range(from.to_be_bytes()..).next() {
                let (key, value) = item?;
                let pack = decode(&key, &value)?.pack;
                packs.push(pack);
                match pack.0.checked_add(1) {
                    Some(next) => from = u64::from(next) << 32,
                    None => break,
                }
            }
            Ok(packs)
        })
    }

    /// The runs of one pack.
    pub(crate) fn runs_of(&self, pack: PackId) -> Result<Vec<Run>, IndexError> {
        guarded("read", || {
            let range = Run::key(pack, 0)..=Run::key(pack, u32::MAX);
            let runs = self.runs.range(range).map(|item| {
                let (key, value) = item?;
                decode(&key, &value)
            });
            runs.collect()
        })
    }

    /// The run with the record at `offset`.
    pub(crate) fn run_at(&self, pack: PackId, offset: u32) -> Result<Option<Run>, IndexError> {
        guarded("read", || {
            let range = Run::key(pack, 0)..=Run::key(pack, offset);
            let Some(item) = self.runs.range(range).next_back() else { return Ok(None) };
            let (key, value) = item?;
            decode(&key, &value).map(Some)
        })
    }

    /// All namespaces.
    pub(crate) fn namespaces(&self) -> Result<Vec<(NamespaceId, Namespace)>, IndexError> {
        guarded("read", || {
            let names = self.namespaces.iter().map(|item| {
                let (id, name) = item?;
                let id = <[u8; 4]>::try_from(&*id).map(u32::from_be_bytes);
                let id = id.map_err(|_| IndexError::damage("a namespace has no number"))?;
                let name = decode_name(&name);
                Ok((NamespaceId(id), name.ok_or_else(|| IndexError::damage("no namespace"))?))
            });
            names.collect()
        })
    }

    /// When each pack was used last.
    pub(crate) fn uses(&self) -> Result<Vec<(PackId, u64)>, IndexError> {
        guarded("read", || {
            let uses = self.uses.iter().filter_map(|item| match item {
                Ok((pack, used)) => {
                    let pack = u32::from_be_bytes((*pack).try_into().ok()?);
                    Some(Ok((PackId(pack), u64::from_be_bytes((*used).try_into().ok()?))))
                }
                Err(error) => Some(Err(error.into())),
            });
            uses.collect()
        })
    }

    /// Makes changes that survive everything from now on.
    pub(crate) fn commit(&self, changes: &Changes) -> Result<(), IndexError> {
        guarded("commit", || {
            for (id, namespace) in &changes.namespaces {
                self.namespaces.insert(id.0.to_be_bytes(), encode_name(namespace))?;
            }
            let mut batch = sled::Batch::default();
            for run in &changes.runs {
                batch.insert(&Run::key(run.pack, run.offset), run.encode());
            }
            self.runs.apply_batch(batch)?;
            self.sync()
        })
    }

    fn sync(&self) -> Result<(), IndexError> {
        self.db.flush()?;
        Ok(self.log.sync_data()?)
    }

    /// Forgets runs, not necessarily before the next commit.
    pub(crate) fn forget_runs(&self, runs: &[Run]) -> Result<(), IndexError> {
        guarded("forget", || {
            let mut batch = sled::Batch::default();
            for run in runs {
                batch.remove(&Run::key(run.pack, run.offset));
            }
            Ok(self.runs.apply_batch(batch)?)
        })
    }

    /// Forgets the use of a pack, not necessarily before the next commit.
    pub(crate) fn forget_use(&self, pack: PackId) -> Result<(), IndexError> {
        guarded("forget", || {
            self.uses.remove(pack.0.to_be_bytes())?;
            Ok(())
        })
    }

    /// Forgets a namespace, not necessarily before the next commit.
    pub(crate) fn forget_namespace(&self, id: NamespaceId) -> Result<(), IndexError> {
        guarded("forget", || {
            self.namespaces.remove(id.0.to_be_bytes())?;
            Ok(())
        })
    }

    /// Writes down when packs were used last.
    pub(crate) fn note_uses(&self, uses: &[(PackId, u64)]) -> Result<(), IndexError> {
        guarded("note uses", || {
            let mut batch = sled::Batch::default();
            for (pack, used) in uses {
                batch.insert(&pack.0.to_be_bytes(), &used.to_be_bytes());
            }
            self.uses.apply_batch(batch)?;
            self.sync()
        })
    }

    /// Closes the files.
    pub(crate) fn close(self) {
        // sled synchronises its file when the last of its handles goes, and
        // panics if it cannot; what counts was synchronised before.
        let _ = guarded("close", || {
            drop(self);
            Ok(())
        });
    }

    /// What its files take on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.dir)
    }
}

/// What the files of a directory and those below take on the disk, in bytes.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    let Ok(files) = fs::read_dir(dir) else { return 0 };
    let bytes = files.flatten().map(|file| match file.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&file.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}

fn decode(key: &[u8], value: &[u8]) -> Result<Run, IndexError> {
    Run::decode(key, value).ok_or_else(|| IndexError::damage("an item is no run"))
}

fn encode_name(namespace: &Namespace) -> Vec<u8> {
    let mut name = namespace.fingerprint().as_bytes().to_vec();
    name.extend_from_slice(namespace.project().as_bytes());
    name
}

fn decode_name(name: &[u8]) -> Option<Namespace> {
    let (fingerprint, project) = name.split_first_chunk::<FINGERPRINT_LEN>()?;
    let fingerprint = Fingerprint::from_bytes(*fingerprint);
    Namespace::new(std::str::from_utf8(project).ok()?, fingerprint).ok()
}
