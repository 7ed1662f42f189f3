//! A host that compiles through a cache and runs what it gets.
//!
//! `cargo run -p wasm-compiler --example embed`

use cache_client::{DiskConfig, DiskStore, MemoryStore, TieredStore};
use std::error::Error;
use std::sync::Arc;
use wasm_compiler::Compiler;
use wasmtime::{Engine, Instance, Module, Store};

const MEMORY_BYTES: u64 = 64 << 20;

const WAT: &str = r#"
  (module
    (func $square (param i32) (result i32)
      (i32.mul (local.get 0) (local.get 0)))
    (func (export "sum_of_squares") (param i32 i32) (result i32)
      (i32.add (call $square (local.get 0)) (call $square (local.get 1)))))
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::default();
    let compiler = Compiler::for_engine(&engine)?;
    // This process's memory in front of a directory that others share.
    let directory = std::env::temp_dir().join("stencil-embed");
    let store = TieredStore::new(vec![
        Arc::new(MemoryStore::new(MEMORY_BYTES)),
        Arc::new(DiskStore::open(DiskConfig::new(&directory))),
    ]);

    let wasm = wat::parse_str(WAT)?;
    for attempt in ["first", "second"] {
        let (cwasm, report) = compiler.compile(&wasm, &store)?;
        println!(
            "{attempt}: {} of {} lookups hit, {} pieces compiled",
            report.hits.total(),
            report.lookups,
            report.codegen
        );
        // SAFETY: the bytes come from the compiler of this engine's settings, and
        // the cache from a directory that only this user may write.
        let module = unsafe { Module::deserialize(&engine, &cwasm)? };
        let mut host = Store::new(&engine, ());
        let instance = Instance::new(&mut host, &module, &[])?;
        let run = instance.get_typed_func::<(i32, i32), i32>(&mut host, "sum_of_squares")?;
        assert_eq!(run.call(&mut host, (3, 4))?, 25);
    }
    Ok(())
}
