//! LOOKUP and PUBLISH on the store's side: cache keys -> entries, for a whole
//! build farm.
//!
//! Invariant: an entry passes its checksum and says its own key when it comes
//! in and whenever it goes out; it is compared, never decoded further, and
//! nothing here compiles.
//!
//! **Architecture Invariant:** no Cranelift and no WebAssembly, in this crate or
//! in what it depends on. The one file that names sled is `storage/index.rs`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]
#![forbid(unsafe_code)]

pub mod args;
pub mod config;
pub mod exit;
pub mod logs;
pub mod token;

mod connection;
mod tls;

pub mod auth;
mod body;
mod gate;
mod guard;
mod rpc;

mod service;
mod shared;

pub mod storage;

mod metrics;
mod observe;

mod server;

pub use config::Config;
pub use server::Server;
