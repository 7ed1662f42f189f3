//! Stock Wasmtime's incremental cache <-> the tiers: [`WasmtimeStore`].
//!
//! For programs that compile with Wasmtime itself:
//!
//! ```no_run
//! use cache_client::{DiskConfig, DiskStore, wasmtime::{WasmtimeConfig, WasmtimeStore}};
//! use std::sync::Arc;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = DiskStore::open(DiskConfig::new("/tmp/stencil"));
//! let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(Arc::new(disk))));
//! let mut config = wasmtime::Config::new();
//! config.enable_incremental_compilation(store.clone())?;
//! let engine = wasmtime::Engine::new(&config)?;
//!
//! let prefetched = store.prefetch(b"plugins/app.wasm");
//! let cwasm = engine.precompile_module(&std::fs::read("plugins/app.wasm")?)?;
//! prefetched.finish();
//! println!("{:?}", store.stats());
//! # Ok(())
//! # }
//! ```
//!
//! Wasmtime asks for one key a call, on the thread that compiles, and waits. So
//! [`WasmtimeStore::prefetch`] fetches what the module used last time with two
//! lookups; a key that is not among it is asked for only while that is cheap.
//! New entries go out in batches, behind Wasmtime's back.
//!
//! Invariants:
//! - a get or insert waits for no other thread's use of the tiers, and nothing
//!   here fails a compile;
//! - what Wasmtime is given was sealed under the key that it asked for, by this
//!   plugin in front of this version of the compiler;
//! - every get and every entry that got lost is in [`WasmtimeStats`], as far as
//!   the tiers say so at once: what a server's tier has queued is in its own
//!   report, after its `flush`.
//!
//! A checksum does not tell who wrote an entry: whoever may publish to the tiers
//! may run code in this process.

mod namespace;

mod blob;

mod manifest_log;
mod record;

mod session;

mod economics;

mod publisher;

mod prefetch;
mod stats;

pub use namespace::VERSIONS;
pub use prefetch::Prefetched;
pub use stats::{PluginMiss, WasmtimeStats};

use blob::BlobVersion;
use economics::Economics;
use namespace::Namespace;
use publisher::Publisher;
use session::{Known, Origin, Session};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use stencil::{CacheKey, CacheStore, Fingerprint, Lookup, MissReason, NewEntry};

/// What a [`WasmtimeStore`] is made of.
#[derive(Clone)]
#[non_exhaustive]
pub struct WasmtimeConfig {
    /// Where entries are kept, usually a [`crate::TieredStore`].
    pub tiers: Arc<dyn CacheStore>,
    /// Named values that go into every key beside the versions: programs share
    /// entries only if theirs are the same.
    pub fingerprint_parts: Vec<(String, Vec<u8>)>,
    /// How many bytes of entries are held for the module that is compiled, by
    /// default 1 GiB.
    pub held_bytes_max: u64,
    /// How many bytes of new entries may wait to be published, by default
    /// 256 MiB. Entries beyond are dropped and counted.
    pub queued_bytes_max: u64,
    /// Says which week it is; manifests are filed by weeks.
    pub clock: fn() -> SystemTime,
}

impl WasmtimeConfig {
    /// The defaults over `tiers`.
    pub fn new(tiers: Arc<dyn CacheStore>) -> Self {
        Self {
            tiers,
            fingerprint_parts: Vec::new(),
            held_bytes_max: 1 << 30,
            queued_bytes_max: 256 << 20,
            clock: SystemTime::now,
        }
    }
}

/// The fingerprint of this build of Wasmtime and of a user's parts: the namespace
/// for the plugin's entries on a server.
pub fn fingerprint(parts: &[(String, Vec<u8>)]) -> Fingerprint {
    Namespace::new(parts).fingerprint()
}

/// A store for [`wasmtime::Config::enable_incremental_compilation`].
///
/// Compile one module at a time through one store: the keys that Wasmtime asks
/// for do not say which module they belong to. To compile several at once, make
/// a store for each, over the same tiers.
pub struct WasmtimeStore {
    config: WasmtimeConfig,
    namespace: Namespace,
    version: BlobVersion,
    made: Instant,
    session: Mutex<Session>,
    economics: Mutex<Economics>,
    stats: Mutex<WasmtimeStats>,
    publisher: Publisher,
}

thread_local! {
    /// The last key that this thread missed, and when: Wasmtime compiles it next
    /// and inserts it on the same thread.
    static MISSED: Cell<Option<(CacheKey, Instant)>> = const { Cell::new(None) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each of them is whole between any two statements that change it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WasmtimeStore {
    /// A store over the configured tiers. Asks them nothing yet.
    pub fn new(config: WasmtimeConfig) -> Self {
        Self {
            namespace: Namespace::new(&config.fingerprint_parts),
            version: BlobVersion::own(),
            made: Instant::now(),
            session: Mutex::default(),
            economics: Mutex::new(Economics::new()),
            stats: Mutex::default(),
            publisher: Publisher::new(config.tiers.clone()),
            config,
        }
    }

    /// What all keys of this store have in common.
    pub fn fingerprint(&self) -> Fingerprint {
        self.namespace.fingerprint()
    }

    /// What happened so far.
    pub fn stats(&self) -> WasmtimeStats {
        let published = self.publisher.published();
        let mut stats = lock(&self.stats).clone();
        stats.published = published.summary;
        stats.publishes = published.publishes;
        stats
    }

    /// The blob for a key and how it came here, or why there is none.
    fn find(&self, key: &CacheKey) -> Result<(Vec<u8>, Origin), PluginMiss> {
        let known = lock(&self.session).find(key);
        match known {
            Some(Known::Entry(bytes, origin)) => {
                Ok((self.version.open(key, &bytes)?.to_vec(), origin))
            }
            Some(Known::Missing(reason)) => Err(PluginMiss::Store(reason)),
            None => self.ask(key),
        }
    }

    /// Asks the tiers for one key, if that pays.
    fn ask(&self, key: &CacheKey) -> Result<(Vec<u8>, Origin), PluginMiss> {
        let leave = lock(&self.economics).may_ask(self.made.elapsed());
        let leave = leave.ok_or(PluginMiss::NotAsked)?;
        let start = Instant::now();
        let answer = self.config.tiers.lookup(std::slice::from_ref(key)).pop();
        let took = start.elapsed();
        let found = match answer {
            Some(Lookup::Hit(bytes, _)) => {
                self.version.open(key, &bytes).map(<[u8]>::to_vec).map(|blob| (blob, bytes))
            }
            Some(Lookup::Miss(reason)) => Err(PluginMiss::Store(reason)),
            None => Err(PluginMiss::Store(MissReason::Absent)),
        };
        lock(&self.economics).asked(leave, took, found.is_ok());
        let mut stats = lock(&self.stats);
        stats.asked += 1;
        stats.asking += took;
        drop(stats);
        let (blob, bytes) = found?;
        let mut session = lock(&self.session);
        session.hold(*key, bytes, Origin::Held, self.config.held_bytes_max);
        session.mark_used(key);
        Ok((blob, Origin::Asked))
    }

    /// Takes the time since this thread missed `key`.
    fn learn_compile_time(&self, key: &CacheKey) -> Option<Duration> {
        let (_, missed) = MISSED.take().filter(|(missed, _)| missed == key)?;
        let took = missed.elapsed();
        lock(&self.economics).compiled(took);
        Some(took)
    }

    /// Holds and queues a compiled function.
    fn keep(&self, key: CacheKey, blob: Vec<u8>) -> Result<(), MissReason> {
        if !self.version.is_of(&blob) {
            return Err(MissReason::Version);
        }
        let bytes = blob::seal(&key, blob).map_err(|error| MissReason::from(&error))?;
        let mut session = lock(&self.session);
        session.hold(key, bytes.clone(), Origin::Held, self.config.held_bytes_max);
        session.mark_used(&key);
        drop(session);
        self.publisher.push(NewEntry { key, bytes }, self.config.queued_bytes_max)
    }
}

impl wasmtime::CacheStore for WasmtimeStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let key = self.namespace.function(key);
        let found = self.find(&key);
        let mut stats = lock(&self.stats);
        stats.gets += 1;
        match found {
            Ok((blob, origin)) => {
                *match origin {
                    Origin::Prefetched => &mut stats.hits_prefetched,
                    Origin::Held => &mut stats.hits_held,
                    Origin::Asked => &mut stats.hits_asked,
                } += 1;
                Some(Cow::Owned(blob))
            }
            Err(reason) => {
                stats.miss(reason);
                drop(stats);
                MISSED.set(Some((key, Instant::now())));
                None
            }
        }
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let key = self.namespace.function(key);
        let compile_time = self.learn_compile_time(&key);
        let kept = self.keep(key, value);
        let mut stats = lock(&self.stats);
        stats.inserts += 1;
        if let Some(took) = compile_time {
            stats.compiling += took;
            stats.compiled += 1;
        }
        if let Err(reason) = kept {
            *stats.inserts_refused.entry(reason).or_default() += 1;
        }
        kept.is_ok()
    }
}

impl Drop for WasmtimeStore {
    fn drop(&mut self) {
        self.end(None, false);
    }
}

impl fmt::Debug for WasmtimeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmtimeStore")
            .field("fingerprint", &self.fingerprint())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
