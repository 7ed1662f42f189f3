//! What the tiers give is checked before Wasmtime sees it.
//!
//! Method: a first compile fills the tiers; the second one reads them through a
//! store that changes every entry. The control is the same store that does not.

use crate::compile::{simple, through};
use crate::tiers::Watched;
use cache_client::MemoryStore;
use cache_client::wasmtime::{PluginMiss, VERSIONS};
use std::sync::Arc;
use stencil::{CacheKey, CacheStore, EntryBytes, MissReason, StencilBuilder, entry};

/// Manifests are not Wasmtime's blobs; they are left alone, so that the
/// functions' entries are met.
fn is_function(bytes: &EntryBytes) -> bool {
    let version = cranelift_version();
    bytes.get(entry::HEADER_LEN + 1..).is_some_and(|blob| blob.starts_with(version.as_bytes()))
}

fn cranelift_version() -> &'static str {
    VERSIONS.iter().find(|(name, _)| *name == "cranelift-codegen").unwrap().1
}

#[track_caller]
fn check(tamper: fn(&CacheKey, EntryBytes) -> EntryBytes, reason: Option<PluginMiss>) {
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    let cold = through(memory.clone(), &simple(0));
    let warm = through(Arc::new(Watched::lying(memory, tamper)), &simple(0));
    assert!(warm.cwasm == cold.cwasm);
    let Some(reason) = reason else {
        assert_eq!(warm.stats.hits(), warm.stats.gets, "{:?}", warm.stats);
        return;
    };
    // What was compiled again is held and serves its duplicates, as before.
    assert_eq!(warm.stats.hits_prefetched, 0, "{:?}", warm.stats);
    assert_eq!(warm.stats.misses.get(&reason), Some(&warm.stats.misses()), "{:?}", warm.stats);
    assert_eq!(warm.stats.hits(), cold.stats.hits());
}

#[test]
fn an_honest_tier_is_believed() {
    check(|_, bytes| bytes, None);
}

#[test]
fn a_damaged_entry_is_a_miss() {
    let damage = |_: &CacheKey, bytes: EntryBytes| {
        let mut damaged = bytes.to_vec();
        if is_function(&bytes) {
            *damaged.last_mut().unwrap() ^= 1;
        }
        damaged.into()
    };
    check(damage, Some(PluginMiss::Store(MissReason::Checksum)));
}

#[test]
fn an_entry_of_another_key_is_a_miss() {
    let swap = |_: &CacheKey, bytes: EntryBytes| {
        let other = CacheKey::from_bytes([9; 32]);
        if !is_function(&bytes) {
            return bytes;
        }
        entry::seal(&other, &StencilBuilder::new(b"\x070.135.8".to_vec(), 1, 0, 0)).unwrap()
    };
    check(swap, Some(PluginMiss::Store(MissReason::WrongKey)));
}

#[test]
fn a_blob_of_another_version_is_a_miss() {
    let age = |key: &CacheKey, bytes: EntryBytes| {
        if !is_function(&bytes) {
            return bytes;
        }
        let mut blob = entry::open(key, &bytes).unwrap().code().to_vec();
        blob[cranelift_version().len()] ^= 1;
        entry::seal(key, &StencilBuilder::new(blob, 1, 0, 0)).unwrap()
    };
    check(age, Some(PluginMiss::OtherVersion));
}

#[test]
fn a_blob_that_is_not_code_is_compiled_again() {
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    let cold = through(memory.clone(), &simple(0));
    let cut = |key: &CacheKey, bytes: EntryBytes| {
        if !is_function(&bytes) {
            return bytes;
        }
        let blob = entry::open(key, &bytes).unwrap().code();
        let blob = blob[..1 + cranelift_version().len()].to_vec();
        entry::seal(key, &StencilBuilder::new(blob, 1, 0, 0)).unwrap()
    };
    let warm = through(Arc::new(Watched::lying(memory, cut)), &simple(0));
    assert!(warm.cwasm == cold.cwasm);
}

#[test]
fn a_manifest_that_lies_is_no_manifest() {
    let lie = |key: &CacheKey, bytes: EntryBytes| {
        if is_function(&bytes) {
            return bytes;
        }
        entry::seal(key, &StencilBuilder::new(vec![0xff; 100], 1, 0, 0)).unwrap()
    };
    let memory: Arc<dyn CacheStore> = Arc::new(MemoryStore::new(u64::MAX));
    let cold = through(memory.clone(), &simple(0));
    let warm = through(Arc::new(Watched::lying(memory, lie)), &simple(0));
    assert!(warm.cwasm == cold.cwasm);
    assert_eq!(warm.stats.prefetched_keys, 0);
}

#[test]
fn versions_in_the_keys_are_those_of_the_lock_file() {
    let lock = include_str!("../../../Cargo.lock");
    for (name, version) in VERSIONS {
        let package = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&package), "{name} {version}");
        assert_eq!(lock.matches(&format!("name = \"{name}\"\n")).count(), 1, "{name}");
    }
}
