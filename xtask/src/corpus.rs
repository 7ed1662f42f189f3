//! The corpus -> for every module, configuration and state of the cache, whether
//! the artifact is Wasmtime's to the byte; with relocatable stencils, whether it is the one that
//! is made without a cache, after the check of its code.
//!
//! Releases of one package are compiled in their order into one cache: the first
//! finds it empty, the next one what its predecessor has left there.

use crate::corrupt::Corrupt;
use anyhow::{Context as _, Result, bail, ensure};
use cache_client::{DiskConfig, DiskStore, MemoryStore, TieredStore};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use stencil::CacheStore;
use wasm_compiler::{Compiler, NoCache, Report, Settings, Stencils, VerifySample};
use wasmtime::{Config, Engine, Module, OptLevel};

const MEMORY_BYTES: u64 = 256 << 20;
/// The relocatable functions whose code is checked.
const CHECKED: Option<VerifySample> = VerifySample::one_in(4);

/// A configuration under which everything is compiled.
struct Case {
    name: &'static str,
    stencils: Stencils,
    configure: fn(&mut Config) -> Result<(), wasmtime::Error>,
    /// Whether this machine loads what it makes.
    native: bool,
}

const CASES: &[Case] = &[
    Case { name: "default", stencils: Stencils::Exact, configure: |_| Ok(()), native: true },
    #[cfg(target_arch = "x86_64")]
    Case {
        name: "relocatable",
        stencils: Stencils::Relocatable,
        configure: |_| Ok(()),
        native: true,
    },
    Case {
        name: "-O none",
        stencils: Stencils::Exact,
        configure: |config| {
            config.cranelift_opt_level(OptLevel::None);
            Ok(())
        },
        native: true,
    },
    Case {
        name: "aarch64",
        stencils: Stencils::Exact,
        configure: |config| config.target("aarch64-unknown-linux-gnu").map(drop),
        native: cfg!(all(target_arch = "aarch64", target_os = "linux")),
    },
];

impl Case {
    fn compiler(&self, engine: &Engine) -> Result<Compiler> {
        Ok(match self.stencils {
            Stencils::Exact => Compiler::for_engine(engine)?,
            stencils => Compiler::new(Settings::from_engine(engine)?.with_stencils(stencils))?,
        })
    }

    /// What a module's artifact has to be: Wasmtime's, or the one that is made without a cache.
    fn expected(&self, engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>> {
        if self.stencils == Stencils::Exact {
            return Ok(engine.precompile_module(wasm)?);
        }
        let mut compiler = self.compiler(engine)?;
        compiler.set_verify(CHECKED);
        Ok(compiler.compile(wasm, &NoCache)?.0)
    }
}

/// Runs the suite.
pub fn run(directory: &Path, only: &str, one_thread: bool) -> Result<()> {
    let packages = packages(directory, only)?;
    ensure!(!packages.is_empty(), "there are no modules in {}", directory.display());
    let mut artifacts = 0;
    for case in CASES {
        let mut config = Config::new();
        (case.configure)(&mut config)?;
        let engine = Engine::new(&config)?;
        let compiler = case.compiler(&engine)?;
        for releases in packages.values() {
            let cache = tempfile::tempdir()?;
            for (nth, module) in releases.iter().enumerate() {
                let checked = Check { case, engine: &engine, compiler: &compiler, module };
                artifacts += checked
                    .run(cache.path(), nth > 0, one_thread)
                    .with_context(|| format!("{}, {}", module.display(), case.name))?;
            }
        }
    }
    println!("{artifacts} artifacts, all as expected");
    Ok(())
}

/// The releases of each module, by package and by the module's place in it.
type Packages = BTreeMap<(String, PathBuf), Vec<PathBuf>>;

/// Finds every module; of several equal ones in a release, the first.
fn packages(directory: &Path, only: &str) -> Result<Packages> {
    let mut packages = Packages::new();
    for release in list(directory)? {
        let name = release.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((package, _)) = name.split_once('@') else { continue };
        if !package.contains(only) {
            continue;
        }
        let mut contents = Vec::new();
        for module in modules(&release)? {
            let content = fs::read(&module)?;
            if !contents.contains(&content) {
                contents.push(content);
                let place = module.strip_prefix(&release).unwrap_or(&module).to_owned();
                packages.entry((package.to_owned(), place)).or_default().push(module);
            }
        }
        ensure!(!contents.is_empty(), "{} has no module", release.display());
    }
    Ok(packages)
}

/// The modules of a directory, at any depth.
fn modules(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut modules = Vec::new();
    for path in list(directory)? {
        if path.is_dir() {
            modules.extend(self::modules(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            modules.push(path);
        }
    }
    Ok(modules)
}

/// The files and directories of a directory, in the order of their names.
fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", directory.display());
    let files = fs::read_dir(directory).with_context(cannot)?;
    let mut paths: Vec<PathBuf> =
        files.map(|file| Ok(file?.path())).collect::<Result<_>>().with_context(cannot)?;
    paths.sort();
    Ok(paths)
}

/// One module under one configuration.
struct Check<'a> {
    case: &'a Case,
    engine: &'a Engine,
    compiler: &'a Compiler,
    module: &'a Path,
}

/// The tiers of a new process.
fn tiers(directory: &Path) -> TieredStore {
    TieredStore::new(vec![
        Arc::new(MemoryStore::new(MEMORY_BYTES)),
        Arc::new(DiskStore::open(DiskConfig::new(directory))),
    ])
}

impl Check<'_> {
    /// Compiles it in every state of the cache. Returns the number of artifacts
    /// compared.
    fn run(&self, cache: &Path, has_predecessor: bool, one_thread: bool) -> Result<u64> {
        let started = Instant::now();
        let wasm = fs::read(self.module)?;
        let expected = self.case.expected(self.engine, &wasm)?;
        let mut artifacts = 0;
        let mut compile = |state: &str, store: &dyn CacheStore| -> Result<Report> {
            artifacts += 1;
            self.compile(&wasm, &expected, store).with_context(|| state.to_owned())
        };

        if self.case.stencils == Stencils::Exact {
            compile("without a cache", &NoCache)?;
        }
        let mut after = String::new();
        if has_predecessor {
            let empty = tempfile::tempdir()?;
            compile("empty cache", &tiers(empty.path()))?;
            let report = compile("the previous release's cache", &tiers(cache))?;
            ensure!(report.conflicts == 0, "{} conflicts", report.conflicts);
            after = format!(
                ", after the release before: {} of {} hits, {:.1} % of the code",
                report.hits.total(),
                report.lookups,
                100.0 * report.hit_code_bytes as f64 / report.code_bytes.max(1) as f64
            );
        } else {
            compile("empty cache", &tiers(cache))?;
        }
        let warm = compile("full cache", &tiers(cache))?;
        ensure!(
            warm.misses == 0 && warm.codegen == 0,
            "{} misses of {} lookups in a rebuild",
            warm.misses,
            warm.lookups
        );
        let damaged = compile("damaged entries", &Corrupt(&tiers(cache)))?;
        ensure!(damaged.rejected > 0, "no entry was damaged");

        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        let warm = pool.install(|| compile("full cache, one thread", &tiers(cache)))?;
        ensure!(warm.misses == 0, "{} misses in a rebuild on one thread", warm.misses);
        if one_thread && self.case.stencils == Stencils::Exact {
            pool.install(|| compile("without a cache, one thread", &NoCache))?;
        }
        if self.case.native {
            // SAFETY: the bytes have just been made, by Wasmtime itself or of what its compiler makes.
            let loaded = unsafe { Module::deserialize(self.engine, &expected) };
            loaded.map_err(|error| error.context("Wasmtime does not load the artifact"))?;
        }
        // All code of the corpus is understood.
        ensure!(
            warm.with_numbers == 0,
            "the code of {} pieces is not understood",
            warm.with_numbers
        );
        let name = self.module.display();
        let seconds = started.elapsed().as_secs_f64();
        println!("{name}, {}: {artifacts} artifacts equal{after} ({seconds:.0} s)", self.case.name);
        Ok(artifacts)
    }

    fn compile(&self, wasm: &[u8], expected: &[u8], store: &dyn CacheStore) -> Result<Report> {
        let (cwasm, report) = self.compiler.compile(wasm, store)?;
        let differs = cwasm.iter().zip(expected).position(|(ours, theirs)| ours != theirs);
        if let Some(at) = differs {
            bail!("the artifact differs at offset {at:#x} from the one expected");
        }
        ensure!(cwasm.len() == expected.len(), "{} bytes, not {}", cwasm.len(), expected.len());
        Ok(report)
    }
}
