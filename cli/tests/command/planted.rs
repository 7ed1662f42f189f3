//! A cache that a compile has filled -> the same with a sound entry that holds
//! other code.

use crate::sandbox::{Sandbox, ledger};
use cache_client::remote::{RemoteConfig, RemoteStore, ServerConfig};
use cache_client::{DiskConfig, DiskStore};
use oracle::recorder::Recorder;
use proto::Namespace;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;
use stencil::{CacheKey, CacheStore as _, EntryBytes, Lookup, NewEntry};
use wasm_compiler::{Compiler, NoCache, Options, Settings};

/// The keys that a compile of the program asks for, in its order.
pub fn keys() -> &'static [CacheKey] {
    static KEYS: OnceLock<Vec<CacheKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let recorder = Recorder::new(&NoCache);
        compiler().compile(&fs::read(ledger()).unwrap(), &recorder).unwrap();
        recorder.keys()
    })
}

/// A compiler with the command's default settings.
pub fn compiler() -> Compiler {
    Compiler::new(Settings::from_options(&Options::default()).unwrap()).unwrap()
}

/// A server's entries for that compiler, without the command.
pub fn remote(url: &str) -> RemoteStore {
    let namespace = Namespace::new("default", compiler().fingerprint()).unwrap();
    let (server, budget) = (ServerConfig::new(url), Duration::from_secs(60));
    RemoteStore::open(RemoteConfig { server, namespace, budget }).unwrap()
}

/// The program's entries in a cache.
pub fn entries(sandbox: &Sandbox) -> Vec<(CacheKey, EntryBytes)> {
    let answers = DiskStore::open(DiskConfig::new(sandbox.cache())).lookup(keys());
    let found = keys().iter().zip(answers).filter_map(|(key, answer)| match answer {
        Lookup::Hit(bytes, _) => Some((*key, bytes)),
        Lookup::Miss(_) => None,
    });
    found.collect()
}

/// An entry with another function's code, and what it stands in for.
pub struct Planted {
    pub wrong: NewEntry,
    pub right: EntryBytes,
}

/// Makes a wrong entry for one of a cache's keys.
pub fn forge(sandbox: &Sandbox) -> Planted {
    let entries = entries(sandbox);
    let code_len = |key, bytes| stencil::entry::open(key, bytes).unwrap().code().len();
    let victim = entries.iter().find(|(key, bytes)| code_len(key, bytes) > 16);
    let (key, right) = victim.unwrap();
    let others = entries.iter().map(|(key, bytes)| (key, bytes));
    let bytes = oracle::forged::other_code(key, right, others);
    Planted { wrong: NewEntry { key: *key, bytes }, right: right.clone() }
}

/// Makes one, and puts it in place of the right one.
pub fn plant(sandbox: &Sandbox) -> Planted {
    let planted = forge(sandbox);
    let disk = DiskStore::open(DiskConfig::new(sandbox.cache()));
    assert_eq!(disk.replace(std::slice::from_ref(&planted.wrong)).stored, 1);
    assert_eq!(found(sandbox, &planted.wrong.key), planted.wrong.bytes);
    planted
}

/// What a new process finds under a key.
pub fn found(sandbox: &Sandbox, key: &CacheKey) -> EntryBytes {
    match DiskStore::open(DiskConfig::new(sandbox.cache())).get_one(key) {
        Lookup::Hit(bytes, _) => bytes,
        Lookup::Miss(reason) => panic!("{key} is not there: {reason}"),
    }
}
