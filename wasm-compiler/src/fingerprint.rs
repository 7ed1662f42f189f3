//! [`Settings`] -> [`Fingerprint`]: the part of every key that all functions of
//! a configuration share.
//!
//! Invariant: two configurations whose compilers could generate different code
//! for the same function have different fingerprints. Versions are in here
//! because a new compiler is a new configuration; `tests/fingerprint.rs` holds
//! them against `Cargo.lock`.

use crate::settings::Settings;
use stencil::Fingerprint;
use wasmtime_environ::BuiltinFunctionIndex;

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
    ("iced-x86", "1.22.0"),
];

/// Counts up whenever what a stencil holds, or how an entry's numbers are to be
/// read, changes on the WebAssembly side.
pub const SPLIT_VERSION: u32 = 5;

/// What one build of this crate brings with it, whatever the settings are.
#[derive(Clone)]
struct Build {
    versions: Vec<(&'static str, &'static str)>,
    split_version: u32,
    /// The runtime's builtins, by their numbers, which are in entries and in the
    /// code of trampolines. Which there are, and so how they are numbered, depends on
    /// Cargo's features and on the machine (`builtin.rs`, `foreach_builtin_function`).
    builtins: Vec<&'static str>,
    gc_zeal: bool,
}

impl Build {
    fn this() -> Self {
        let builtins = (0..BuiltinFunctionIndex::len()).map(BuiltinFunctionIndex::from_u32);
        Self {
            versions: VERSIONS.to_vec(),
            split_version: SPLIT_VERSION,
            builtins: builtins.map(|builtin| builtin.name()).collect(),
            gc_zeal: cfg!(gc_zeal),
        }
    }
}

/// The fingerprint of a configuration.
pub fn fingerprint(settings: &Settings) -> Fingerprint {
    of_build(settings, &Build::this())
}

fn of_build(settings: &Settings, build: &Build) -> Fingerprint {
    let Build { versions, split_version, builtins, gc_zeal } = build;
    let split_version = split_version.to_le_bytes();
    let mut parts: Vec<(&str, &[u8])> = vec![("split", &split_version)];
    for (name, version) in versions {
        parts.push((name, version.as_bytes()));
    }
    for builtin in builtins {
        parts.push(("builtin", builtin.as_bytes()));
    }
    // Target, shared flags, ISA flags, tunables and features, as Wasmtime
    // serialises them, and so whatever a later field adds to them.
    parts.push(("engine", &settings.engine_section));
    parts.push(("stencils", settings.stencils.name().as_bytes()));
    parts.push(("gc_zeal", if *gc_zeal { b"1" } else { b"0" }));
    for (name, value) in settings.literal() {
        parts.push((name, value.as_bytes()));
    }
    Fingerprint::of(parts)
}

#[cfg(test)]
mod tests {
    use super::{Build, of_build};
    use crate::settings::{Options, Settings};

    #[track_caller]
    fn check(change: impl FnOnce(&mut Build)) {
        let settings = Settings::from_options(&Options::default()).expect("these are the defaults");
        let mut build = Build::this();
        let before = of_build(&settings, &build);
        assert_eq!(before, of_build(&settings, &build.clone()));
        change(&mut build);
        assert_ne!(before, of_build(&settings, &build));
    }

    #[test]
    fn versions_of_crates() {
        for at in 0..Build::this().versions.len() {
            check(|build| build.versions[at].1 = "0.0.0");
        }
    }

    #[test]
    fn the_encoding_of_stencils() {
        check(|build| build.split_version += 1);
    }

    /// Two builds of this crate with other features of Wasmtime's (`wmemcheck` has
    /// eight builtins in the middle of the list) once had one fingerprint: a function
    /// from the one's cache would have called the other's builtin of that number.
    #[test]
    fn the_numbers_of_builtins() {
        check(|build| build.builtins.truncate(3));
        check(|build| build.builtins.swap(3, 4));
        check(|build| build.builtins.retain(|name| *name != "ref_func"));
    }

    #[test]
    fn the_collectors_stress_test() {
        check(|build| build.gc_zeal = !build.gc_zeal);
    }
}
