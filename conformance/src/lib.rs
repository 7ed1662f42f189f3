//! Tests of the specification -> who passes them: stock Wasmtime, and our artifacts cold and warm,
//! with exact stencils and with relocatable ones.
//!
//! [`outcomes`] is the spine: it calls the modules below in their order, for one file after the
//! other. What is compared is not files but directives, and there are five runs of each: on
//! artifacts that Wasmtime made, on ours when the cache had nothing of the file, on ours when it
//! had all, and on ours with relocatable stencils, which are the same bytes without a cache, cold
//! and warm: of the modules as they are, and with all constants made of addresses. Wasmtime loads
//! all five in the same way and never sees the module.

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
