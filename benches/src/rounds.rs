//! Arguments -> the processes that are run, in which order, on which files; and
//! what they measured.
//!
//! Invariants:
//! - each round runs every variant once, so that whatever slows the machine down
//!   for a while slows down all of them;
//! - a run that would find what an earlier one left behind gets a directory of
//!   its own: caches are copied before they are added to, outputs removed once
//!   they are compared;
//! - no file is left behind, also after a signal.

use crate::arguments::{Arguments, ROLE_FLAG};
use crate::child::{self, Finished};
use crate::edit::Edit;
use crate::figures::{Figures, Spread};
use crate::results::{Input, Measured, Program, Report, Results, Run, Variant};
use crate::roles::incremental::{self, IncrementalReport};
use crate::roles::ours::OursReport;
use crate::roles::stock::StockReport;
use crate::{artifact, cache_directory, roles};
use anyhow::{Context as _, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// The command that is measured, beside this program.
const STENCIL: &str = "stencil";

/// All of its settings in the environment start so.
const STENCIL_VARIABLES: &str = "STENCIL_";

/// As much of a file as tells whether it is WebAssembly.
const MAGIC_BYTES: u64 = 8;

const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Runs a comparison.
///
/// # Errors
///
/// If a file cannot be read or written, a process fails, an output differs from
/// stock Wasmtime's, or a full cache misses.
pub fn run(arguments: &Arguments) -> Result<Results> {
    let setup = Setup::new(arguments)?;
    let mut measured = Measurements::default();
    for round in 1..=arguments.repeat {
        setup.round(&mut measured).with_context(|| format!("round {round}"))?;
    }
    Ok(setup.results(arguments.repeat, measured))
}

/// All that the rounds have in common.
struct Setup {
    directory: TempDir,
    starter: Starter,
    a: Subject,
    edited: Option<(Edit, Subject)>,
    b: Option<Subject>,
}

/// A module, and what stock Wasmtime makes of it.
struct Subject {
    wasm: PathBuf,
    expected: PathBuf,
    wasm_bytes: u64,
    output_bytes: u64,
}

/// Starts the processes.
struct Starter {
    this: PathBuf,
    /// The `stencil` command, if it is to be measured.
    stencil: Option<PathBuf>,
    /// A directory without a configuration file.
    no_configuration: PathBuf,
    interrupted: Arc<AtomicBool>,
}

#[derive(Default)]
struct Measurements {
    runs: BTreeMap<Variant, Vec<Run>>,
    cache_bytes: Vec<f64>,
}

impl Setup {
    fn new(arguments: &Arguments) -> Result<Self> {
        let a = wasm_file(&arguments.a())?;
        let b = arguments.b.as_deref().map(wasm_file).transpose()?;
        let this = env::current_exe().context("cannot find this program's own file")?;
        let stencil = stencil(arguments, &this)?;
        let interrupted = interruptions()?;
        let directory = tempfile::Builder::new().prefix("compare-").tempdir();
        let directory = directory.with_context(|| {
            format!("cannot work in {}; set TMPDIR to another place", env::temp_dir().display())
        })?;
        let no_configuration = directory.path().join("no-configuration");
        fs::create_dir(&no_configuration)?;
        let starter = Starter { this, stencil, no_configuration, interrupted };
        starter.warm_up(directory.path())?;

        let expected = |name: &str| directory.path().join(name);
        let edited = expected("edited.wasm");
        let edit: Option<Edit> = starter.role("edit", [&a, &edited])?.1;
        let edited = edit.map(|edit| -> Result<_> {
            Ok((edit, starter.subject(edited, expected("edited.cwasm"))?))
        });
        Ok(Self {
            a: starter.subject(a, expected("a.cwasm"))?,
            edited: edited.transpose()?,
            b: b.map(|b| starter.subject(b, expected("b.cwasm"))).transpose()?,
            directory,
            starter,
        })
    }

    fn round(&self, measured: &mut Measurements) -> Result<()> {
        let round = Round { setup: self, directory: tempfile::tempdir_in(&self.directory)? };
        let cache = round.path("cache");

        measured.add(Variant::Stock, round.stock(&self.a)?);
        for (variant, run) in round.incremental()? {
            measured.add(variant, run);
        }
        measured.add(Variant::NoCache, round.ours(&self.a, None)?);
        measured.add(Variant::Cold, round.ours(&self.a, Some(&cache))?);
        measured.cache_bytes.push(cache_directory::size_bytes(&cache)? as f64);
        let warm = round.ours(&self.a, Some(&cache))?;
        all_hit(&warm.report)?;
        measured.add(Variant::Warm, warm);
        measured.add(Variant::Floor, round.floor(&self.a, &cache)?);
        if let Some((_, edited)) = &self.edited {
            let cache = round.copy(&cache, "cache-edited")?;
            measured.add(Variant::Edited, round.ours(edited, Some(&cache))?);
        }
        if let Some(b) = &self.b {
            let cache = round.copy(&cache, "cache-b")?;
            measured.add(Variant::StockB, round.stock(b)?);
            measured.add(Variant::BAfterA, round.ours(b, Some(&cache))?);
        }
        round.directory.close().context("cannot remove this round's files")
    }

    fn results(&self, rounds: u32, measured: Measurements) -> Results {
        let runs = |variant| measured.runs.get(&variant).map(Vec::as_slice);
        let variants = Variant::ALL.into_iter().filter_map(|variant| {
            let (runs, stock) = (runs(variant)?, runs(variant.baseline())?);
            Some(Measured { variant, figures: Figures::of(runs, stock), runs: runs.to_vec() })
        });
        Results {
            rounds,
            directory: self.directory.path().display().to_string(),
            program: match &self.starter.stencil {
                Some(stencil) => Program::Command(stencil.display().to_string()),
                None => Program::Minimal,
            },
            a: self.a.input(),
            b: self.b.as_ref().map(Subject::input),
            edit: self.edited.as_ref().map(|(edit, _)| *edit),
            cache_bytes_after_cold: Spread::of(measured.cache_bytes.iter().copied())
                .unwrap_or_default(),
            smallest_peak_rss_bytes: child::own_peak_rss_bytes(),
            variants: variants.collect(),
        }
    }
}

impl Subject {
    fn input(&self) -> Input {
        Input {
            path: self.wasm.display().to_string(),
            wasm_bytes: self.wasm_bytes,
            output_bytes: self.output_bytes,
        }
    }
}

impl Measurements {
    fn add(&mut self, variant: Variant, run: Run) {
        self.runs.entry(variant).or_default().push(run);
    }
}

/// One round, in a directory that is empty when it starts.
struct Round<'a> {
    setup: &'a Setup,
    directory: TempDir,
}

impl Round<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn copy(&self, cache: &Path, name: &str) -> Result<PathBuf> {
        let copy = self.path(name);
        cache_directory::copy(cache, &copy)?;
        Ok(copy)
    }

    fn stock(&self, subject: &Subject) -> Result<Run> {
        let output = self.path("stock.cwasm");
        let (finished, report) = self.setup.starter.role("stock", [&subject.wasm, &output])?;
        same(&output, subject)?;
        Ok(run_of(&finished, Report::Stock(report)))
    }

    fn ours(&self, subject: &Subject, cache: Option<&Path>) -> Result<Run> {
        let output = self.path("ours.cwasm");
        let (finished, report) = self.setup.starter.ours(&subject.wasm, &output, cache)?;
        same(&output, subject)?;
        Ok(run_of(&finished, Report::Ours(report)))
    }

    /// The compiles of one process: A, A again, B.
    fn incremental(&self) -> Result<Vec<(Variant, Run)>> {
        let Setup { starter, a, b, .. } = self.setup;
        let mut compiles = vec![(Variant::IncrementalCold, a), (Variant::IncrementalWarm, a)];
        compiles.extend(b.as_ref().map(|b| (Variant::IncrementalB, b)));
        let outputs = self.path("incremental");
        fs::create_dir(&outputs)?;
        let inputs = compiles.iter().map(|(_, subject)| &subject.wasm);
        let (_, reports): (_, Vec<IncrementalReport>) =
            starter.role("incremental", [&outputs].into_iter().chain(inputs))?;
        if reports.len() != compiles.len() {
            bail!("{} reports of {} incremental compiles", reports.len(), compiles.len());
        }
        let mut runs = Vec::new();
        for (nth, ((variant, subject), report)) in compiles.into_iter().zip(reports).enumerate() {
            same(&incremental::output_of(&outputs, nth), subject)?;
            let IncrementalReport { compile_ms: wall_ms, cpu_ms, peak_rss_bytes, .. } = report;
            let report = Report::Incremental(report);
            runs.push((variant, Run { wall_ms, cpu_ms, peak_rss_bytes, report }));
        }
        Ok(runs)
    }

    /// Its output is no artifact; only its size can be compared.
    fn floor(&self, subject: &Subject, cache: &Path) -> Result<Run> {
        let output = self.path("floor");
        let bytes = PathBuf::from(subject.output_bytes.to_string());
        let arguments = [&subject.wasm, &output, &bytes, &cache.to_owned()];
        let (finished, report) = self.setup.starter.role("floor", arguments)?;
        let written = fs::metadata(&output).context("the floor wrote nothing")?.len();
        if written != subject.output_bytes {
            bail!("the floor wrote {written} bytes, not {}", subject.output_bytes);
        }
        fs::remove_file(&output)?;
        Ok(run_of(&finished, Report::Floor(report)))
    }
}

impl Starter {
    /// Lets the system read the programs' files, so that the first round does
    /// not pay for it.
    fn warm_up(&self, directory: &Path) -> Result<()> {
        let (empty, output) = (directory.join("empty.wasm"), directory.join("empty.cwasm"));
        artifact::write(&empty, [EMPTY_MODULE])?;
        let subject = self.subject(empty, output)?;
        let output = directory.join("empty-again.cwasm");
        self.ours(&subject.wasm, &output, None)?;
        same(&output, &subject)
    }

    /// Has stock Wasmtime make what all other outputs are compared with.
    fn subject(&self, wasm: PathBuf, expected: PathBuf) -> Result<Subject> {
        let (_, report): (_, StockReport) = self.role("stock", [&wasm, &expected])?;
        let StockReport { wasm_bytes, output_bytes, .. } = report;
        Ok(Subject { wasm, expected, wasm_bytes, output_bytes })
    }

    fn ours(
        &self,
        wasm: &PathBuf,
        output: &PathBuf,
        cache: Option<&Path>,
    ) -> Result<(Finished, OursReport)> {
        let Some(stencil) = &self.stencil else {
            let cache = cache.map(Path::to_owned);
            return self.role("ours", [wasm, output].into_iter().chain(&cache));
        };
        let mut command = Command::new(stencil);
        command.arg("compile").arg(wasm).arg("-o").arg(output).arg("--json");
        match cache {
            Some(cache) => command.arg("--cache-dir").arg(cache),
            None => command.arg("--no-cache"),
        };
        // What a user has set up must not change what is measured.
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(STENCIL_VARIABLES.as_bytes()) {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", &self.no_configuration);
        self.run(&mut command)
    }

    fn role<'a, T: DeserializeOwned>(
        &self,
        role: &str,
        arguments: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<(Finished, T)> {
        self.run(Command::new(&self.this).args([ROLE_FLAG, role]).args(arguments))
    }

    /// Runs a process that prints one JSON object.
    fn run<T: DeserializeOwned>(&self, command: &mut Command) -> Result<(Finished, T)> {
        let finished = child::run(command);
        // First, since the signal may also have ended the child.
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        let finished = finished?;
        let report = serde_json::from_str(finished.stdout.trim()).with_context(|| {
            let program = command.get_program().to_string_lossy();
            format!("{program} did not print the report that was expected")
        })?;
        Ok((finished, report))
    }
}

fn run_of(finished: &Finished, report: Report) -> Run {
    Run {
        wall_ms: finished.wall.as_secs_f64() * 1e3,
        cpu_ms: finished.cpu.as_secs_f64() * 1e3,
        peak_rss_bytes: finished.peak_rss_bytes,
        report,
    }
}

/// Compares an output with stock Wasmtime's, and removes it.
fn same(output: &Path, subject: &Subject) -> Result<()> {
    if let Some(offset) = artifact::first_difference(output, &subject.expected)? {
        bail!(
            "compiling {}, the output {} differs from stock Wasmtime's {} at byte {offset}",
            subject.wasm.display(),
            output.display(),
            subject.expected.display()
        );
    }
    fs::remove_file(output).with_context(|| format!("cannot remove {}", output.display()))
}

/// A full cache has everything.
fn all_hit(report: &Report) -> Result<()> {
    let Report::Ours(OursReport { lookups, hits, misses, rejected, .. }) = report else {
        return Ok(());
    };
    let hits: u64 = hits.values().sum();
    if hits != *lookups || *misses != 0 || *rejected != 0 {
        bail!(
            "the full cache had {hits} of {lookups} pieces of the same module ({misses} misses, \
             {rejected} rejected)"
        );
    }
    Ok(())
}

/// The path of a file that looks like WebAssembly.
fn wasm_file(path: &Path) -> Result<PathBuf> {
    let cannot = || format!("cannot read {}", path.display());
    let mut magic = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    file.take(MAGIC_BYTES).read_to_end(&mut magic).with_context(cannot)?;
    roles::is_component(&magic, path)?;
    // Absolute, so that no path looks like an option.
    std::path::absolute(path).with_context(cannot)
}

/// The `stencil` command to measure; `None` for the minimal program.
fn stencil(arguments: &Arguments, this: &Path) -> Result<Option<PathBuf>> {
    if arguments.minimal {
        return Ok(None);
    }
    if let Some(named) = &arguments.stencil {
        return match named.is_file() {
            true => Ok(Some(std::path::absolute(named)?)),
            false => Err(anyhow!("there is no command {}", named.display())),
        };
    }
    let beside = this.with_file_name(format!("{STENCIL}{}", env::consts::EXE_SUFFIX));
    if beside.is_file() {
        let built = |program: &Path| program.metadata().and_then(|file| file.modified());
        if built(&beside)? < built(this)? {
            eprintln!(
                "compare: {} is older than this program; `cargo build --release -p cli` first to \
                 measure what the source is now",
                beside.display()
            );
        }
        return Ok(Some(beside));
    }
    eprintln!("compare: there is no {}, so the minimal program is measured", beside.display());
    Ok(None)
}

/// Set when a signal asks this process to end. It then ends as after an error,
/// and so removes its files.
fn interruptions() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, interrupted.clone())
            .context("cannot handle signals")?;
    }
    Ok(interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(disk: u64, misses: u64, rejected: u64) -> Report {
        let hits = BTreeMap::from([("disk".to_owned(), disk), ("memory".to_owned(), 1)]);
        Report::Ours(OursReport { lookups: 4, hits, misses, rejected, ..OursReport::default() })
    }

    #[test]
    fn a_full_cache_that_misses_is_an_error() {
        all_hit(&report(3, 0, 0)).unwrap();
        let error = all_hit(&report(2, 1, 0)).unwrap_err().to_string();
        assert!(error.contains("3 of 4") && error.contains("1 misses"), "{error}");
        all_hit(&report(3, 0, 1)).unwrap_err();
    }
}
