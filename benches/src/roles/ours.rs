//! The role of the function cache: what `stencil compile` does, without its
//! command line; and the report that both print.

use crate::artifact;
use crate::input::read;
use crate::roles::{is_component, ms_since};
use anyhow::{Context as _, Result};
use cache_client::{DiskConfig, DiskStore};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use stencil::CacheStore;
use wasm_compiler::{Compiler, NoCache, Options, Report, Settings, Stencils};

/// That part of the `--json` object of `stencil compile` which is shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OursReport {
    /// WebAssembly functions.
    pub functions: u64,
    /// Cacheable pieces, trampolines too.
    pub lookups: u64,
    /// By tier.
    pub hits: BTreeMap<String, u64>,
    /// `lookups` without the hits.
    pub misses: u64,
    /// Pieces that were compiled after a miss.
    pub codegen: u64,
    /// Pieces that are never cached.
    #[serde(default)]
    pub uncached: u64,
    /// Pieces of a configuration that is not cached.
    #[serde(default)]
    pub bypassed: u64,
    /// Entries that were found and not used.
    #[serde(default)]
    pub rejected: u64,
    /// Machine code of all lookups, in bytes; newer commands say it.
    #[serde(default)]
    pub code_bytes: Option<u64>,
    /// Machine code of the hits, in bytes.
    #[serde(default)]
    pub hit_code_bytes: Option<u64>,
    /// Where the time went, by stage.
    pub stages_ms: BTreeMap<String, f64>,
    /// From the start of the program's own work to its report.
    pub wall_ms: f64,
}

/// Compiles one file.
pub(crate) fn play(
    input: &Path,
    output: &Path,
    cache_dir: Option<&Path>,
    stencils: Stencils,
) -> Result<OursReport> {
    let start = Instant::now();
    let wasm = read(input)?;
    is_component(&wasm, input)?;
    let options = Options { stencils, ..Options::default() };
    let compiler = Compiler::new(Settings::from_options(&options)?)?;
    let store = store(cache_dir);
    let report =
        artifact::write_with(output, |file| Ok(compiler.compile_to(&wasm, &*store, file)?))
            .with_context(|| format!("cannot compile {}", input.display()))?;
    Ok(OursReport::new(&report, ms_since(start)))
}

/// The store of a command with this cache directory: the disk alone, since one
/// compile looks up each key once.
pub fn store(cache_dir: Option<&Path>) -> Box<dyn CacheStore> {
    match cache_dir {
        Some(directory) => Box::new(DiskStore::open(DiskConfig::new(directory))),
        None => Box::new(NoCache),
    }
}

impl OursReport {
    fn new(report: &Report, wall_ms: f64) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let hits = [
            ("memory", report.hits.memory),
            ("disk", report.hits.disk),
            ("remote", report.hits.remote),
        ];
        Self {
            functions: report.functions,
            lookups: report.lookups,
            hits: hits.into_iter().map(|(tier, hits)| (tier.to_owned(), hits)).collect(),
            misses: report.misses,
            codegen: report.codegen,
            uncached: report.uncached,
            bypassed: report.bypassed,
            rejected: report.rejected,
            code_bytes: Some(report.code_bytes),
            hit_code_bytes: Some(report.hit_code_bytes),
            stages_ms: report
                .stages
                .named()
                .map(|(stage, time)| (stage.to_owned(), ms(time)))
                .into(),
            wall_ms,
        }
    }
}
