//! Tests of the specification -> who passes them: stock Wasmtime, and our artifacts cold and warm.
//!
//! [`outcomes`] is the spine: it calls the modules below in their order, for one file after the
//! other. What is compared is not files but directives, and there are three runs of each: on
//! artifacts that Wasmtime made, on ours when the cache had nothing of the file, and on ours when
//! it had all. Wasmtime loads all three in the same way and never sees the module.

pub mod files;
pub mod suite;

pub mod features;
pub mod script;

pub mod artifacts;
mod differences;
pub mod run;

mod outcome;
pub mod table;

pub use outcome::{Ours, Outcome, outcomes};

use wasm_compiler::{CompileError, Compiler};
use wasmtime::Engine;

/// A way in which our compiler makes artifacts.
#[derive(Clone, Copy)]
pub struct Mode {
    /// Makes the compiler whose artifacts the engine loads.
    pub compiler: fn(&Engine) -> Result<Compiler, CompileError>,
    /// Whether the artifacts have Wasmtime's bytes, and are held against them.
    pub same_bytes: bool,
}

/// Artifacts as Wasmtime links them.
pub const LINKED: Mode = Mode { compiler: Compiler::for_engine, same_bytes: true };
