//! The role of Wasmtime as it is: the smallest program that compiles a file.

use crate::artifact;
use crate::input::read;
use crate::roles::{is_component, ms_since};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;
use wasmtime::Engine;

/// What the process says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StockReport {
    /// Making the engine and compiling, in milliseconds.
    pub compile_ms: f64,
    /// The input's size.
    pub wasm_bytes: u64,
    /// The artifact's size.
    pub output_bytes: u64,
}

/// Compiles one file.
pub(crate) fn play(input: &Path, output: &Path) -> Result<StockReport> {
    let wasm = read(input)?;
    let start = Instant::now();
    let cwasm = compile(&Engine::default(), &wasm, input)?;
    let compile_ms = ms_since(start);
    artifact::write(output, [cwasm.as_slice()])?;
    let (wasm_bytes, output_bytes) = (wasm.len() as u64, cwasm.len() as u64);
    Ok(StockReport { compile_ms, wasm_bytes, output_bytes })
}

/// What stock Wasmtime writes for a module or component.
pub(crate) fn compile(engine: &Engine, wasm: &[u8], input: &Path) -> Result<Vec<u8>> {
    let cwasm = if is_component(wasm, input)? {
        engine.precompile_component(wasm)
    } else {
        engine.precompile_module(wasm)
    };
    cwasm
        .map_err(anyhow::Error::from)
        .with_context(|| format!("Wasmtime cannot compile {}", input.display()))
}
