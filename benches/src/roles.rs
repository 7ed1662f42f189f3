//! A role's name and files -> the work that one measured process does, and its
//! report, one JSON object on the standard output.
//!
//! Each role is a minimal program: read, work, write under a temporary name,
//! rename, exit.

pub mod floor;
pub mod incremental;
pub mod ours;
pub mod stock;

use crate::input::read;
use crate::{artifact, edit};
use anyhow::{Result, bail};
use clap::Parser;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wasm_compiler::Stencils;

/// What one process does.
#[derive(Debug, Parser)]
#[command(disable_help_flag = true, disable_help_subcommand = true)]
pub enum Role {
    /// Wasmtime as it is.
    Stock {
        /// The module or component.
        input: PathBuf,
        /// Where the artifact goes.
        output: PathBuf,
    },
    /// Wasmtime with its own cache in memory: A, A again, then B.
    Incremental {
        /// Where the artifacts go: `0.cwasm`, `1.cwasm`, ..
        output: PathBuf,
        /// The inputs, in the order in which they are compiled.
        #[arg(required = true)]
        inputs: Vec<PathBuf>,
    },
    /// What `stencil compile` does, and nothing else.
    Ours {
        /// The module or component.
        input: PathBuf,
        /// Where the artifact goes.
        output: PathBuf,
        /// The cache's directory; none without a cache.
        cache_dir: Option<PathBuf>,
        /// Which stencils.
        #[arg(long)]
        stencils: Stencils,
    },
    /// Reading, hashing and writing as many bytes as a warm compile does.
    Floor {
        /// The module or component.
        input: PathBuf,
        /// Where as many bytes as the artifact has go.
        output: PathBuf,
        /// The artifact's size.
        output_bytes: u64,
        /// The cache's directory, all of whose files are read.
        cache_dir: PathBuf,
    },
    /// Changes one constant of one function; not measured.
    Edit {
        /// The module or component.
        input: PathBuf,
        /// Where the edited one goes.
        output: PathBuf,
    },
}

/// Plays a role and prints its report.
///
/// # Errors
///
/// If a file cannot be read or written, or the input does not compile.
pub fn play(role: &Role) -> Result<()> {
    match role {
        Role::Stock { input, output } => print(&stock::play(input, output)?),
        Role::Incremental { output, inputs } => print(&incremental::play(output, inputs)?),
        Role::Ours { input, output, cache_dir, stencils } => {
            print(&ours::play(input, output, cache_dir.as_deref(), *stencils)?)
        }
        Role::Floor { input, output, output_bytes, cache_dir } => {
            print(&floor::play(input, output, *output_bytes, cache_dir)?)
        }
        Role::Edit { input, output } => {
            let mut wasm = read(input)?;
            let edit = edit::edit(&mut wasm)?;
            artifact::write(output, [wasm.as_slice()])?;
            print(&edit)
        }
    }
}

fn print(report: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}

/// Whether the input is a component; an error if it is neither that nor a
/// module.
pub(crate) fn is_component(wasm: &[u8], path: &Path) -> Result<bool> {
    if wasmparser::Parser::is_component(wasm) {
        return Ok(true);
    }
    if !wasmparser::Parser::is_core_wasm(wasm) {
        bail!("{} is not a WebAssembly module or component in the binary format", path.display());
    }
    Ok(false)
}

/// The milliseconds since a moment.
pub(crate) fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
