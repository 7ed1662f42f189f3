//! Whatever is wrong with the input: an exit code, one sentence that names the
//! file, and no output.

use crate::sandbox::{Sandbox, ledger, testdata};
use std::fs;

#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], code: i32, parts: &[&str]) {
    let before = sandbox.names();
    let mut all = vec!["compile"];
    all.extend(args);
    sandbox.run(&all).refused(code, parts);
    let after: Vec<String> = sandbox.names().into_iter().filter(|name| name != "cache").collect();
    let before: Vec<String> = before.into_iter().filter(|name| name != "cache").collect();
    assert_eq!(after, before, "something was left behind");
}

#[test]
fn not_wasm() {
    let sandbox = Sandbox::new();
    sandbox.write("a.wasm", "#!/bin/sh\necho\n");
    refused(&sandbox, &["a.wasm"], 1, &["a.wasm", "is not WebAssembly"]);
    sandbox.write("empty.wasm", "");
    refused(&sandbox, &["empty.wasm"], 1, &["empty.wasm is empty"]);
    sandbox.write("other.wasm", b"\0asm\x07\0\0\0");
    refused(&sandbox, &["other.wasm"], 1, &["other.wasm", "offset"]);
}

#[test]
fn truncated_at_every_length() {
    let sandbox = Sandbox::new();
    let whole = wat::parse_bytes(
        b"(module (import \"a\" \"b\" (func)) (memory 1) (data (i32.const 0) \"abc\")
            (func (export \"f\") (result i32) call 0 i32.const 7))",
    )
    .unwrap();
    for len in 1..whole.len() {
        // A prefix that ends behind a section is a module, if it is valid.
        let prefix = &whole[..len];
        let valid = wasmtime::Engine::default().precompile_module(prefix).is_ok();
        sandbox.write("cut.wasm", prefix);
        if valid {
            sandbox.run(&["compile", "cut.wasm", "-o", "o.cwasm"]).done();
            fs::remove_file(sandbox.path("o.cwasm")).unwrap();
        } else {
            refused(&sandbox, &["cut.wasm", "-o", "o.cwasm"], 1, &["cut.wasm"]);
        }
    }
    let ledger = fs::read(testdata("wasm/ledger.wasm")).unwrap();
    sandbox.write("ledger.wasm", &ledger[..ledger.len() / 2]);
    refused(&sandbox, &["ledger.wasm"], 1, &["ledger.wasm", "at offset 0x", "cut off"]);
}

#[test]
fn invalid() {
    let sandbox = Sandbox::new();
    sandbox.write("type.wat", "(module (func (result i32) i64.const 1))");
    refused(&sandbox, &["type.wat"], 1, &["type.wat", "type mismatch", "offset"]);
    sandbox.write("syntax.wat", "(module\n  (func (result i32\n");
    refused(&sandbox, &["syntax.wat"], 1, &["syntax.wat:", "expected"]);
}

/// A hit must not hide that a body is invalid where it stands.
#[test]
fn an_invalid_function_is_refused_on_a_warm_cache() {
    let sandbox = Sandbox::new();
    sandbox.write("good.wat", "(module (func (result i32) i32.const 1) (func))");
    sandbox.run(&["compile", "good.wat"]).done();
    sandbox.write("bad.wat", "(module (func (result i32) i32.const 1) (func i32.const 1))");
    refused(&sandbox, &["bad.wat"], 1, &["bad.wat", "values remaining on stack"]);
}

#[test]
fn features_that_are_off() {
    let sandbox = Sandbox::new();
    let wat = testdata("wat/wide-arithmetic.wat");
    let wat = wat.to_str().unwrap();
    refused(&sandbox, &[wat, "-o", "o.cwasm"], 1, &["wide-arithmetic.wat", "--settings-from"]);
}

#[test]
fn unknown_targets_and_settings() {
    let sandbox = Sandbox::new();
    let ledger = ledger();
    let with = |args: &[&str], parts: &[&str]| {
        let mut all = vec![ledger.as_str(), "-o", "o.cwasm"];
        all.extend(args);
        refused(&sandbox, &all, 2, parts);
    };
    with(&["--target", "mips-unknown"], &["mips-unknown"]);
    with(&["--target", "riscv64gc-unknown-linux-gnu"], &["riscv64"]);
    with(&["--cranelift", "no_such_flag=true"], &["no_such_flag"]);
    with(&["--cranelift", "has_avx=perhaps"], &["has_avx"]);
    sandbox.write("not.cwasm", "not an artifact");
    with(&["--settings-from", "not.cwasm"], &["not.cwasm", "not a Wasmtime artifact"]);
}

#[test]
fn wrong_arguments() {
    let sandbox = Sandbox::new();
    let ledger = ledger();
    for args in [
        &["--jobs", "0"][..],
        &["--cache-size", "ten"],
        &["-O", "fast"],
        &["--cranelift", "has_avx"],
        &["--no-such-flag"],
        &["--no-cache", "--cache-dir", "c"],
        &["-O", "none", "--settings-from", "x.cwasm"],
    ] {
        let mut all = vec!["compile", &ledger, "-o", "o.cwasm"];
        all.extend(args);
        let ran = sandbox.run(&all);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error"), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(sandbox.names(), [""; 0]);
}

#[test]
fn unreadable_and_unwritable_files() {
    let sandbox = Sandbox::new();
    refused(&sandbox, &["nowhere.wasm"], 3, &["cannot read nowhere.wasm", "check its name"]);
    refused(&sandbox, &["."], 3, &["cannot"]);
    let args = ["--settings-from", "nowhere.cwasm", "-o", "o.cwasm", &ledger()];
    refused(&sandbox, &args, 3, &["nowhere.cwasm", "check its name"]);
    let ledger = ledger();
    let parts = ["no/such/o.cwasm", "create its directory"];
    refused(&sandbox, &[&ledger, "-o", "no/such/o.cwasm"], 3, &parts);
    fs::create_dir(sandbox.path("dir")).unwrap();
    refused(&sandbox, &[&ledger, "-o", "dir"], 3, &["it is a directory"]);
    fs::copy(&ledger, sandbox.path("in.wasm")).unwrap();
    refused(&sandbox, &["in.wasm", "-o", "in.wasm"], 2, &["would replace the input"]);
    refused(&sandbox, &["-"], 2, &["give one with -o"]);
    refused(&sandbox, &["in.wasm", "-o", "-", "--json"], 2, &["both"]);
}

#[test]
fn a_failed_compile_keeps_the_old_output() {
    let sandbox = Sandbox::new();
    sandbox.write("o.cwasm", "old");
    sandbox.write("bad.wat", "(module (func i32.const 1))");
    sandbox.run(&["compile", "bad.wat", "-o", "o.cwasm"]).refused(1, &["bad.wat"]);
    assert_eq!(fs::read(sandbox.path("o.cwasm")).unwrap(), b"old");
}

#[test]
fn a_wrong_configuration_file_names_its_line() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("config/stencil")).unwrap();
    let file = sandbox.path("config/stencil/config.toml");
    fs::write(&file, "jobs = 2\ncache-dri = '/c'\n").unwrap();
    let parts = [file.to_str().unwrap(), "line 2", "cache-dri"];
    sandbox.run(&["stats"]).refused(2, &parts);
    sandbox.run(&["compile", &ledger(), "-o", "o.cwasm"]).refused(2, &parts);
}
