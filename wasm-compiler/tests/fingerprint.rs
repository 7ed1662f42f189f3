//! The versions in the fingerprint are those that are built.

use cranelift_codegen::isa;
use cranelift_codegen::settings::{Setting, SettingKind};
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

/// Each by itself, of those that Cranelift knows for a target.
#[test]
fn every_target_flag_changes_the_fingerprint() {
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let of = |cranelift| {
            let target = Some(target.to_owned());
            let options = Options { target, cranelift, ..Options::default() };
            fingerprint(&Settings::from_options(&options).unwrap())
        };
        let isa = isa::lookup(target.parse().unwrap()).unwrap();
        let is_switch = |flag: &Setting| flag.kind == SettingKind::Bool;
        let flags: Vec<&str> = isa.iter().filter(is_switch).map(|flag| flag.name).collect();
        assert!(flags.len() > 3, "{target}: {flags:?}");
        let plain = of(Vec::new());
        for flag in flags {
            // One of the two is the default.
            let with = |value: &str| of(vec![(flag.to_owned(), value.to_owned())]);
            let changes = ["true", "false"].into_iter().filter(|value| with(value) != plain);
            assert_eq!(changes.count(), 1, "{target}, {flag}");
        }
    }
}
