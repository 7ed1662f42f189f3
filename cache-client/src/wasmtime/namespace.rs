//! Wasmtime's key of a function, or the name and place of a manifest ->
//! [`CacheKey`].
//!
//! ```text
//! SHA-256( "stencil wasmtime plugin" || fingerprint (32) || kind (1) || rest )
//!          function: rest = Wasmtime's key
//!          manifest: rest = week (u64) || generation (u8) || lane (u8) || module id
//! ```
//!
//! Invariant: Wasmtime's own key leaves the versions out, so they are in the
//! fingerprint: another version of the compiler never sees these keys.

use sha2::{Digest, Sha256};
use stencil::{CacheKey, Fingerprint};

const LABEL: &[u8] = b"stencil wasmtime plugin";

const FUNCTION: u8 = 0;
const MANIFEST: u8 = 1;

/// Counts up whenever what the plugin's entries hold changes.
const PLUGIN_VERSION: u32 = 1;

/// The crates that decide what code is generated under one of Wasmtime's keys,
/// and their exact versions. Cranelift's own version string, which also names
/// the revision of a repository that encloses its source, comes on top.
pub const VERSIONS: &[(&str, &str)] = &[
    ("wasmtime", "48.0.8"),
    ("wasmtime-internal-cranelift", "48.0.8"),
    ("cranelift-codegen", "0.135.8"),
    ("cranelift-assembler-x64", "0.135.8"),
    ("regalloc2", "0.15.2"),
];

/// Where a record of a manifest lies; see [`super::manifest_log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Weeks since 1970.
    pub(super) week: u64,
    /// Which of the week's records.
    pub(super) generation: u8,
    /// A few bits of the record's hash.
    pub(super) lane: u8,
}

/// All keys of one compiler's version and one user's parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namespace {
    fingerprint: Fingerprint,
}

impl Namespace {
    /// The keys of this build of Wasmtime, apart from those of any other list
    /// of `parts`.
    pub(super) fn new(parts: &[(String, Vec<u8>)]) -> Self {
        let version = PLUGIN_VERSION.to_le_bytes();
        let mut all: Vec<(&str, &[u8])> = vec![("plugin", &version)];
        all.extend(VERSIONS.iter().map(|(name, version)| (*name, version.as_bytes())));
        all.push(("cranelift VERSION", cranelift_codegen::VERSION.as_bytes()));
        all.extend(parts.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        Self { fingerprint: Fingerprint::of(all) }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key of a function.
    pub(super) fn function(&self, wasmtime_key: &[u8]) -> CacheKey {
        self.key(FUNCTION, &[wasmtime_key])
    }

    /// The key of a record of a module's manifest.
    pub(super) fn manifest(&self, module_id: &[u8], place: Place) -> CacheKey {
        let Place { week, generation, lane } = place;
        self.key(MANIFEST, &[&week.to_le_bytes(), &[generation, lane], module_id])
    }

    fn key(&self, kind: u8, rest: &[&[u8]]) -> CacheKey {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(self.fingerprint.as_bytes());
        hash.update([kind]);
        rest.iter().for_each(|part| hash.update(part));
        CacheKey::from_bytes(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_parts_separate_the_keys() {
        let plain = Namespace::new(&[]);
        let other = Namespace::new(&[("project".to_owned(), b"a".to_vec())]);
        assert_eq!(plain.function(b"key"), Namespace::new(&[]).function(b"key"));
        assert_ne!(plain.function(b"key"), plain.function(b"kez"));
        assert_ne!(plain.function(b"key"), other.function(b"key"));
    }

    #[test]
    fn module_week_generation_and_lane_each_change_a_manifests_key() {
        let namespace = Namespace::new(&[]);
        let place = Place { week: 2900, generation: 1, lane: 2 };
        let key = namespace.manifest(b"app", place);
        assert_eq!(key, namespace.manifest(b"app", place));
        assert_ne!(key, namespace.manifest(b"apq", place));
        assert_ne!(key, namespace.manifest(b"app", Place { week: 2901, ..place }));
        assert_ne!(key, namespace.manifest(b"app", Place { generation: 2, ..place }));
        assert_ne!(key, namespace.manifest(b"app", Place { lane: 1, ..place }));
    }
}
