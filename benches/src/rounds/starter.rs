//! A role or the `stencil` command -> a process, and the report that it prints.

use super::{Expected, Subject, same};
use crate::arguments::{Arguments, ROLE_FLAG};
use crate::artifact;
use crate::child::{self, Finished};
use crate::roles::ours::OursReport;
use crate::roles::stock::StockReport;
use anyhow::{Context as _, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wasm_compiler::Stencils;

/// The command that is measured, beside this program.
const STENCIL: &str = "stencil";

/// The server, beside this program.
const SERVER: &str = "cache-server";

/// All of its settings in the environment start so.
const STENCIL_VARIABLES: &str = "STENCIL_";

/// A run that would not get its entries from the server is no measurement of it.
const SERVER_BUDGET_MS: &str = "60000";

const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Starts the processes.
pub(super) struct Starter {
    pub(super) this: PathBuf,
    /// The `stencil` command, if it is to be measured.
    pub(super) stencil: Option<PathBuf>,
    /// A directory without a configuration file.
    pub(super) no_configuration: PathBuf,
    pub(super) stencils: Stencils,
    pub(super) interrupted: Arc<AtomicBool>,
}

impl Starter {
    /// Lets the system read the programs' files, so that the first round does
    /// not pay for it.
    pub(super) fn warm_up(&self, directory: &Path) -> Result<()> {
        let (empty, output) = (directory.join("empty.wasm"), directory.join("empty.cwasm"));
        artifact::write(&empty, [EMPTY_MODULE])?;
        let subject = self.subject(empty, output)?;
        let output = directory.join("empty-again.cwasm");
        self.ours(&subject.wasm, &output, None, None)?;
        same(&output, &subject.wasm, &subject.ours)
    }

    /// Makes what all other outputs are compared with: stock Wasmtime, and for relocatable
    /// stencils the function cache's program without a cache.
    pub(super) fn subject(&self, wasm: PathBuf, path: PathBuf) -> Result<Subject> {
        let (_, report): (_, StockReport) = self.role("stock", [&wasm, &path])?;
        let StockReport { wasm_bytes, output_bytes: bytes, .. } = report;
        let stock = Expected { path, bytes, whose: "stock Wasmtime's" };
        let ours = match self.stencils {
            Stencils::Exact => stock.clone(),
            Stencils::Relocatable => {
                let path = stock.path.with_extension("relocatable");
                self.ours(&wasm, &path, None, None)?;
                let bytes = fs::metadata(&path).context("there is no output")?.len();
                Expected { path, bytes, whose: "what is made without a cache," }
            }
        };
        Ok(Subject { wasm, wasm_bytes, stock, ours })
    }

    pub(super) fn ours(
        &self,
        wasm: &PathBuf,
        output: &PathBuf,
        cache: Option<&Path>,
        server: Option<&str>,
    ) -> Result<(Finished, OursReport)> {
        let Some(stencil) = &self.stencil else {
            let mut command = Command::new(&self.this);
            command.args([ROLE_FLAG, "ours", "--stencils", self.stencils.name()]);
            return self.run(command.args([wasm, output]).args(cache));
        };
        let mut command = Command::new(stencil);
        command.arg("compile").arg(wasm).arg("-o").arg(output).arg("--json");
        match cache {
            Some(cache) => command.arg("--cache-dir").arg(cache),
            None => command.arg("--no-cache"),
        };
        // Exact ones are every command's default, also that of one without the flag.
        if self.stencils != Stencils::Exact {
            command.args(["--stencils", self.stencils.name()]);
        }
        if let Some(server) = server {
            command.args(["--require-remote", "--remote-budget-ms", SERVER_BUDGET_MS]);
            command.args(["--server", server]);
        }
        // What a user has set up must not change what is measured.
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(STENCIL_VARIABLES.as_bytes()) {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", &self.no_configuration);
        self.run(&mut command)
    }

    pub(super) fn role<'a, T: DeserializeOwned>(
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

/// The `stencil` command to measure; `None` for the minimal program.
pub(super) fn stencil(arguments: &Arguments, this: &Path) -> Result<Option<PathBuf>> {
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

/// The server to measure, if it is asked for.
pub(super) fn server(arguments: &Arguments, this: &Path) -> Result<Option<PathBuf>> {
    if !arguments.server {
        return Ok(None);
    }
    let beside = this.with_file_name(format!("{SERVER}{}", env::consts::EXE_SUFFIX));
    match beside.is_file() {
        true => Ok(Some(beside)),
        false => Err(anyhow!(
            "there is no {}; `cargo build --release -p cache-server` makes it",
            beside.display()
        )),
    }
}

/// Set when a signal asks this process to end. It then ends as after an error,
/// and so removes its files.
pub(super) fn interruptions() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, interrupted.clone())
            .context("cannot handle signals")?;
    }
    Ok(interrupted)
}
