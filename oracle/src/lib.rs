//! Stock Wasmtime and stock Cranelift as the judges: an input -> what they make of it, compared
//! byte by byte with what comes out of the cache.

pub mod allocations;
#[cfg(feature = "clif")]
pub mod clif;
pub mod forged;
#[cfg(feature = "wasm")]
pub mod hosts;
#[cfg(feature = "wasm")]
pub mod packages;
pub mod recorder;
#[cfg(feature = "wasm")]
pub mod same;
pub mod seal;
#[cfg(feature = "wasm")]
pub mod stages;
pub mod store;
#[cfg(feature = "wasm")]
pub mod testdata;
#[cfg(feature = "clif")]
pub mod views;
