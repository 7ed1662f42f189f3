//! The versions in the fingerprint are those that are built.

use cranelift_codegen::isa;
use cranelift_codegen::settings::{Setting, SettingKind};
use std::collections::BTreeSet;
use wasm_compiler::fingerprint::{VERSIONS, fingerprint};
use wasm_compiler::{Options, Settings};

/// A package of `Cargo.lock`.
#[derive(Default)]
struct Locked<'a> {
    name: &'a str,
    version: &'a str,
    /// Names, and versions where there are several of a name.
    dependencies: Vec<&'a str>,
}

fn locked() -> Vec<Locked<'static>> {
    let mut packages = Vec::new();
    for package in include_str!("../../Cargo.lock").split("[[package]]").skip(1) {
        let mut locked = Locked::default();
        for line in package.lines() {
            let value =
                |prefix| line.strip_prefix(prefix).map(|rest: &str| rest.trim_matches(['"', ',']));
            if let Some(name) = value("name = ") {
                locked.name = name;
            } else if let Some(version) = value("version = ") {
                locked.version = version;
            } else {
                locked.dependencies.extend(value(" "));
            }
        }
        packages.push(locked);
    }
    packages
}

/// Whether a package is a part of the compiler.
fn is_compiler(name: &str) -> bool {
    name.starts_with("cranelift-") || name.starts_with("wasmtime") || name.starts_with("pulley")
}

/// The versions of a package that the compiler, or this crate, is built with. What
/// only tests use may bring others.
fn built(name: &str, locked: &[Locked<'_>]) -> BTreeSet<String> {
    let is_user = |user: &&Locked<'_>| {
        is_compiler(user.name) || ["wasm-compiler", "stencil"].contains(&user.name)
    };
    let users = locked.iter().filter(is_user);
    let named = users.flat_map(|user| &user.dependencies).filter_map(|dependency| {
        let mut words = dependency.split(' ');
        (words.next() == Some(name)).then(|| words.next())
    });
    let of_name = || locked.iter().filter(|package| package.name == name);
    let versions = named.flat_map(|version| match version {
        Some(version) => vec![version.to_owned()],
        None => of_name().map(|package| package.version.to_owned()).collect(),
    });
    versions.collect()
}

#[test]
fn versions_are_those_of_the_lock_file() {
    let locked = locked();
    for (name, version) in VERSIONS {
        assert_eq!(built(name, &locked), BTreeSet::from([(*version).to_owned()]), "{name}");
    }
}

/// Cranelift's and Wasmtime's crates that decide about code move together, so
/// that those named stand for all.
#[test]
fn every_crate_of_the_compiler_is_of_a_version_that_is_named() {
    let named: BTreeSet<&str> = VERSIONS.iter().map(|(_, version)| *version).collect();
    for Locked { name, version, .. } in locked() {
        assert!(!is_compiler(name) || named.contains(version), "{name} {version}");
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
