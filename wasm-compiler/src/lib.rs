//! ONE MODULE: WebAssembly bytes -> stencils -> one batched lookup -> codegen of
//! the misses -> link -> the bytes of a `.cwasm`, equal to those that Wasmtime
//! 48.0.8 itself would have written.
//!
//! [`Compiler::compile`] is the spine: one straight function that calls the
//! stages in the order of the modules below. What a function's machine code
//! depends on, and so what its key holds, is in [`split`]'s modules.
//!
//! ```
//! use wasm_compiler::{Compiler, NoCache};
//!
//! let engine = wasmtime::Engine::default();
//! let compiler = Compiler::for_engine(&engine)?;
//! let wasm = br#"(module (func (export "answer") (result i32) i32.const 42))"#;
//! let (cwasm, report) = compiler.compile(&wat::parse_bytes(wasm)?, &NoCache)?;
//! assert_eq!(report.functions, 1);
//! assert_eq!(cwasm, engine.precompile_module(wasm)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compiler;
pub mod error;
pub mod fingerprint;
pub mod report;
pub mod settings;

mod input;
mod pieces;
mod split;

mod layout;
mod lookup;
mod verify;

mod bypass;
mod codegen;

mod cwasm;
mod link;

pub use compiler::{Compiler, NoCache};
pub use error::CompileError;
pub use report::Report;
pub use settings::{NotStencils, OptLevel, Options, Settings, SettingsError, Stencils};
pub use verify::{Difference, VerifySample};
