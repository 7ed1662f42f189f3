//! Whatever is wrong with the cache: the compile succeeds with the right bytes,
//! and says what was wrong.

use crate::sandbox::{Ran, Sandbox, assert_same, ledger, ran, stock, testdata};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use wasmtime::Config;

fn expected() -> Vec<u8> {
    stock(&Config::new(), &testdata("wasm/ledger.wasm"))
}

#[track_caller]
fn compiles_and_warns(sandbox: &Sandbox, cache: &Path, words: &[&str]) -> Ran {
    let cache = cache.to_str().unwrap();
    let args = ["compile", &ledger(), "-o", "o.cwasm", "--json", "--cache-dir", cache];
    let ran = sandbox.run(&args).done();
    assert_same(&sandbox.path("o.cwasm"), &expected());
    let warnings: Vec<&str> = ran.stderr.lines().filter(|l| l.starts_with("warning")).collect();
    assert!(!warnings.is_empty(), "no warning: {}", ran.stderr);
    for word in words {
        assert!(warnings.concat().contains(word), "{word:?} is not in {warnings:?}");
    }
    ran
}

#[test]
fn a_cache_that_others_may_write_is_refused() {
    let sandbox = Sandbox::new();
    let cache = sandbox.path("shared");
    fs::create_dir(&cache).unwrap();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).unwrap();
        let ran = compiles_and_warns(&sandbox, &cache, &[cache.to_str().unwrap()]);
        assert!(ran.stdout.contains("\"untrusted\":"), "{}", ran.stdout);
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "something was written");
    }
}

#[test]
fn a_file_in_the_caches_place_is_no_cache() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("file", "mine");
    compiles_and_warns(&sandbox, &file, &[file.to_str().unwrap()]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_damaged_cache_is_replaced() {
    let sandbox = Sandbox::new();
    let cache = sandbox.path("cache-dir");
    let args = ["compile", &ledger(), "-o", "o.cwasm", "--cache-dir", cache.to_str().unwrap()];
    sandbox.run(&args).done();
    for file in fs::read_dir(&cache).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sqlite") {
            fs::write(path, "this is not a database, and never was").unwrap();
        }
    }
    compiles_and_warns(&sandbox, &cache, &["replaced"]);
    let again = sandbox.run(&args).done();
    assert!(again.stderr.contains("100 % hits"), "{}", again.stderr);
}

/// A limit on file sizes is what a full disk looks like.
fn limited(sandbox: &Sandbox, blocks: u32, args: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_stencil")]).args(args);
    sandbox.prepare(&mut command);
    ran(command.output().unwrap())
}

#[test]
fn a_full_disk_under_the_cache_does_not_fail_the_compile() {
    let sandbox = Sandbox::new();
    // The artifact goes through a pipe, so that the limit is the cache's alone.
    let ran = limited(&sandbox, 200, &["compile", &ledger(), "-o", "-"]).done();
    assert!(ran.stderr.contains(" not kept: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: "), "{}", ran.stderr);
    assert!(ran.bytes == expected(), "the artifact has other bytes");
    let again = sandbox.run(&["compile", &ledger(), "-o", "o.cwasm"]).done();
    assert!(!again.stderr.contains("warning: "), "{}", again.stderr);
    let third = sandbox.run(&["compile", &ledger(), "-o", "o.cwasm"]).done();
    assert!(third.stderr.contains("100 % hits"), "{}", third.stderr);
}

#[test]
fn a_full_disk_under_the_output_leaves_what_was_there() {
    let sandbox = Sandbox::new();
    sandbox.write("o.cwasm", "old");
    let args = ["compile", &ledger(), "-o", "o.cwasm", "--no-cache"];
    limited(&sandbox, 100, &args).refused(3, &["cannot write o.cwasm", "ulimit"]);
    assert_eq!(fs::read(sandbox.path("o.cwasm")).unwrap(), b"old");
    assert_eq!(sandbox.names(), ["o.cwasm"]);
}

#[test]
fn without_a_home_there_is_no_cache_but_an_artifact() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("XDG_CONFIG_HOME");
    command.args(["compile", &ledger(), "-o", "o.cwasm"]);
    let ran = ran(command.output().unwrap()).done();
    assert!(ran.stderr.contains("there is no place for a cache"), "{}", ran.stderr);
    assert_same(&sandbox.path("o.cwasm"), &expected());
}

#[test]
fn eight_at_once_into_an_empty_cache() {
    let sandbox = Sandbox::new();
    let expected = expected();
    let children: Vec<_> = (0..8)
        .map(|nth| {
            let output = format!("{nth}.cwasm");
            let mut command = sandbox.command();
            command.args(["compile", &ledger(), "-o", &output, "-j", "1"]);
            (output, command.stderr(std::process::Stdio::piped()).spawn().unwrap())
        })
        .collect();
    for (output, child) in children {
        let ran = ran(child.wait_with_output().unwrap()).done();
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
        assert_same(&sandbox.path(&output), &expected);
    }
    let ninth = sandbox.run(&["compile", &ledger(), "-o", "9.cwasm"]).done();
    assert!(ninth.stderr.contains("100 % hits"), "{}", ninth.stderr);
}
