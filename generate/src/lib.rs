//! What tests and fuzz targets compile: seeds or bytes -> functions of Cranelift's IR, modules,
//! and edits of them as real builds make them.

pub mod choices;
#[cfg(feature = "clif")]
pub mod clif;
#[cfg(feature = "wasm")]
pub mod component;
#[cfg(feature = "wasm")]
pub mod edit;
#[cfg(feature = "wasm")]
pub mod linked;
#[cfg(feature = "wasm")]
pub mod mutate;
#[cfg(feature = "wasm")]
pub mod smith;
