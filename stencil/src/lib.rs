//! ONE FUNCTION of a compile cache: from what was split to what is linked.
//!
//! A function is taken apart into two halves. The [`FunctionStencil`] holds
//! everything that can change the machine code, in one canonical byte string;
//! its SHA-256, together with the compiler's [`Fingerprint`], is the
//! [`CacheKey`]. The [`FunctionParameters`] hold what may differ between two
//! functions that share a stencil (the names of callees, the source locations);
//! they are applied after the lookup, by [`finalize`].
//!
//! Same key, same code. The compiled half of a stencil, [`CompiledStencil`],
//! is stored as a sealed [`entry`]; where entries are kept is a
//! [`CacheStore`]'s business.
//!
//! Invariant: plain bytes only. No I/O, no clock, no WebAssembly and, without
//! further features, no Cranelift: a server builds this crate too.
//!
//! # Features
//!
//! - `codegen`: functions of Cranelift's IR; `clif` is the place to start for
//!   a JIT or a language.
//! - `module`: `module::CachedModule`, the cache in front of a `JITModule`, an
//!   `ObjectModule` or any other.
//! - `image`: `image::CodeImage`, finalized functions in one mapping that can
//!   change while old code runs.
//!
//! The modules in the order in which a function passes through them:

pub mod function_stencil;
pub mod parameters;

pub mod key;

pub mod store;

pub mod compiled;
pub mod packed;

pub mod entry;

pub mod finalize;

#[cfg(feature = "codegen")]
pub mod clif;
#[cfg(feature = "image")]
pub mod image;
#[cfg(feature = "module")]
pub mod module;

pub use compiled::{CompiledStencil, StencilBuilder};
pub use entry::{EntryBytes, EntryError};
pub use function_stencil::{FunctionStencil, StencilKind, StencilWriter};
pub use key::{CacheKey, Fingerprint};
pub use parameters::{
    CalleeIndex, ExternalName, FunctionParameters, NumberIndex, SourceLocations, SourceOrdinal,
};
pub use store::{CacheStore, Lookup, MissReason, NewEntry, PublishSummary, Tier};
