//! [`Settings`] -> [`Fingerprint`]: the part of every key that all functions of
//! a configuration share.
//!
//! Invariant: two configurations whose compilers could generate different code
//! for the same function have different fingerprints. Versions are in here
//! because a new compiler is a new configuration; `tests/fingerprint.rs` holds
//! them against `Cargo.lock`.

use crate::settings::Settings;
use stencil::Fingerprint;

/// The crates that decide what code is generated, or what is in an entry beside
/// it, and their exact versions.
pub const VERSIONS: &[(&str, &str)] = &[
    ("wasmtime", "48.0.8"),
    ("wasmtime-environ", "48.0.8"),
    ("wasmtime-internal-cranelift", "48.0.8"),
    ("cranelift-codegen", "0.135.8"),
    ("cranelift-frontend", "0.135.8"),
    ("cranelift-assembler-x64", "0.135.8"),
    ("regalloc2", stencil::clif::REGALLOC2_VERSION),
    ("wasmparser", "0.254.2"),
    ("gimli", "0.33.0"),
];

/// Counts up whenever what a stencil holds, or how an entry's numbers are to be
/// read, changes on the WebAssembly side.
pub const SPLIT_VERSION: u32 = 1;

/// The fingerprint of a configuration.
pub fn fingerprint(settings: &Settings) -> Fingerprint {
    let split_version = SPLIT_VERSION.to_le_bytes();
    let mut parts: Vec<(&str, &[u8])> = vec![("split", &split_version)];
    for (name, version) in VERSIONS {
        parts.push((name, version.as_bytes()));
    }
    // Target, shared flags, ISA flags, tunables and features, as Wasmtime
    // serialises them, and so whatever a later field adds to them.
    parts.push(("engine", &settings.engine_section));
    parts.push(("gc_zeal", if cfg!(gc_zeal) { b"1" } else { b"0" }));
    for (name, value) in settings.literal() {
        parts.push((name, value.as_bytes()));
    }
    Fingerprint::of(parts)
}
