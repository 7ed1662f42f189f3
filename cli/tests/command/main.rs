//! The built `stencil` command, on real files, as a user runs it.

mod planted;
mod sandbox;
mod server;

mod bad_input;
mod cache_faults;
mod commands;
mod compile;
mod damage;
mod interrupt;
mod remote;
mod server_faults;
mod stencils;
mod verify_sample;
