//! LOOKUP and PUBLISH on the build's side: cache keys -> entries, from the
//! nearest tier that has them.
//!
//! [`TieredStore`] asks one [`stencil::CacheStore`] after the other: the
//! [`MemoryStore`] of this process, then the [`DiskStore`] that all processes
//! of one user share.
//!
//! Invariant: nothing here fails a build, ends the process or panics, whatever
//! the state of the files. What went wrong is a [`stencil::MissReason`] for the
//! counters and a sentence in [`DiskStore::problems`] for a person.
//!
//! With the feature `wasmtime`, [`wasmtime::WasmtimeStore`] puts the tiers behind
//! stock Wasmtime's own incremental cache.
//!
//! **Architecture Invariant:** without that feature no Cranelift and no wasm; and nothing that maps a
//! file into memory: a mapped file that another process truncates kills its
//! readers with SIGBUS.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]
#![forbid(unsafe_code)]

mod memory;
mod single;

mod disk;

#[cfg(feature = "remote")]
pub mod remote;

mod tiered;

#[cfg(feature = "wasmtime")]
pub mod wasmtime;

pub use disk::{
    CACHE_BYTES_DEFAULT, DiskConfig, DiskEvent, DiskStats, DiskStore, PruneSummary,
    default_directory,
};
pub use memory::MemoryStore;
pub use tiered::TieredStore;
