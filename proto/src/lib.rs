//! THE WIRE: `cache.proto`, the code generated from it, and the conversions
//! between its messages and ours.
//!
//! The comments of `proto/stencil/cache/v1/cache.proto` are the protocol's
//! document.
//!
//! **Architecture Invariant:** no Cranelift, no I/O; the server builds this.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]
#![forbid(unsafe_code)]

pub mod limits;

pub mod codec;

pub mod coding;
pub mod keys;
pub mod namespace;

/// What `tonic-prost-build` makes of `cache.proto`.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated; the document is cache.proto")]
pub mod v1 {
    tonic::include_proto!("stencil.cache.v1");
}

/// The protocol's descriptors, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use coding::{Coded, CodingError};
pub use keys::KeysError;
pub use namespace::{Namespace, NamespaceError};
