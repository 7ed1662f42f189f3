//! A module -> the IR that Wasmtime's front end makes of it, a function at a time.
//!
//! Wasmtime can write IR, but writes what is left of it after the optimiser. A
//! function that its incremental cache has is not optimised, so the module is
//! compiled twice with one store, and [`witness`] tells the files of hits, which
//! hold what the front end made, from those of misses, which are dropped.

mod unnamed;
mod witness;

use anyhow::{Context as _, Result};
use cranelift_codegen::ir;
use std::path::Path;
use std::sync::Arc;
use wasmtime::{Config, Engine};
use witness::Witness;

/// One function as the front end made it.
pub struct FrontEndFunction {
    /// Wasmtime's name of it, such as `wasm[0]::function[12]`.
    pub name: String,
    /// Length of its IR as text, in bytes.
    pub text_bytes: usize,
    /// The IR, read from that text.
    pub function: ir::Function,
}

/// What came of a module.
#[derive(Default)]
pub struct FrontEndIr {
    /// Functions and trampolines, in the order of their names.
    pub functions: Vec<FrontEndFunction>,
    /// How many were compiled in the second run too, so that their IR is not to be had.
    pub dropped: usize,
    /// Names and errors of those whose text could not be read.
    pub unreadable: Vec<(String, String)>,
}

/// The IR of every function and trampoline of the module.
///
/// It takes two compiles on one thread. The text is in a directory for temporary
/// files meanwhile, about 40 times the module's size.
///
/// # Errors
///
/// If the module does not compile, or the text cannot be written.
pub fn front_end_ir(wasm: &[u8]) -> Result<FrontEndIr> {
    let wasm = unnamed::without_names(wasm)?;
    let directory = tempfile::tempdir()?;
    let witness = Arc::new(Witness::in_directory(directory.path())?);
    compile(&engine(&witness, None)?, &wasm)?;
    witness.watch();
    compile(&engine(&witness, Some(witness.clif_directory()))?, &wasm)?;
    let witnessed = witness.settle()?;
    let mut front_end = FrontEndIr { dropped: witnessed.missed, ..FrontEndIr::default() };
    for path in &witnessed.hits {
        front_end.read(path)?;
    }
    front_end.functions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(front_end)
}

impl FrontEndIr {
    fn read(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let name = symbol(&text).unwrap_or_default().to_owned();
        match cranelift_reader::parse_functions(&text) {
            Ok(functions) => {
                let text_bytes = text.len();
                let named = |function| FrontEndFunction { name: name.clone(), text_bytes, function };
                self.functions.extend(functions.into_iter().map(named));
            }
            Err(error) => self.unreadable.push((name, error.to_string())),
        }
        Ok(())
    }
}

/// What Wasmtime says in the file's first line.
fn symbol(text: &str) -> Option<&str> {
    let (_, named) = text.lines().next()?.split_once('<')?;
    named.rsplit_once('>').map(|(symbol, _)| symbol)
}

fn engine(witness: &Arc<Witness>, clif_directory: Option<&Path>) -> Result<Engine> {
    let mut config = Config::new();
    // One function after the other, so that the store knows whose file is next.
    config.parallel_compilation(false);
    if let Some(directory) = clif_directory {
        config.emit_clif(directory);
    }
    let store: Arc<dyn wasmtime::CacheStore> = witness.clone();
    let engine =
        config.enable_incremental_compilation(store).and_then(|config| Engine::new(config));
    engine.map_err(anyhow::Error::from).context("Wasmtime's incremental cache cannot be had")
}

fn compile(engine: &Engine, wasm: &[u8]) -> Result<()> {
    let artifact = engine.precompile_module(wasm).map_err(anyhow::Error::from);
    artifact.map(drop).context("the module does not compile")
}
