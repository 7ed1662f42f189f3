//! `stencil compile --verify-sample`: a sound entry of the right key with
//! another function's code goes unnoticed without it, and with it is found, not
//! used, put aside and replaced.
//!
//! Method: a cache that a compile has filled, in which one entry is replaced;
//! Wasmtime's bytes tell whether its code was used.

use crate::planted::{self, Planted, forge, plant};
use crate::sandbox::{Ran, Sandbox, assert_same, ledger, ran, stock};
use crate::server::Running;
use std::fs;
use std::path::Path;
use stencil::CacheStore as _;

const OUT: &str = "o.cwasm";

fn compile(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let ledger = ledger();
    let mut args = vec!["compile", &ledger, "-o", OUT, "--json"];
    args.extend(more);
    sandbox.run(&args)
}

fn expected() -> Vec<u8> {
    stock(&wasmtime::Config::new(), Path::new(&ledger()))
}

#[track_caller]
fn assert_right(sandbox: &Sandbox) {
    assert_same(&sandbox.path(OUT), &expected());
}

/// The wrong entry's code is in the artifact: nothing has noticed.
#[track_caller]
fn assert_wrong(sandbox: &Sandbox) {
    assert_ne!(fs::read(sandbox.path(OUT)).unwrap(), expected(), "the entry does no harm");
}

fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    compile(&sandbox, &[]).done();
    sandbox
}

/// A compile has found this entry, and only this one, wrong.
#[track_caller]
fn assert_found(ran: &Ran, planted: &Planted) {
    assert_eq!(ran.number("verify_differences"), 1);
    assert_eq!(ran.number("miss_reasons.wrong-code"), 1);
    assert_eq!(ran.number("rejected"), 1);
    assert_eq!((ran.number("misses"), ran.number("codegen")), (1, 1));
    let hits = ran.number("hits.memory") + ran.number("hits.disk") + ran.number("hits.remote");
    assert_eq!(hits + 1, ran.number("lookups"));
    let key = planted.wrong.key.to_string();
    let warned = ran.stderr.lines().find(|line| line.contains(&key));
    let warned = warned.unwrap_or_else(|| panic!("{key} is not in {}", ran.stderr));
    assert!(warned.starts_with("warning: ") && warned.contains("wasm[0]::"), "{warned}");
}

/// The directory has the right entry, and the wrong one is put aside.
#[track_caller]
fn assert_healed(sandbox: &Sandbox, planted: &Planted) {
    let key = planted.wrong.key;
    assert_eq!(planted::found(sandbox, &key), planted.right);
    let kept = |what| fs::read(sandbox.cache().join(format!("quarantine/{key}.{what}"))).unwrap();
    assert_eq!(kept("found"), planted.wrong.bytes);
    assert_eq!(kept("compiled"), planted.right);
}

#[test]
fn without_a_sample_a_wrong_entry_goes_unnoticed() {
    let sandbox = filled();
    plant(&sandbox);
    let ran = compile(&sandbox, &[]).done();
    assert_eq!((ran.number("misses"), ran.number("verified")), (0, 0));
    assert_eq!(ran.stderr, "");
    assert_wrong(&sandbox);
}

#[test]
fn a_wrong_entry_is_found_not_used_put_aside_and_replaced() {
    let sandbox = filled();
    let planted = plant(&sandbox);
    let ran = compile(&sandbox, &["--verify-sample", "1/1"]).done();
    assert_right(&sandbox);
    assert_found(&ran, &planted);
    assert_eq!((ran.number("published"), ran.number("conflicts")), (1, 0));
    assert_healed(&sandbox, &planted);

    let again = compile(&sandbox, &["--verify-sample", "1/1"]).done();
    assert_eq!((again.number("verify_differences"), again.number("misses")), (0, 0));
    assert_eq!(again.number("verified"), ran.number("verified"));
    assert_eq!((again.number("published"), again.number("hits.disk")), (0, ran.number("verified")));
    assert_eq!(again.stderr, "");
    compile(&sandbox, &[]).done();
    assert_right(&sandbox);
}

#[test]
fn a_strict_compile_fails_and_writes_nothing() {
    let sandbox = filled();
    fs::remove_file(sandbox.path(OUT)).unwrap();
    let planted = plant(&sandbox);
    let strict = ["--verify-sample", "1/1", "--verify-strict"];
    let key = planted.wrong.key.to_string();
    let ran = compile(&sandbox, &strict).refused(4, &["1 of", &key, "wasm[0]::"]);
    assert_eq!(ran.stdout, "");
    assert_eq!(sandbox.names(), ["cache"], "an artifact was written");
    assert_healed(&sandbox, &planted);
    let again = compile(&sandbox, &strict).done();
    assert_eq!(again.number("misses"), 0);
    assert_right(&sandbox);
}

#[test]
fn a_strict_compile_writes_nothing_to_the_standard_output() {
    let sandbox = filled();
    plant(&sandbox);
    let ledger = ledger();
    let args = ["compile", &ledger, "-o", "-", "--verify-sample", "1/1", "--verify-strict"];
    let failed = sandbox.run(&args).refused(4, &["nothing was written"]);
    assert_eq!(failed.bytes.len(), 0);
    assert!(sandbox.run(&args).done().bytes == expected(), "the next one succeeds");
}

#[test]
fn a_wrong_entry_of_a_server_is_a_conflict_there_and_replaced_here() {
    let server = Running::start();
    let planted = forge(&filled());
    publish(&server.url(), &planted);
    let remote = ["--server", &server.url(), "--remote-budget-ms", "60000"];
    let verified = [&remote[..], &["--verify-sample", "1/1"]].concat();

    let unaware = Sandbox::new();
    compile(&unaware, &remote).done();
    assert_wrong(&unaware);

    let aware = Sandbox::new();
    let ran = compile(&aware, &verified).done();
    assert_right(&aware);
    assert_found(&ran, &planted);
    assert_eq!((ran.number("hits.disk"), ran.number("remote.conflicts")), (0, 1));
    assert_eq!(server.metric("stencil_server_conflicts"), 1);
    assert_healed(&aware, &planted);
    let again = compile(&aware, &remote).done();
    assert_eq!((again.number("misses"), again.number("hits.remote")), (0, 0));
    assert_right(&aware);

    // The one that has taken the entry into its directory finds it there.
    let ran = compile(&unaware, &verified).done();
    assert_right(&unaware);
    assert_found(&ran, &planted);
    assert_eq!((ran.number("hits.remote"), ran.number("remote.conflicts")), (0, 1));
    assert_healed(&unaware, &planted);
}

/// Has a server hold a wrong entry before the right one is published.
fn publish(url: &str, planted: &Planted) {
    let remote = planted::remote(url);
    remote.publish(std::slice::from_ref(&planted.wrong));
    assert_eq!(remote.flush().published.stored, 1);
    // All others are there for whoever compiles next.
    compile(&Sandbox::new(), &["--server", url, "--remote-budget-ms", "60000"]).done();
}

#[test]
fn the_sample_is_the_keys_and_the_same_each_time() {
    let sandbox = filled();
    let entries = planted::entries(&sandbox);
    for one_in in [1, 2, 7, 100, u64::MAX] {
        let first = |bytes: &[u8; 32]| u64::from_le_bytes(*bytes.first_chunk().unwrap());
        let taken = entries.iter().filter(|(key, _)| first(key.as_bytes()).is_multiple_of(one_in));
        let taken = taken.count() as u64;
        let sample = format!("1/{one_in}");
        for _ in 0..2 {
            let ran = compile(&sandbox, &["--verify-sample", &sample]).done();
            assert_eq!(ran.number("verified"), taken, "{sample} of {}", entries.len());
            assert_eq!((ran.number("misses"), ran.number("published")), (0, 0));
        }
        let share = entries.len() as u64 / one_in;
        assert!(taken.abs_diff(share) <= 60, "{taken} of {} for {sample}", entries.len());
    }
    assert_right(&sandbox);
}

#[test]
fn the_settings_are_in_the_environment_and_the_file_and_doctor_shows_them() {
    let sandbox = filled();
    let all = planted::entries(&sandbox).len() as u64;
    fs::create_dir_all(sandbox.path("config/stencil")).unwrap();
    let file = "config/stencil/config.toml";
    sandbox.write(file, "verify-sample = '1/1'\nverify-strict = true\n");
    let planted = plant(&sandbox);
    compile(&sandbox, &[]).refused(4, &[&planted.wrong.key.to_string()]);
    assert_eq!(compile(&sandbox, &[]).done().number("verified"), all);
    let off = compile(&sandbox, &["--verify-sample", "off"]).done();
    assert_eq!(off.number("verified"), 0);

    let text = sandbox.run(&["doctor"]).done().stdout;
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or("").to_owned();
    assert!(line("verify-sample").contains("1/1"), "{text}");
    assert!(line("verify-strict").contains("config.toml"), "{text}");
    let mut doctor = sandbox.command();
    let doctor = doctor.args(["doctor"]).env("STENCIL_VERIFY_SAMPLE", "1/9").output().unwrap();
    assert!(ran(doctor).done().stdout.contains("STENCIL_VERIFY_SAMPLE"));
}

#[test]
fn wrong_samples_are_refused() {
    let sandbox = Sandbox::new();
    for wrong in ["2", "0/1", "1/0", "all"] {
        let ran = compile(&sandbox, &["--verify-sample", wrong]);
        assert_eq!(ran.code, Some(2), "{wrong}: {}", ran.stderr);
    }
    compile(&sandbox, &["--verify-strict"]).refused(2, &["--verify-sample 1/N"]);
    compile(&sandbox, &["--verify-sample", "1/2", "--no-cache"]).refused(2, &["--no-cache"]);
    let strict = compile(&sandbox, &["--verify-sample", "1/2", "--no-cache", "--verify-strict"]);
    assert_eq!(strict.code, Some(2), "{}", strict.stderr);
    assert_eq!(sandbox.names(), [""; 0], "something was written");
}

/// Of relocatable code a share is checked when it is made, and the figures say how many functions.
#[test]
#[cfg(target_arch = "x86_64")]
fn relocatable_code_is_checked_when_it_is_made() {
    let sandbox = Sandbox::new();
    let relocatable = ["--stencils", "relocatable", "--verify-sample", "1/1"];
    let cold = compile(&sandbox, &relocatable).done();
    let checked = cold.number("checked");
    assert!(checked > 100 && cold.number("verified") == 0, "{checked} checked");
    let warm = compile(&sandbox, &relocatable).done();
    assert_eq!(warm.number("misses"), 0);
    let without = compile(&sandbox, &[&relocatable[..], &["--no-cache"]].concat()).done();
    assert_eq!(without.number("checked"), checked);
}
