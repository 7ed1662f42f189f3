//! Modules -> what a farm that builds them asks for: each module's keys, in the
//! order of its one lookup, and its entries.
//!
//! An entry that several modules have stands under one key, and so is asked for
//! as often as in life.

use crate::farm::prepared;
use crate::stage_inputs::StageInputs;
use anyhow::{Context as _, Result, ensure};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use stencil::{CacheKey, Fingerprint, NewEntry};
use wasm_compiler::{Compiler, Options, Settings};

/// One module.
pub struct Module {
    /// Its path.
    pub name: String,
    /// Its size.
    pub wasm_bytes: u64,
    /// The keys that its compile looks up, in this order.
    pub keys: Vec<CacheKey>,
    /// What its compile publishes when it finds nothing.
    pub entries: Vec<NewEntry>,
}

/// All modules of a farm.
pub struct Mix {
    /// The compiler's.
    pub fingerprint: Fingerprint,
    /// In the order in which they were named.
    pub modules: Vec<Module>,
}

impl Mix {
    /// Compiles the modules, or reads what an earlier run has kept in `kept`.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read or does not compile, or `kept` cannot be
    /// written.
    pub fn load(paths: &[PathBuf], kept: Option<&Path>) -> Result<Self> {
        let compiler = Compiler::new(Settings::from_options(&Options::default())?)?;
        let fingerprint = compiler.fingerprint();
        let modules = paths.iter().map(|path| Module::load(path, &fingerprint, kept));
        Ok(Self { fingerprint, modules: modules.collect::<Result<_>>()? })
    }

    /// The entries of all modules, each once.
    pub fn entries(&self) -> impl Iterator<Item = &NewEntry> {
        let mut seen = HashSet::new();
        let entries = self.modules.iter().flat_map(|module| &module.entries);
        entries.filter(move |entry| seen.insert(entry.key))
    }
}

impl Module {
    fn load(path: &Path, fingerprint: &Fingerprint, kept: Option<&Path>) -> Result<Self> {
        let name = path.display().to_string();
        let wasm = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        let wasm_bytes = wasm.len() as u64;
        let file = kept.map(|directory| prepared::place(directory, &wasm, fingerprint));
        if let Some((keys, entries)) = file.as_deref().and_then(prepared::read) {
            return Ok(Self { name, wasm_bytes, keys, entries });
        }
        let inputs = StageInputs::of(wasm).with_context(|| format!("cannot compile {name}"))?;
        let (keys, entries) = (inputs.keys, inputs.entries);
        ensure!(!keys.is_empty(), "{name} has nothing that is cached");
        if let Some(file) = file {
            prepared::write(&file, &keys, &entries)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Self { name, wasm_bytes, keys, entries })
    }
}
