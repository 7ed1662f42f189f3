//! Modules -> how much of each is found again after something was put in front of
//! everything else of its kind, and whether the artifact is the right one: with exact stencils
//! stock Wasmtime's, with relocatable ones what is made without a cache.
//!
//! `cargo run --release -p benches --bin edits -- A.wasm B.wasm`

use anyhow::Result;
use benches::input::{name, read};
use clap::Parser;
use generate::edit::Edit;
use oracle::same::assert_same;
use oracle::store::MemoryStore;
use std::path::{Path, PathBuf};
use wasm_compiler::{Compiler, NoCache, Report, Settings, Stencils};
use wasmtime::Engine;

/// Compiles modules, then each after an edit, on what the first compile left
#[derive(Debug, Parser)]
struct Arguments {
    /// Core modules
    #[arg(required = true, value_name = "WASM")]
    modules: Vec<PathBuf>,
    /// Do not make what the artifact ought to be, and do not compare
    #[arg(long)]
    unchecked: bool,
    /// Which stencils the cache has
    #[arg(long, value_name = "exact|relocatable", default_value = "exact")]
    stencils: Stencils,
}

/// What a new build prepends. A function of the module's own is one piece more, and
/// one that is exported has a trampoline.
const EDITS: [Edit; 7] = [
    Edit::ImportFunction,
    Edit::Type,
    Edit::ImportGlobal,
    Edit::Global,
    Edit::Table,
    Edit::ExportFunction,
    Edit::Function,
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let engine = Engine::default();
    let compiler =
        Compiler::new(Settings::from_engine(&engine)?.with_stencils(arguments.stencils))?;
    println!("{} stencils", arguments.stencils.name());
    println!("module                    edit            lookups  misses  code bytes found  bytes");
    for path in &arguments.modules {
        let wasm = read(path)?;
        let store = MemoryStore::default();
        compiler.compile(&wasm, &store)?;
        for edit in EDITS {
            let Some(edited) = edit.apply(&wasm) else {
                println!("{:25} {edit:14?}  does not apply", name(path));
                continue;
            };
            // Each edit finds what the module left, and nothing of another edit.
            let after = store.fork();
            let (artifact, report) = compiler.compile(&edited, &after)?;
            let verdict = if arguments.unchecked {
                "not compared"
            } else {
                let (expected, whose) = expected(&engine, &compiler, &edited)?;
                assert_same(&name(path), &edited, &expected, &artifact);
                whose
            };
            print(path, edit, &report, verdict);
        }
    }
    Ok(())
}

/// What the artifact has to be, and in a word why.
fn expected(engine: &Engine, compiler: &Compiler, wasm: &[u8]) -> Result<(Vec<u8>, &'static str)> {
    Ok(match compiler.settings().stencils() {
        Stencils::Exact => (engine.precompile_module(wasm)?, "stock's"),
        Stencils::Relocatable => (compiler.compile(wasm, &NoCache)?.0, "as without a cache"),
    })
}

fn print(path: &Path, edit: Edit, report: &Report, verdict: &str) {
    let found = 100.0 * report.hit_code_bytes as f64 / report.code_bytes.max(1) as f64;
    println!(
        "{:25} {:14} {:>8} {:>7} {found:>16.3} %  {verdict}",
        name(path),
        format!("{edit:?}"),
        report.lookups,
        report.misses,
    );
}
