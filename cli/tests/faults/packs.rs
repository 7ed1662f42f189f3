//! Every byte of every record in a server's packs damaged, and packs cut -> rows.
//!
//! The server finds the damage by its own checksums: it puts the record aside, counts it as
//! `quarantined`, and has no such entry. For the client it is absent.

use crate::module::Module;
use crate::more;
use crate::server::{Running, once_free};
use crate::table::{Row, Trial};
use crate::tier::{compile_on_server, start_with};
use cache_server::storage::{OpenError, PackStorage, Storage as _, StorageConfig};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stencil::CacheKey;
use tempfile::TempDir;

// As `cache-server/src/storage/record.rs` draws it.
const KEY_AT: usize = 24;
const DATA_LEN_AT: usize = 60;
const HEADER_LEN: usize = 65;

pub fn rows(module: &Module) -> Vec<Row> {
    vec![bytes(module), cut(module)]
}

/// A server on packs, without a memory tier above them.
struct Packs {
    dir: TempDir,
    storage: Arc<PackStorage>,
    server: Running,
}

fn opened(config: StorageConfig) -> PackStorage {
    let is_in_use = |error: &OpenError| matches!(error, OpenError::InUse { .. });
    once_free(|| PackStorage::open(config.clone()), is_in_use)
}

impl Packs {
    fn start(dir: TempDir) -> Self {
        let config = StorageConfig {
            size_max: 1 << 30,
            hot_bytes_max: 0,
            entries_max: 10_000,
            ..StorageConfig::new(dir.path().join("data"))
        };
        let storage = Arc::new(opened(config));
        let server = start_with(storage.clone());
        Self { dir, storage, server }
    }

    fn stop(self) -> TempDir {
        self.server.stop();
        self.dir
    }

    fn filled(module: &Module) -> Self {
        let packs = Self::start(tempfile::tempdir().unwrap());
        let seen = compile_on_server(module, &packs.server.url());
        assert_eq!((seen.stored, seen.is_loud()), (module.entries.len() as u64, false));
        packs
    }
}

/// The packs, oldest first.
fn pack_files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("data/packs")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// A key's record: the last one that was written.
struct Place {
    file: PathBuf,
    start: usize,
    len: usize,
}

fn record(files: &[(PathBuf, Vec<u8>)], key: &CacheKey) -> Place {
    let place = |(file, bytes): &(PathBuf, Vec<u8>)| {
        // The key stands once more in the entry itself, without a mark before it.
        let is_record =
            |window: &[u8]| window.starts_with(b"STR2") && window.ends_with(key.as_bytes());
        let start = bytes.windows(KEY_AT + 32).rposition(is_record)?;
        let len = bytes[start + DATA_LEN_AT..].first_chunk().unwrap();
        Some(Place {
            file: file.clone(),
            start,
            len: HEADER_LEN + u32::from_le_bytes(*len) as usize,
        })
    };
    files.iter().rev().find_map(place).expect("it was published")
}

/// Byte by byte, in every record at once: each is a fault of its own.
fn bytes(module: &Module) -> Row {
    let mut row = Row::new("one byte of a record in a pack", "remote");
    let packs = Packs::filled(module);
    let url = packs.server.url();
    for at in 0.. {
        let read = |file: PathBuf| (file.clone(), fs::read(file).unwrap());
        let files: Vec<_> = pack_files(packs.dir.path()).into_iter().map(read).collect();
        let places = module.entries.iter().map(|entry| record(&files, &entry.key));
        let places: Vec<Place> = places.filter(|place| at < place.len).collect();
        if places.is_empty() {
            break;
        }
        for Place { file, start, .. } in &places {
            let file = File::options().read(true).write(true).open(file).unwrap();
            let (at, mut byte) = ((start + at) as u64, [0]);
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1 << (at % 8)], at).unwrap();
        }
        let before = packs.storage.stats().quarantined;
        let mut under = compile_on_server(module, &url);
        let quarantined = packs.storage.stats().quarantined - before;
        under.count("quarantined by the server", quarantined);
        let (what, faults) = (format!("byte {at}"), places.len() as u64);
        let happened = under.misses == faults && quarantined == faults;
        let trial = Trial::new(&what, under, || compile_on_server(module, &url));
        row.add(Trial { faults, happened, ..trial });
    }
    row
}

/// Cut while the server is down, as by a disk that has lost the end.
fn cut(module: &Module) -> Row {
    let mut row = Row::new("a pack cut to a length, server started again", "remote");
    let len = |dir: &Path| fs::metadata(pack_files(dir).last().unwrap()).unwrap().len();
    let whole = len(Packs::filled(module).stop().path());
    let step = if more() { 16 } else { whole / 12 };
    for to in (0..whole).step_by(step as usize) {
        let dir = Packs::filled(module).stop();
        let last_pack = pack_files(dir.path()).pop().unwrap();
        File::options().write(true).open(last_pack).unwrap().set_len(to).unwrap();
        let packs = Packs::start(dir);
        let url = packs.server.url();
        let mut under = compile_on_server(module, &url);
        let stats = packs.storage.stats();
        under.count("quarantined by the server", stats.quarantined);
        under.count("runs lost, counted by the server", stats.runs_lost);
        let (what, happened) = (format!("{to} of {whole} bytes"), under.misses > 0);
        let trial = Trial::new(&what, under, || compile_on_server(module, &url));
        row.add(Trial { happened, ..trial });
    }
    row
}
