//! Records <-> an append-only pack file, `packs/NNNNNNNN.pack`.
//!
//! Invariants:
//! - a byte that was committed is never written again, but for the mark of a
//!   dead record; so a place names the same bytes as long as its pack is there;
//! - a number is never given to a second pack while an index remembers the
//!   first;
//! - a pack that is removed stays readable for those who have it open.

use crate::storage::StorageError;
use crate::storage::record::{self, Body, Header, NamespaceId, Record};
use crate::storage::seal::{Seal, Secret};
use bytes::Bytes;
use proto::Namespace;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use stencil::CacheKey;

/// A pack's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackId(pub(crate) u32);

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) pack: PackId,
    /// Of its first byte, in bytes.
    pub(crate) offset: u32,
    /// Of the whole record, in bytes.
    pub(crate) len: u32,
}

/// Files are charged in blocks of this many bytes.
const BLOCK_BYTES: u64 = 4096;

/// A scan reads this many bytes at a time, or a whole record.
const WINDOW_BYTES: usize = 4 << 20;

/// A pack file that is open.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) id: PackId,
    secret: Secret,
    path: PathBuf,
    file: File,
    len: AtomicU64,
    used: AtomicU64,
}

/// What a scan found, one after the other without gaps.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) what: ScannedAs,
}

/// See [`Scanned`].
#[derive(Debug)]
pub(crate) enum ScannedAs {
    /// A sound entry.
    Entry { namespace: NamespaceId, key: CacheKey, entry_bytes: u32 },
    /// The name of a namespace.
    Name(NamespaceId, Namespace),
    /// A record that is marked as dead.
    Dead,
    /// Not a record.
    Garbage,
}

/// Says what was done to which file.
pub(crate) fn io_error(what: &str, path: &Path, error: io::Error) -> StorageError {
    StorageError::Io { what: format!("cannot {what} {}", path.display()), error }
}

/// Makes the names in a directory survive a power failure.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| io_error("synchronise", dir, error))
}

/// The packs in a directory. Files with other names are not ours.
pub(crate) fn list(dir: &Path) -> Result<Vec<PackId>, StorageError> {
    let read = |error| io_error("read", dir, error);
    let mut packs = Vec::new();
    for file in fs::read_dir(dir).map_err(read)? {
        let name = file.map_err(read)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".pack"));
        let number = number.filter(|digits| digits.len() == 8);
        packs.extend(number.and_then(|digits| u32::from_str_radix(digits, 16).ok()).map(PackId));
    }
    packs.sort_unstable();
    Ok(packs)
}

impl Pack {
    /// Makes an empty pack.
    pub(crate) fn create(dir: &Path, id: PackId, secret: Secret) -> Result<Self, StorageError> {
        let pack = Self::at(dir, id, secret, OpenOptions::new().create_new(true).mode(0o600))?;
        sync_dir(dir)?;
        Ok(pack)
    }

    /// Opens a pack that is there.
    pub(crate) fn open(dir: &Path, id: PackId, secret: Secret) -> Result<Self, StorageError> {
        Self::at(dir, id, secret, &mut OpenOptions::new())
    }

    fn at(
        dir: &Path,
        id: PackId,
        secret: Secret,
        options: &mut OpenOptions,
    ) -> Result<Self, StorageError> {
        let path = dir.join(format!("{:08x}.pack", id.0));
        let file = options.read(true).write(true).open(&path);
        let opened = file.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = opened.map_err(|error| io_error("open", &path, error))?;
        Ok(Self { id, secret, path, file, len: AtomicU64::new(len), used: AtomicU64::new(0) })
    }

    /// Its committed length, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// What it takes on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.len().next_multiple_of(BLOCK_BYTES)
    }

    /// When it was used last, by the storage's clock.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Notes a use.
    pub(crate) fn touch(&self, now: u64) {
        self.used.fetch_max(now, Ordering::Relaxed);
    }

    /// Writes behind what is committed, without committing it.
    pub(crate) fn append(&self, at: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let written = self.file.write_all_at(bytes, at).and_then(|()| self.file.sync_data());
        written.map_err(|error| io_error("append to", &self.path, error))
    }

    /// What was appended belongs to it from now on.
    pub(crate) fn commit(&self, len: u64) {
        self.len.store(len, Ordering::Relaxed);
    }

    /// Cuts off what is behind `len`.
    pub(crate) fn cut(&self, len: u64) -> Result<(), StorageError> {
        let cut = self.file.set_len(len).and_then(|()| self.file.sync_data());
        cut.map_err(|error| io_error("shorten", &self.path, error))?;
        self.commit(len);
        Ok(())
    }

    /// Marks the record at `offset` as dead, before the next
    /// [`sync`](Self::sync).
    pub(crate) fn kill(&self, offset: u32) -> Result<(), StorageError> {
        let killed = self.file.write_all_at(&record::DEAD, u64::from(offset));
        killed.map_err(|error| io_error("write to", &self.path, error))
    }

    /// Makes what was written survive a power failure.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(|error| io_error("synchronise", &self.path, error))
    }

    /// Reads a range. What is behind the end of the file is left out.
    pub(crate) fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes.into())
    }

    /// Deletes the file.
    pub(crate) fn remove(&self) -> Result<(), StorageError> {
        fs::remove_file(&self.path).map_err(|error| io_error("remove", &self.path, error))
    }

    /// Reads every record from `from` to `to`, and what is between them. Where
    /// the last record has lost its end, the scan ends: what follows is its data.
    pub(crate) fn scan(&self, from: u64, to: u64) -> Result<Vec<Scanned>, StorageError> {
        let mut window = Window { pack: self, start: from, bytes: Bytes::new() };
        let mut found = Vec::new();
        let mut at = from;
        let mut garbage_from = from;
        while at < to {
            let record = window.record(at, to)?;
            let is_behind_a_record = record.is_none() && garbage_from == at;
            if is_behind_a_record && to == self.len() && window.is_torn(at, to)? {
                break;
            }
            let next = match &record {
                Some((len, _)) => at + *len as u64,
                None => window.next_mark(at + 1, to)?,
            };
            if record.is_some() && garbage_from < at {
                found.push(scanned(garbage_from, at, ScannedAs::Garbage));
            }
            if let Some((_, what)) = record {
                found.push(scanned(at, next, what));
                garbage_from = next;
            }
            at = next;
        }
        if garbage_from < to {
            found.push(scanned(garbage_from, to, ScannedAs::Garbage));
        }
        Ok(found)
    }
}

fn scanned(from: u64, to: u64, what: ScannedAs) -> Scanned {
    Scanned { offset: from as u32, len: (to - from) as u32, what }
}

/// A part of a pack, for a scan.
struct Window<'a> {
    pack: &'a Pack,
    start: u64,
    bytes: Bytes,
}

impl Window<'_> {
    /// `len` bytes at `at`, or as many as there are.
    fn get(&mut self, at: u64, len: usize) -> Result<Bytes, StorageError> {
        let skip = at.saturating_sub(self.start) as usize;
        if at < self.start || skip + len > self.bytes.len() {
            let read = self.pack.read(at, len.max(WINDOW_BYTES));
            self.bytes = read.map_err(|error| io_error("read", &self.pack.path, error))?;
            self.start = at;
        }
        let skip = (at - self.start) as usize;
        let end = (skip + len).min(self.bytes.len());
        Ok(self.bytes.slice(skip.min(end)..end))
    }

    fn record(&mut self, at: u64, to: u64) -> Result<Option<(usize, ScannedAs)>, StorageError> {
        let header = Header::of(&self.get(at, record::HEADER_LEN)?);
        let Some(header) = header.filter(|header| at + header.record_len() as u64 <= to) else {
            return Ok(None);
        };
        let len = header.record_len();
        let bytes = self.get(at, len)?;
        let seal = self.seal(at);
        if header.is_dead() {
            return Ok(Record::open_dead(seal, &bytes).ok().map(|_| (len, ScannedAs::Dead)));
        }
        let Ok(Record { namespace, key, body }) = Record::open(seal, &bytes) else {
            return Ok(None);
        };
        let what = match body {
            Body::Name(name) => ScannedAs::Name(namespace, name),
            Body::Entry(coded) => {
                ScannedAs::Entry { namespace, key, entry_bytes: coded.entry_bytes }
            }
        };
        Ok(Some((len, what)))
    }

    fn seal(&self, at: u64) -> Seal {
        self.pack.secret.seal(Place { pack: self.pack.id, offset: at as u32, len: 0 })
    }

    /// Whether a record starts here that would end behind `to`.
    fn is_torn(&mut self, at: u64, to: u64) -> Result<bool, StorageError> {
        let header = Header::of(&self.get(at, record::HEADER_LEN)?);
        Ok(header.is_some_and(|header| at + header.record_len() as u64 > to))
    }

    /// What is there from `at`, and more only if that is next to nothing.
    fn there(&mut self, at: u64, to: u64) -> Result<Bytes, StorageError> {
        let end = self.start + self.bytes.len() as u64;
        let there = if at < self.start { 0 } else { end.saturating_sub(at) };
        let len = if there < 4 { WINDOW_BYTES as u64 } else { there };
        self.get(at, len.min(to - at) as usize)
    }

    /// Where the next record may start.
    fn next_mark(&mut self, mut at: u64, to: u64) -> Result<u64, StorageError> {
        while at < to {
            let bytes = self.there(at, to)?;
            let is_mark = |window: &[u8]| window == record::LIVE || window == record::DEAD;
            if let Some(skip) = bytes.windows(4).position(is_mark) {
                return Ok(at + skip as u64);
            }
            if bytes.len() < 4 {
                break;
            }
            at += bytes.len() as u64 - 3;
        }
        Ok(to)
    }
}
