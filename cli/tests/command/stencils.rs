//! `--stencils`, in every place where it can be said: which kind a compile has, that the kinds
//! share nothing, and what is refused.
//!
//! Invariant: nothing here holds relocatable code against Wasmtime's bytes, from which it may
//! differ; it is held against what is made without a cache.

use crate::sandbox::{Ran, Sandbox, assert_same, ledger, ran, stock, testdata};
use std::fs;
use wasmtime::Config;

const ARM: &str = "aarch64-unknown-linux-gnu";

/// A module in which little is compiled.
const SMALL: &str = "(module (func (export \"f\") (result i32) i32.const 7))";

fn text(ran: &Ran, member: &str) -> String {
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    object[member].as_str().unwrap_or_else(|| panic!("no {member} in {object}")).to_owned()
}

fn configure(sandbox: &Sandbox, line: &str) {
    fs::create_dir_all(sandbox.path("config/stencil")).unwrap();
    sandbox.write("config/stencil/config.toml", line);
}

#[test]
fn each_kind_has_entries_of_its_own_and_always_the_same_bytes() {
    let sandbox = Sandbox::new();
    let exact = stock(&Config::new(), &testdata("wasm/ledger.wasm"));
    let without_cache = ["-o", "o.cwasm", "--no-cache", "--stencils", "relocatable"];
    let ledger = ledger();
    sandbox.run(&[&["compile", &ledger][..], &without_cache].concat()).done();
    let relocatable = fs::read(sandbox.path("o.cwasm")).unwrap();

    let mut fingerprints = Vec::new();
    for (kind, expected) in [("exact", &exact), ("relocatable", &relocatable)] {
        let args = ["compile", &ledger, "-o", "o.cwasm", "--json", "--stencils", kind];
        let cold = sandbox.run(&args).done();
        assert_same(&sandbox.path("o.cwasm"), expected);
        assert_eq!(cold.number("hits.disk"), 0, "a hit on an entry of the other kind");
        assert_eq!(text(&cold, "stencils"), kind);
        fingerprints.push(text(&cold, "fingerprint"));
        for jobs in ["1", "7"] {
            let warm = sandbox.run(&[&args[..], &["-j", jobs]].concat()).done();
            assert_same(&sandbox.path("o.cwasm"), expected);
            assert_eq!(warm.number("misses"), 0);
        }
        let verified = sandbox.run(&["verify", &ledger, "--stencils", kind]).done();
        assert!(verified.stdout.contains("0 of them differ; 0 are"), "{}", verified.stdout);
    }
    assert_ne!(fingerprints[0], fingerprints[1]);
}

#[test]
fn a_kind_on_the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let sandbox = Sandbox::new();
    sandbox.write("f.wat", SMALL);
    let kind = |variable: &str, args: &[&str]| {
        let mut command = sandbox.command();
        command.args(["compile", "f.wat", "--json"]).args(args).env("STENCIL_STENCILS", variable);
        text(&ran(command.output().unwrap()).done(), "stencils")
    };
    assert_eq!(kind("", &[]), "exact");
    configure(&sandbox, "stencils = 'relocatable'\n");
    assert_eq!(kind("", &[]), "relocatable");
    assert_eq!(kind("exact", &[]), "exact");
    assert_eq!(kind("exact", &["--stencils", "relocatable"]), "relocatable");
    assert_eq!(kind("relocatable", &["--stencils", "exact"]), "exact");
}

#[test]
fn settings_from_an_artifact_go_with_either_kind() {
    let sandbox = Sandbox::new();
    let mut config = Config::new();
    config.consume_fuel(true);
    let host = wasmtime::Engine::new(&config).unwrap();
    sandbox.write("host.cwasm", host.precompile_module(b"\0asm\x01\0\0\0").unwrap());
    let wat = sandbox.write("f.wat", SMALL);
    let args = ["compile", "f.wat", "-o", "o.cwasm", "--json", "--settings-from", "host.cwasm"];
    let exact = sandbox.run(&args).done();
    assert_same(&sandbox.path("o.cwasm"), &stock(&config, &wat));
    let flag = sandbox.run(&[&args[..], &["--stencils", "relocatable"]].concat()).done();
    configure(&sandbox, "stencils = 'relocatable'\n");
    let file = sandbox.run(&args).done();
    let kinds = [&exact, &flag, &file].map(|ran| text(ran, "stencils"));
    assert_eq!(kinds, ["exact", "relocatable", "relocatable"]);
    assert_eq!(text(&flag, "fingerprint"), text(&file, "fingerprint"));
    // The other settings are the artifact's still: the host loads it.
    let artifact = fs::read(sandbox.path("o.cwasm")).unwrap();
    // SAFETY: the artifact was made just now, for this engine, and nobody could change it since.
    unsafe { wasmtime::Module::deserialize(&host, artifact) }.unwrap();
}

#[test]
fn a_target_without_relocatable_stencils_is_refused_in_one_sentence() {
    let sandbox = Sandbox::new();
    sandbox.write("f.wat", SMALL);
    let compile = |args: &[&str]| {
        sandbox.run(&[&["compile", "f.wat", "-o", "o.cwasm", "--no-cache"], args].concat())
    };
    let parts = ["no relocatable stencils", ARM, "x86_64", "--stencils"];
    compile(&["--target", ARM, "--stencils", "relocatable"]).refused(2, &parts);
    compile(&["--target", ARM]).done();
    sandbox.run(&["compile", "f.wat", "-o", "arm.cwasm", "--target", ARM]).done();
    let like_arm = ["--settings-from", "arm.cwasm"];
    compile(&[&like_arm[..], &["--stencils", "relocatable"]].concat()).refused(2, &parts);
    compile(&like_arm).done();
    compile(&["--target", "x86_64-unknown-linux-gnu", "--stencils", "relocatable"]).done();
    configure(&sandbox, "stencils = 'relocatable'\n");
    compile(&["--target", ARM]).refused(2, &parts);
    compile(&["--target", ARM, "--stencils", "exact"]).done();
}

#[test]
fn another_word_is_refused_in_one_sentence() {
    let sandbox = Sandbox::new();
    sandbox.write("f.wat", SMALL);
    let wrong = "stencils are exact or relocatable";
    sandbox.run(&["compile", "f.wat", "--stencils", "both"]).refused(2, &["both", wrong]);
    let mut command = sandbox.command();
    command.args(["compile", "f.wat"]).env("STENCIL_STENCILS", "both");
    ran(command.output().unwrap()).refused(2, &["STENCIL_STENCILS=both", wrong]);
    configure(&sandbox, "jobs = 1\nstencils = 'both'\n");
    sandbox.run(&["compile", "f.wat"]).refused(2, &["config.toml, line 2", wrong]);
    assert_eq!(sandbox.names(), ["config", "f.wat"], "something was written");
}

#[test]
fn doctor_shows_the_kind_and_that_it_keeps_machines_apart() {
    let machine = Sandbox::new();
    let row = |args: &[&str]| {
        let ran = machine.run(&[&["doctor"], args].concat()).done();
        let row = ran.stdout.lines().find(|line| line.trim_start().starts_with("stencils "));
        let words: Vec<_> = row.unwrap_or_default().split_whitespace().collect();
        words.join(" ")
    };
    assert_eq!(row(&[]), "stencils exact default");
    assert_eq!(row(&["--stencils", "relocatable"]), "stencils relocatable command line");
    let exact = machine.run(&["doctor", "--settings-only"]).done();
    machine.write("other.txt", &exact.stdout);
    let compare = ["doctor", "--compare", "other.txt"];
    assert!(machine.run(&compare).done().stdout.contains("has the same one"));
    let ran = machine.run(&[&compare[..], &["--stencils", "relocatable"]].concat()).done();
    assert!(ran.stdout.contains("    stencils: relocatable - exact\n"), "{}", ran.stdout);
}
