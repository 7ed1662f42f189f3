//! A `TargetIsa` -> [`Fingerprint`].

use crate::key::Fingerprint;
use cranelift_codegen::isa::TargetIsa;

/// Counts up whenever the meaning of a stencil's bytes changes.
pub const SPLIT_VERSION: u32 = 1;

/// The register allocator's version: it decides about code, and Cranelift names
/// a range of it. `Cargo.toml` pins it.
pub const REGALLOC2_VERSION: &str = "0.15.2";

/// The fingerprint of all that decides about code besides the function:
/// Cranelift's version, the target, every shared flag and every flag of the
/// instruction set, and this crate's own formats.
pub fn fingerprint(isa: &dyn TargetIsa) -> Fingerprint {
    let shared = isa.flags().iter().map(|flag| flag.to_string());
    let own = isa.isa_flags().into_iter().map(|flag| flag.to_string());
    let flags: Vec<String> = shared.chain(own).collect();
    let split = SPLIT_VERSION.to_le_bytes();
    let triple = isa.triple().to_string();
    let parts = [
        ("clif split", &split[..]),
        ("cranelift", cranelift_codegen::VERSION.as_bytes()),
        ("regalloc2", REGALLOC2_VERSION.as_bytes()),
        ("isa", isa.name().as_bytes()),
        ("triple", triple.as_bytes()),
    ];
    Fingerprint::of(parts.into_iter().chain(flags.iter().map(|flag| ("flag", flag.as_bytes()))))
}
