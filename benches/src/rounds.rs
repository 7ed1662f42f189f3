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

mod far;
mod starter;

use crate::arguments::Arguments;
use crate::child::{self, Finished};
use crate::edit::Edit;
use crate::figures::{Figures, Spread};
use crate::results::{Input, Measured, Program, Report, Results, Run, Variant};
use crate::roles::incremental::{self, IncrementalReport};
use crate::roles::ours::OursReport;
use crate::{artifact, cache_directory, roles};
use anyhow::{Context as _, Result, bail};
use starter::{Starter, interruptions, server, stencil};
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// As much of a file as tells whether it is WebAssembly.
const MAGIC_BYTES: u64 = 8;

/// Runs a comparison.
///
/// # Errors
///
/// If a file cannot be read or written, a process fails, an output differs from what is
/// expected of its program, or a full cache misses.
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
    server: Option<PathBuf>,
    a: Subject,
    edited: Option<(Edit, Subject)>,
    b: Option<Subject>,
}

/// A module, and what comes out of it.
struct Subject {
    wasm: PathBuf,
    wasm_bytes: u64,
    /// Of every program but ours.
    stock: Expected,
    /// Of the function cache's program, whatever its cache has.
    ours: Expected,
}

/// An output that others have to be equal to.
#[derive(Clone)]
struct Expected {
    path: PathBuf,
    bytes: u64,
    /// Who made it, for a sentence.
    whose: &'static str,
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
        let server = server(arguments, &this)?;
        if server.is_some() && stencil.is_none() {
            bail!("with --server the `stencil` command is measured; build it, or name it");
        }
        let interrupted = interruptions()?;
        let directory = tempfile::Builder::new().prefix("compare-").tempdir();
        let directory = directory.with_context(|| {
            format!("cannot work in {}; set TMPDIR to another place", env::temp_dir().display())
        })?;
        let no_configuration = directory.path().join("no-configuration");
        fs::create_dir(&no_configuration)?;
        let stencils = arguments.stencils;
        let starter = Starter { this, stencil, no_configuration, stencils, interrupted };
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
            server,
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
        if let Some(server) = &self.server {
            far::round(&round, server, measured)?;
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
            stencils: self.starter.stencils.name().to_owned(),
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
            output_bytes: self.stock.bytes,
            ours_output_bytes: self.ours.bytes,
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
        same(&output, &subject.wasm, &subject.stock)?;
        Ok(run_of(&finished, Report::Stock(report)))
    }

    fn ours(&self, subject: &Subject, cache: Option<&Path>) -> Result<Run> {
        self.ours_with(subject, cache, None)
    }

    fn ours_with(
        &self,
        subject: &Subject,
        cache: Option<&Path>,
        server: Option<&str>,
    ) -> Result<Run> {
        let output = self.path("ours.cwasm");
        let (finished, report) = self.setup.starter.ours(&subject.wasm, &output, cache, server)?;
        same(&output, &subject.wasm, &subject.ours)?;
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
            same(&incremental::output_of(&outputs, nth), &subject.wasm, &subject.stock)?;
            let IncrementalReport { compile_ms: wall_ms, cpu_ms, peak_rss_bytes, .. } = report;
            let report = Report::Incremental(report);
            runs.push((variant, Run { wall_ms, cpu_ms, peak_rss_bytes, report }));
        }
        Ok(runs)
    }

    /// Its output is no artifact; only its size can be compared.
    fn floor(&self, subject: &Subject, cache: &Path) -> Result<Run> {
        let output = self.path("floor");
        let bytes = PathBuf::from(subject.ours.bytes.to_string());
        let arguments = [&subject.wasm, &output, &bytes, &cache.to_owned()];
        let (finished, report) = self.setup.starter.role("floor", arguments)?;
        let written = fs::metadata(&output).context("the floor wrote nothing")?.len();
        if written != subject.ours.bytes {
            bail!("the floor wrote {written} bytes, not {}", subject.ours.bytes);
        }
        fs::remove_file(&output)?;
        Ok(run_of(&finished, Report::Floor(report)))
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

/// Compares an output with the one expected, and removes it.
fn same(output: &Path, wasm: &Path, expected: &Expected) -> Result<()> {
    if let Some(offset) = artifact::first_difference(output, &expected.path)? {
        bail!(
            "compiling {}, the output {} differs from {} {} at byte {offset}",
            wasm.display(),
            output.display(),
            expected.whose,
            expected.path.display()
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
