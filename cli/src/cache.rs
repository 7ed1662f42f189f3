//! The chosen directory and size -> the tiers of one command.
//!
//! A command makes one lookup, in which functions of the same key are asked for
//! once; so there is nothing that a tier in its memory could answer before the
//! disk does. Programs that compile again and again put a
//! [`cache_client::MemoryStore`] above, as `wasm-compiler`'s example does.

use crate::config::CacheChoice;
use crate::exit::{self, Failure};
use cache_client::{DiskConfig, DiskStore};
use stencil::CacheStore;
use wasm_compiler::NoCache;

/// The cache of one command.
pub struct Cache {
    disk: Option<DiskStore>,
}

impl Cache {
    /// The chosen cache. Opens nothing yet.
    pub fn open(choice: &CacheChoice) -> Self {
        let disk = disk(choice);
        if disk.is_none() {
            exit::say("warning", &format_args!("{NOWHERE}, so nothing is kept"));
        }
        Self { disk }
    }

    /// The cache, for a command that is about nothing else.
    pub fn require(choice: &CacheChoice) -> Result<DiskStore, Failure> {
        disk(choice).ok_or_else(|| Failure::usage(NOWHERE))
    }

    /// No cache.
    pub fn none() -> Self {
        Self { disk: None }
    }

    /// What the compiler asks.
    pub fn store(&self) -> &dyn CacheStore {
        match &self.disk {
            Some(disk) => disk,
            None => &NoCache,
        }
    }

    /// The directory, if there is one.
    pub fn disk(&self) -> Option<&DiskStore> {
        self.disk.as_ref()
    }

    /// Tells what went wrong with the cache, which never fails a compile.
    pub fn warn(&self) {
        for problem in self.disk.iter().flat_map(DiskStore::problems) {
            exit::say("warning", &problem);
        }
    }
}

fn disk(choice: &CacheChoice) -> Option<DiskStore> {
    let (dir, size_max) = (choice.dir.clone()?, choice.size_max);
    Some(DiskStore::open(DiskConfig { dir, size_max }))
}

const NOWHERE: &str = "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is an \
                       absolute path; set one of them, or give --cache-dir";
