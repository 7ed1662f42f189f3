//! Manifests follow the builds although no entry ever changes.

use crate::compile::{Compiled, compile, simple, through, with};
use crate::tiers::Watched;
use cache_client::MemoryStore;
use cache_client::wasmtime::{WasmtimeConfig, WasmtimeStore};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use stencil::{CacheStore, Lookup};

fn memory() -> Arc<dyn CacheStore> {
    Arc::new(MemoryStore::new(u64::MAX))
}

#[test]
fn rebuilds_write_a_manifest_only_when_there_is_something_new() {
    let memory = memory();
    let mut written = Vec::new();
    for edited in [0, 0, 1, 1, 0, 1] {
        let Compiled { stats, .. } = through(memory.clone(), &simple(edited));
        assert_eq!(stats.conflicts() + stats.manifests.conflicts, 0, "{stats:?}");
        assert!(stats.manifests.refused.is_empty(), "{stats:?}");
        written.push(stats.manifests.stored);
    }
    assert_eq!(written, [1, 0, 1, 0, 0, 0]);
}

#[test]
fn interleaved_builds_neither_conflict_nor_forget() {
    let memory = memory();
    let new = || Arc::new(WasmtimeStore::new(WasmtimeConfig::new(memory.clone())));
    let (one, other) = (new(), new());
    let (first, second) = (one.prefetch(b"ledger"), other.prefetch(b"ledger"));
    compile(&simple(0), Some(one.clone()));
    compile(&simple(1), Some(other.clone()));
    for (guard, store) in [(first, &one), (second, &other)] {
        let summary = guard.finish();
        assert_eq!(summary.conflicts, 0, "{summary:?}");
        assert_eq!(store.stats().manifests.stored, 1);
    }
    for edited in [0, 1] {
        let stats = through(memory.clone(), &simple(edited)).stats;
        assert_eq!(stats.hits_prefetched, stats.gets, "{stats:?}");
    }
}

fn in_week(week: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(week * 7 * 24 * 3600 + 1)
}

#[test]
fn the_manifest_moves_to_the_new_week_and_is_found_for_half_a_year() {
    let memory = memory();
    let at = |clock: fn() -> SystemTime| {
        let mut config = WasmtimeConfig::new(memory.clone());
        config.clock = clock;
        let stats = with(config, &simple(0)).stats;
        (stats.hits_prefetched == stats.gets, stats.manifests.stored)
    };
    assert_eq!(at(|| in_week(1000)), (false, 1));
    assert_eq!(at(|| in_week(1000)), (true, 0));
    assert_eq!(at(|| in_week(1001)), (true, 1));
    assert_eq!(at(|| in_week(1001)), (true, 0));
    assert_eq!(at(|| in_week(1020)), (true, 1));
    assert_eq!(at(|| in_week(1100)), (false, 1));
}

#[test]
fn a_build_that_was_given_up_takes_nothing_out_of_the_manifest() {
    let memory = memory();
    through(memory.clone(), &simple(0));
    for _ in 0..2 {
        let store = WasmtimeStore::new(WasmtimeConfig::new(memory.clone()));
        drop(store.prefetch(b"ledger"));
        assert_eq!(store.stats().manifests.stored, 0);
    }
    let stats = through(memory, &simple(0)).stats;
    assert_eq!(stats.hits_prefetched, stats.gets);
}

#[test]
fn an_older_modules_guard_does_not_end_the_next_one() {
    let store = Arc::new(WasmtimeStore::new(WasmtimeConfig::new(memory())));
    let older = store.prefetch(b"older");
    let newer = store.prefetch(b"newer");
    drop(older);
    compile(&simple(0), Some(store.clone()));
    assert!(newer.finish().stored > 1);
    assert_eq!(store.stats().manifests.stored, 1);
}

#[test]
fn a_module_of_another_name_has_another_manifest() {
    let memory = memory();
    through(memory.clone(), &simple(0));
    let store = WasmtimeStore::new(WasmtimeConfig::new(memory));
    assert_eq!(store.prefetch(b"other").entries(), 0);
    assert!(store.prefetch(b"ledger").entries() > 0);
}

#[test]
fn a_crowded_week_stops_writing_and_goes_on_hitting() {
    let memory = memory();
    let mut refused = 0;
    for n in 0..80_u32 {
        // Each build has new keys, and uses half of the last one's.
        let body = |n: u32| format!("(func (result i32) i32.const {n} i32.const 3 i32.mul)");
        let wasm = format!("(module {}{})", body(n), body(n + 1));
        let stats = through(memory.clone(), wasm.as_bytes()).stats;
        assert_eq!(stats.conflicts() + stats.manifests.conflicts, 0);
        refused += stats.manifests.refused.values().sum::<u64>();
    }
    assert!(refused > 0);
}

#[test]
fn a_store_that_does_not_answer_gets_no_manifest() {
    struct Silent;
    impl CacheStore for Silent {
        fn get(&self, _: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
            None
        }
        fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
            false
        }
        fn lookup(&self, keys: &[stencil::CacheKey]) -> Vec<Lookup> {
            vec![Lookup::Miss(stencil::MissReason::Timeout); keys.len()]
        }
    }
    let watched = Arc::new(Watched::new(Arc::new(Silent)));
    let compiled = through(watched.clone(), &simple(0));
    assert!(compiled.cwasm == compile(&simple(0), None));
    assert_eq!(watched.publishes().iter().sum::<usize>() as u64, compiled.stats.inserts);
    assert_eq!(compiled.stats.manifests.refused.get(&stencil::MissReason::Timeout), Some(&1));
}
