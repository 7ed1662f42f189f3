//! The bytes of images: where functions lie, what relocations write, what is
//! refused. Nothing is executed, and nothing needs unsafe code; what maps is
//! left out where Miri runs this.

#![cfg(feature = "image")]
#![forbid(unsafe_code)]

mod aarch64;
mod code;
mod hostile;
mod layout;
mod limits;
mod refusals;
mod x86_64;
