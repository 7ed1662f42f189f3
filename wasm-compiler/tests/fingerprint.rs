//! The versions in the fingerprint are those that are built.

use std::collections::BTreeSet;
use wasm_compiler::fingerprint::{VERSIONS, fingerprint};
use wasm_compiler::{Options, Settings};

/// Names and versions of `Cargo.lock`.
fn locked() -> Vec<(String, String)> {
    let lock = include_str!("../../Cargo.lock");
    let mut packages = Vec::new();
    let mut name = String::new();
    for line in lock.lines() {
        let value = |prefix| line.strip_prefix(prefix).map(|rest: &str| rest.trim_matches('"'));
        if let Some(found) = value("name = ") {
            found.clone_into(&mut name);
        } else if let Some(version) = value("version = ") {
            packages.push((name.clone(), version.to_owned()));
        }
    }
    packages
}

#[test]
fn versions_are_those_of_the_lock_file() {
    let locked = locked();
    for (name, version) in VERSIONS {
        let found: Vec<&str> = locked
            .iter()
            .filter(|(locked, _)| locked == name)
            .map(|(_, version)| version.as_str())
            .collect();
        assert_eq!(found, [*version], "{name}");
    }
}

/// Cranelift's and Wasmtime's crates that decide about code move together, so
/// that those named stand for all.
#[test]
fn every_crate_of_the_compiler_is_of_a_version_that_is_named() {
    let named: BTreeSet<&str> = VERSIONS.iter().map(|(_, version)| *version).collect();
    for (name, version) in locked() {
        let is_compiler = name.starts_with("cranelift-")
            || name.starts_with("wasmtime")
            || name.starts_with("pulley");
        assert!(!is_compiler || named.contains(version.as_str()), "{name} {version}");
    }
}

#[test]
fn every_setting_changes_the_fingerprint() {
    let of = |options: &Options| fingerprint(&Settings::from_options(options).unwrap());
    let with = |change: fn(&mut Options)| {
        let target = Some("x86_64-unknown-linux-gnu".to_owned());
        let mut options = Options { target, ..Options::default() };
        change(&mut options);
        of(&options)
    };
    let fingerprints = [
        with(|_| ()),
        with(|options| options.opt_level = Some(wasm_compiler::OptLevel::None)),
        with(|options| options.opt_level = Some(wasm_compiler::OptLevel::SpeedAndSize)),
        with(|options| options.cranelift.push(("has_avx".to_owned(), "true".to_owned()))),
        with(|options| options.cranelift.push(("has_bmi1".to_owned(), "true".to_owned()))),
        with(|options| options.target = Some("aarch64-unknown-linux-gnu".to_owned())),
    ];
    let distinct: BTreeSet<String> = fingerprints.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), fingerprints.len());
    assert_eq!(with(|_| ()), fingerprints[0]);
}
