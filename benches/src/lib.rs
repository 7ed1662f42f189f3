//! What the cache costs and saves, measured: the parts of the `compare` and
//! `farm` programs and the inputs of the Criterion benches.
//!
//! `compare` starts itself again for every measured run. [`rounds`] decides what
//! runs when, [`child`] runs one process and measures it, [`roles`] is what the
//! processes do, [`results`] what came out, and [`table`] shows it to a person.
//!
//! [`farm`] is another program: how fast a server feeds many builds at once. [`runtime`] is a
//! third: how fast relocatable code runs.
//!
//! Invariant: a figure of `compare` is shown only if the output of its run was compared with
//! stock Wasmtime's, byte for byte; that of a run with relocatable stencils, which make other
//! code, with what is made without a cache.

pub mod arguments;

pub mod rounds;

pub mod child;
pub mod process;
pub mod roles;
pub mod server_process;

pub mod artifact;
pub mod blob;
pub mod cache_directory;
pub mod edit;
pub mod input;

pub mod figures;
pub mod results;
pub mod table;

pub mod stage_inputs;

pub mod clif;

pub mod farm;

pub mod runtime;
