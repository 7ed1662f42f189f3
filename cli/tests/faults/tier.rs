//! Entries, sound or not -> a tier that holds exactly these, ready to be compiled on.

use crate::module::{Module, Seen};
use crate::server::Running;
use bytes::Bytes;
use cache_client::remote::{RemoteConfig, RemoteStore, ServerConfig};
use cache_client::{DiskConfig, DiskStore, MemoryStore};
use cache_server::storage::{
    LookupCounts, MemoryStorage, Next, Published, Storage, StorageError, StorageStats, StoredEntry,
};
use cache_server::{Config, Server};
use proto::{Coded, Namespace, v1::Coding};
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stencil::{CacheKey, CacheStore as _, NewEntry};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A tier in some state.
pub trait State {
    /// Compiles on it, as a process of its own would.
    fn compile(&self) -> Seen;

    /// Ends a fault that is not in what is stored.
    fn mend(&self) {}
}

/// A tier that can be put into any state.
pub trait Tier {
    const NAME: &str;

    fn holding<'a>(&'a self, module: &'a Module, entries: &[NewEntry]) -> Box<dyn State + 'a>;
}

/// The memory of one process.
pub struct Memory;

struct InMemory<'a>(&'a Module, MemoryStore);

impl Tier for Memory {
    const NAME: &str = "memory";

    fn holding<'a>(&'a self, module: &'a Module, entries: &[NewEntry]) -> Box<dyn State + 'a> {
        let store = MemoryStore::new(64 << 20);
        // It takes what it is given: the compiler opens, and so checks, every entry.
        assert_eq!(store.publish(entries).stored, entries.len() as u64);
        Box::new(InMemory(module, store))
    }
}

impl State for InMemory<'_> {
    fn compile(&self) -> Seen {
        self.0.compile(&self.1)
    }
}

/// A cache directory.
pub struct Disk {
    sound: TempDir,
}

struct OnDisk<'a>(&'a Module, TempDir);

impl Disk {
    pub fn new(module: &Module) -> Self {
        let sound = tempfile::tempdir().unwrap();
        let seen = compile_on_disk(module, sound.path());
        assert_eq!((seen.stored, seen.is_loud()), (module.entries.len() as u64, false));
        Self { sound }
    }

    /// A copy of the sound directory.
    pub fn copy(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        self.copy_to(dir.path());
        dir
    }

    pub fn copy_to(&self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
        for file in fs::read_dir(self.sound.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), dir.join(file.file_name())).unwrap();
        }
    }

    /// A copy with its one chunk written anew: the entries' bytes, one after the other, and a
    /// directory that says where each one starts.
    pub fn rewritten(&self, directory: &[u8], data: &[u8]) -> TempDir {
        let dir = self.copy();
        let connection = Connection::open(database(dir.path())).unwrap();
        let written = connection.execute("UPDATE chunk SET directory = ?1", [directory]).unwrap()
            + connection.execute("UPDATE chunk_data SET data = ?1", [data]).unwrap();
        assert_eq!(written, 2, "a small module has one chunk");
        dir
    }
}

/// As `cache-client/src/disk/chunk.rs` draws it.
pub fn chunk(entries: &[NewEntry]) -> (Vec<u8>, Vec<u8>) {
    let (mut directory, mut data) = (Vec::new(), Vec::new());
    for NewEntry { key, bytes } in entries {
        directory.extend(&key.as_bytes()[..8]);
        directory.extend((bytes.len() as u32).to_le_bytes());
        data.extend_from_slice(bytes);
    }
    (directory, data)
}

pub fn database(dir: &Path) -> PathBuf {
    dir.join("entries-v1-000001.sqlite")
}

pub fn compile_on_disk(module: &Module, dir: &Path) -> Seen {
    compile_on_disk_of(module, dir, cache_client::CACHE_BYTES_DEFAULT)
}

pub fn compile_on_disk_of(module: &Module, dir: &Path, size_max: u64) -> Seen {
    let store = DiskStore::open(DiskConfig { dir: dir.to_owned(), size_max });
    let mut seen = module.compile(&store);
    seen.warnings = store.problems();
    seen
}

impl Tier for Disk {
    const NAME: &str = "disk";

    fn holding<'a>(&'a self, module: &'a Module, entries: &[NewEntry]) -> Box<dyn State + 'a> {
        let (directory, data) = chunk(entries);
        Box::new(OnDisk(module, self.rewritten(&directory, &data)))
    }
}

impl State for OnDisk<'_> {
    fn compile(&self) -> Seen {
        compile_on_disk(self.0, self.1.path())
    }
}

/// A server that has sound entries, and gives out what it is told to.
pub struct Remote {
    server: Running,
    answers: Arc<Answers>,
}

struct OnServer<'a>(&'a Module, &'a Remote);

struct Answers {
    stored: MemoryStorage,
    instead: Mutex<HashMap<CacheKey, Coded>>,
}

impl Remote {
    pub fn new(module: &Module) -> Self {
        let (stored, instead) = (MemoryStorage::new(64 << 20), Mutex::default());
        let answers = Arc::new(Answers { stored, instead });
        let server = start_with(answers.clone());
        let seen = compile_on_server(module, &server.url());
        assert_eq!((seen.stored, seen.is_loud()), (module.entries.len() as u64, false));
        Self { server, answers }
    }

    /// The server answers with these as they are.
    pub fn answering<'a>(
        &'a self,
        module: &'a Module,
        instead: impl IntoIterator<Item = (CacheKey, Coded)>,
    ) -> Box<dyn State + 'a> {
        *self.answers.instead.lock().unwrap() = instead.into_iter().collect();
        Box::new(OnServer(module, self))
    }

    pub fn url(&self) -> String {
        self.server.url()
    }
}

pub fn compile_on_server(module: &Module, url: &str) -> Seen {
    let namespace = Namespace::new("default", module.compiler.fingerprint()).unwrap();
    let (server, budget) = (ServerConfig::new(url), Duration::from_secs(60));
    let store = RemoteStore::open(RemoteConfig { server, namespace, budget }).unwrap();
    let mut seen = module.compile(&store);
    let report = store.flush();
    seen.stored = report.published.stored;
    seen.count("conflict", report.published.conflicts);
    seen.refused(&report.published.refused);
    seen.warnings = store.problems();
    seen
}

impl Tier for Remote {
    const NAME: &str = "remote";

    fn holding<'a>(&'a self, module: &'a Module, entries: &[NewEntry]) -> Box<dyn State + 'a> {
        let raw = |bytes: &Bytes| {
            let (coding, entry_bytes) = (Coding::Raw, bytes.len() as u32);
            Coded { coding, entry_bytes, data: bytes.clone() }
        };
        self.answering(module, entries.iter().map(|entry| (entry.key, raw(&entry.bytes))))
    }
}

impl State for OnServer<'_> {
    fn compile(&self) -> Seen {
        compile_on_server(self.0, &self.1.url())
    }

    fn mend(&self) {
        self.1.answers.instead.lock().unwrap().clear();
    }
}

impl Storage for Answers {
    fn lookup(
        &self,
        namespace: &Namespace,
        keys: &[CacheKey],
        found: &mut dyn FnMut(u32, Coded) -> Next,
    ) -> LookupCounts {
        let instead = self.instead.lock().unwrap();
        self.stored.lookup(namespace, keys, &mut |index, coded| {
            let other = instead.get(&keys[index as usize]).cloned();
            found(index, other.unwrap_or(coded))
        })
    }

    fn find_missing(&self, namespace: &Namespace, keys: &[CacheKey]) -> Vec<u32> {
        self.stored.find_missing(namespace, keys)
    }

    fn publish(
        &self,
        namespace: &Namespace,
        entries: Vec<StoredEntry>,
        replace: bool,
    ) -> Result<Published, StorageError> {
        self.stored.publish(namespace, entries, replace)
    }

    fn stats(&self) -> StorageStats {
        self.stored.stats()
    }

    fn close(&self) -> Result<(), StorageError> {
        self.stored.close()
    }
}

/// A server that keeps its entries elsewhere.
pub fn start_with(storage: Arc<dyn Storage>) -> Running {
    let (runtime, directory) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let config = Config::local(directory.path().join("data"));
    let server = runtime.block_on(Server::bind_with(config, storage)).unwrap();
    let mut running = Running::serve(server, runtime);
    running.directory = Some(directory);
    running
}
