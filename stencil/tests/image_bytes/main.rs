//! The bytes of images: where functions lie, what relocations write, what is
//! refused. Nothing is executed; nothing here needs unsafe code, and Miri runs
//! it.

#![cfg(feature = "image")]

mod aarch64;
mod code;
mod hostile;
mod layout;
mod limits;
mod refusals;
mod x86_64;
