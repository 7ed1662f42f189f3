//! A module -> the IR that Wasmtime's front end makes of it, a function at a time.
//!
//! Wasmtime can write IR, but writes what is left of it after the optimiser. What
//! its incremental cache has is not optimised, so the module is compiled with a
//! store that has an answer to everything: [`stand_in`]. (Filling a store by a
//! first compile is not enough: the front end orders the targets of a `br_table`
//! by a hash map with a random seed, so functions with many of them never hit.)

mod stand_in;
mod unnamed;

pub mod fit;
pub mod lookup_cost;
pub mod timed;

pub mod sameness;
pub mod stability;
pub mod stage_times;
pub mod staged;

use anyhow::{Context as _, Result, ensure};
use cranelift_codegen::ir;
use stand_in::StandIn;
use std::path::Path;
use std::sync::Arc;
use wasmtime::{Config, Engine};

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
    /// Names and errors of those whose text could not be read.
    pub unreadable: Vec<(String, String)>,
}

/// The IR of every function and trampoline of the module, but for the trampolines
/// to the runtime's builtins: those are made when compiled code asks for them.
///
/// The text is in a directory for temporary files meanwhile, about 50 times the
/// module's size.
///
/// # Errors
///
/// If the module does not compile, or the text cannot be written.
pub fn front_end_ir(wasm: &[u8]) -> Result<FrontEndIr> {
    let wasm = unnamed::without_names(wasm)?;
    let directory = tempfile::tempdir()?;
    let store = Arc::new(StandIn::default());
    compile(&engine(&store, None)?, &unnamed::one_empty_function())?;
    ensure!(store.answer(), "nothing was stored: is Wasmtime's feature `incremental-cache` on?");
    compile(&engine(&store, Some(directory.path()))?, &wasm)?;
    ensure!(store.refused() == 0, "{} functions were optimised", store.refused());
    let mut front_end = FrontEndIr::default();
    for file in std::fs::read_dir(directory.path())? {
        front_end.read(&file?.path())?;
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
                let named =
                    |function| FrontEndFunction { name: name.clone(), text_bytes, function };
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

fn engine(store: &Arc<StandIn>, clif_directory: Option<&Path>) -> Result<Engine> {
    let mut config = Config::new();
    if let Some(directory) = clif_directory {
        config.emit_clif(directory);
    }
    let store: Arc<dyn wasmtime::CacheStore> = store.clone();
    let engine =
        config.enable_incremental_compilation(store).and_then(|config| Engine::new(config));
    engine.map_err(anyhow::Error::from).context("Wasmtime's incremental cache cannot be had")
}

fn compile(engine: &Engine, wasm: &[u8]) -> Result<()> {
    let artifact = engine.precompile_module(wasm).map_err(anyhow::Error::from);
    artifact.map(drop).context("the module does not compile")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/wasm/ledger.wasm");

    #[test]
    fn constants_are_not_folded_yet() {
        let sum = "(func (result i32) (i32.add (i32.const 1) (i32.const 2)))";
        let wasm = wat::parse_str(format!("(module {sum})")).unwrap();
        let front_end = front_end_ir(&wasm).unwrap();
        let sum = front_end.functions.iter().find(|of| of.name == "wasm[0]::function[0]").unwrap();
        assert!(sum.function.to_string().contains("iadd"), "{}", sum.function);
    }

    #[test]
    fn a_name_with_a_slash_is_no_hindrance() {
        let wasm = wat::parse_str("(module (func $internal/poll.Read))").unwrap();
        let names = front_end_ir(&wasm).unwrap().functions.into_iter().map(|of| of.name);
        assert!(names.collect::<Vec<_>>().contains(&"wasm[0]::function[0]".to_owned()));
    }

    #[test]
    fn every_function_of_a_real_program_is_read() {
        let front_end = front_end_ir(&std::fs::read(LEDGER).unwrap()).unwrap();
        assert_eq!(front_end.unreadable, []);
        let is_of_wasm = |of: &&FrontEndFunction| of.name.starts_with("wasm[0]::function[");
        assert_eq!(front_end.functions.iter().filter(is_of_wasm).count(), 591);
    }
}
