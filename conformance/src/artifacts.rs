//! A script's modules -> an artifact of each, or why there is none; made by Wasmtime or by us.

use crate::script::Script;
use generate::edit::Edit;
use oracle::same::stock;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use stencil::CacheStore;
use wasm_compiler::Compiler;
use wasmparser::Parser;
use wasmtime::Engine;

/// The reason why there is no artifact, if a compiler panics.
pub const PANICS: &str = "the compiler panics";

/// The artifacts of a script's modules.
#[derive(Default)]
pub struct Artifacts {
    /// By the name under which Wasmtime asks for it: the bytes, or why there are none.
    pub made: BTreeMap<String, Result<Vec<u8>, String>>,
    /// Keys that were looked up.
    pub lookups: u64,
    /// How many of them were found.
    pub hits: u64,
}

impl Artifacts {
    /// What Wasmtime makes of a script's modules.
    pub fn stock(engine: &Engine, script: &Script) -> Self {
        let mut artifacts = Self::default();
        for (name, module) in &script.modules {
            let made = caught(|| {
                stock(engine, &binary(module)?).map_err(|error| error.root_cause().to_string())
            });
            artifacts.made.insert(name.clone(), made);
        }
        artifacts
    }

    /// What our compiler makes of them, on a cache.
    pub fn ours(compiler: &Compiler, store: &dyn CacheStore, script: &Script) -> Self {
        let mut artifacts = Self::default();
        for (name, module) in &script.modules {
            let compile = || {
                let compiled = compiler.compile(&binary(module)?, store);
                compiled.map_err(|error| error.to_string())
            };
            let made = caught(compile).map(|(artifact, report)| {
                artifacts.lookups += report.lookups;
                artifacts.hits += report.hits.total();
                artifact
            });
            artifacts.made.insert(name.clone(), made);
        }
        artifacts
    }

    /// The script's modules with each constant as the difference of two addresses; without those
    /// of which there is no artifact.
    pub fn with_addresses(&self, script: &Script) -> Script {
        let edited = |(name, module): (&String, &Vec<u8>)| {
            let wasm = binary(module).expect("there is an artifact of it");
            let edited = match Parser::is_component(&wasm) {
                true => None,
                false => Edit::Differences.apply(&wasm),
            };
            (name.clone(), edited.unwrap_or_else(|| wasm.into_owned()))
        };
        let modules = script.modules.iter().filter(|(name, _)| self.made[*name].is_ok());
        script.with_modules(modules.map(edited).collect())
    }

    /// The modules of which there is no artifact.
    pub fn refused(&self) -> BTreeSet<&str> {
        let refused = self.made.iter().filter(|(_, made)| made.is_err());
        refused.map(|(name, _)| name.as_str()).collect()
    }

    /// How many are there in both, and are not the same bytes.
    pub fn differ(&self, others: &Self) -> u64 {
        let both = self.made.iter().filter_map(|(name, made)| {
            Some((made.as_ref().ok()?, others.made.get(name)?.as_ref().ok()?))
        });
        both.filter(|(one, other)| one != other).count() as u64
    }

    /// Puts them where Wasmtime looks for them.
    ///
    /// # Panics
    ///
    /// If the directory cannot be written.
    pub fn write(&self, directory: &Path) {
        for (name, made) in &self.made {
            if let Ok(artifact) = made {
                std::fs::write(directory.join(name), artifact).expect("there is room");
            }
        }
    }
}

/// Tests of the text format have the text, which is not our compiler's to read: for both it is
/// Wasmtime's parser that does.
///
/// # Errors
///
/// The parser's.
pub fn binary(module: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    wat::parse_bytes(module).map_err(|error| error.to_string())
}

/// A compiler's panic is a refusal of its own kind, so that the other modules get their turn.
fn caught<T>(compile: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| Err(PANICS.to_owned()))
}
