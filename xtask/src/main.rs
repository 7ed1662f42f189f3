//! scratch
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;
use stencil::CacheStore;
use wasm_compiler::{Compiler, NoCache};

#[derive(Default)]
struct Plain(Mutex<HashMap<Vec<u8>, Vec<u8>>>);

impl CacheStore for Plain {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.lock().unwrap().get(key).cloned().map(Cow::Owned)
    }
    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.0.lock().unwrap().insert(key.to_vec(), value);
        true
    }
}

fn main() -> anyhow::Result<()> {
    let engine = wasmtime::Engine::default();
    let compiler = Compiler::for_engine(&engine)?;
    let store = Plain::default();
    for path in std::env::args().skip(1) {
        let wasm = wat::parse_file(&path)?;
        let component = wasmparser_is_component(&wasm);
        let t = Instant::now();
        let stock = if component {
            engine.precompile_component(&wasm)
        } else {
            engine.precompile_module(&wasm)
        };
        let stock = match stock {
            Ok(s) => s,
            Err(e) => {
                println!(
                    "{path}: stock refuses: {e:#} / ours {:?}",
                    compiler.compile(&wasm, &NoCache).err()
                );
                continue;
            }
        };
        let t_stock = t.elapsed();
        let t = Instant::now();
        let (off, _) = compiler.compile(&wasm, &NoCache)?;
        let t_off = t.elapsed();
        let (cold, rc) = compiler.compile(&wasm, &store)?;
        let t = Instant::now();
        let (warm, rw) = compiler.compile(&wasm, &store)?;
        let t_warm = t.elapsed();
        println!(
            "{path}: {} {} {} stock {t_stock:?} off {t_off:?} warm {t_warm:?} | cold hits {}/{} warm {}/{} codegen {} uncached {} entries {} {:?}",
            off == stock,
            cold == stock,
            warm == stock,
            rc.hits.total(),
            rc.lookups,
            rw.hits.total(),
            rw.lookups,
            rw.codegen,
            rw.uncached,
            rc.published.stored_bytes,
            rw.stages
        );
    }
    Ok(())
}
fn wasmparser_is_component(w: &[u8]) -> bool {
    w.get(4..8) == Some(&[0x0d, 0, 1, 0])
}
