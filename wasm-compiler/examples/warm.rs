//! Compiles a file cold once and warm many times from memory: something to
//! profile (`perf record -g target/release/examples/warm FILE 10`).
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;
use stencil::{
    CacheKey, CacheStore, EntryBytes, Lookup, MissReason, NewEntry, PublishSummary, Tier,
};
use wasm_compiler::{Compiler, Options, Settings};

#[derive(Default)]
struct Plain(Mutex<HashMap<CacheKey, EntryBytes>>);

impl CacheStore for Plain {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }
    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }
    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let map = self.0.lock().unwrap();
        keys.iter()
            .map(|k| match map.get(k) {
                Some(b) => Lookup::Hit(b.clone(), Tier::Memory),
                None => Lookup::Miss(MissReason::Absent),
            })
            .collect()
    }
    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        let mut map = self.0.lock().unwrap();
        for e in entries {
            map.insert(e.key, e.bytes.clone());
        }
        PublishSummary::default()
    }
}

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let wasm = std::fs::read(&path).unwrap();
    let compiler = Compiler::new(Settings::from_options(&Options::default()).unwrap()).unwrap();
    let store = Plain::default();
    compiler.compile(&wasm, &store).unwrap();
    for _ in 0..n {
        let t = std::time::Instant::now();
        let (out, r) = compiler.compile(&wasm, &store).unwrap();
        println!("{:?} out {} {:?}", t.elapsed(), out.len(), r.stages);
    }
}
