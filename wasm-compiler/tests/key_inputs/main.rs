//! Two inputs that differ in one thing -> whether that thing is in the key.
//! `docs/key-inputs.md` has a line for each test, and `document.rs` holds the
//! two against each other.
//!
//! In every test the store is filled by the first input and the second one is
//! compiled on it, and both have to be Wasmtime's to the byte; with relocatable
//! stencils both have to be as without a cache, and to do what Wasmtime's do. That
//! finds a key that holds too little whatever keys are made of.

mod check;
mod document;
mod relocatable;

mod body;
mod calls;
mod components;
mod constants;
mod entries;
mod fingerprint;
mod functions;
mod globals;
mod memories;
mod not_inputs;
mod offsets;
mod relocations;
mod segments;
mod tables;
mod tags;
mod trampolines;
mod types;
