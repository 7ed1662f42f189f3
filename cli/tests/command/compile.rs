//! `stencil compile` on real input: the bytes are Wasmtime's, whatever the cache
//! holds, and the second run compiles nothing.

use crate::sandbox::{self, Sandbox, assert_same, ledger, stock, testdata};
use object::{Object as _, ObjectSection as _};
use std::fs;
use std::process::Stdio;
use wasmtime::Config;

#[test]
fn the_second_run_hits_everything_and_both_are_wasmtimes_bytes() {
    let sandbox = Sandbox::new();
    let expected = stock(&Config::new(), &testdata("wasm/ledger.wasm"));
    let cold = sandbox.run(&["compile", &ledger(), "-o", "cold.cwasm", "--json"]).done();
    let warm = sandbox.run(&["compile", &ledger(), "-o", "warm.cwasm", "--json"]).done();
    assert_same(&sandbox.path("cold.cwasm"), &expected);
    assert_same(&sandbox.path("warm.cwasm"), &expected);

    assert_eq!(cold.number("functions"), 591);
    assert_eq!(cold.number("codegen"), cold.number("misses"));
    assert_eq!(cold.number("published"), cold.number("misses"));
    assert_eq!(warm.number("misses"), 0);
    assert_eq!(warm.number("codegen"), 0);
    assert_eq!(warm.number("published"), 0);
    let hits = warm.number("hits.memory") + warm.number("hits.disk");
    assert_eq!(hits, warm.number("lookups"));
    assert_eq!(warm.number("lookups"), cold.number("lookups"));
    assert_eq!(warm.number("bytes.output"), expected.len() as u64);
}

#[test]
fn the_closing_line_tells_what_happened() {
    let sandbox = Sandbox::new();
    let cold = sandbox.run(&["compile", &ledger(), "-o", "sample.cwasm"]).done();
    assert!(cold.stdout.is_empty(), "{}", cold.stdout);
    assert!(cold.stderr.starts_with("sample.cwasm: 591 functions, "), "{}", cold.stderr);
    let warm = sandbox.run(&["compile", &ledger(), "-o", "sample.cwasm"]).done();
    assert!(warm.stderr.contains("; 100 % hits ("), "{}", warm.stderr);
    assert_eq!(warm.stderr.lines().count(), 1, "{}", warm.stderr);
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let off =
            sandbox.run(&["compile", &ledger(), "--no-cache", "-o", "o.cwasm", "--json"]).done();
        assert_eq!(off.number("misses"), off.number("codegen"));
        assert_eq!(off.number("hits.disk") + off.number("published"), 0);
    }
    assert_same(&sandbox.path("o.cwasm"), &stock(&Config::new(), &testdata("wasm/ledger.wasm")));
    assert!(!sandbox.cache().exists());
}

#[test]
fn the_output_is_named_after_the_input() {
    let sandbox = Sandbox::new();
    fs::copy(testdata("wasm/ledger.wasm"), sandbox.path("program.wasm")).unwrap();
    sandbox.run(&["compile", "program.wasm"]).done();
    assert_eq!(sandbox.names(), ["cache", "program.cwasm", "program.wasm"]);
}

#[test]
fn text_is_compiled_as_its_binary_form_is() {
    let sandbox = Sandbox::new();
    let text = "(module (func (export \"f\") (result i32) i32.const 7))";
    let wat = sandbox.write("f.wat", text);
    sandbox.run(&["compile", wat.to_str().unwrap()]).done();
    let engine = wasmtime::Engine::default();
    assert_same(&sandbox.path("f.cwasm"), &engine.precompile_module(text.as_bytes()).unwrap());
}

#[test]
fn a_component_is_compiled_too() {
    let sandbox = Sandbox::new();
    let wat = testdata("components/composed.wat");
    let expected = wasmtime::Engine::default().precompile_component(&fs::read(&wat).unwrap());
    let expected = expected.unwrap();
    for _ in 0..2 {
        sandbox.run(&["compile", wat.to_str().unwrap(), "-o", "c.cwasm"]).done();
        assert_same(&sandbox.path("c.cwasm"), &expected);
    }
}

#[test]
fn standard_input_and_output_are_a_dash() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command.args(["compile", "-", "-o", "-"]);
    let input = fs::File::open(testdata("wasm/ledger.wasm")).unwrap();
    let output = command.stdin(Stdio::from(input)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = stock(&Config::new(), &testdata("wasm/ledger.wasm"));
    assert!(output.stdout == expected, "the standard output has other bytes");
}

#[test]
fn settings_are_as_stock_has_them() {
    let sandbox = Sandbox::new();
    let mut none = Config::new();
    none.cranelift_opt_level(wasmtime::OptLevel::None);
    let mut aarch64 = Config::new();
    aarch64.target("aarch64-unknown-linux-gnu").unwrap();
    let mut baseline = Config::new();
    baseline.target("x86_64-unknown-linux-gnu").unwrap();
    let mut avx = baseline.clone();
    // SAFETY: nothing that is compiled here is run.
    unsafe {
        avx.cranelift_flag_set("has_avx", "true");
    }
    let cases: [(&[&str], &Config); 4] = [
        (&["-O", "none"], &none),
        (&["--target", "aarch64-unknown-linux-gnu"], &aarch64),
        (&["--target", "x86_64-unknown-linux-gnu"], &baseline),
        (&["--target", "x86_64-unknown-linux-gnu", "--cranelift", "has_avx=true"], &avx),
    ];
    let mut fingerprints = Vec::new();
    for (args, config) in cases {
        let expected = stock(config, &testdata("wasm/ledger.wasm"));
        for run in ["cold", "warm"] {
            let mut all = vec!["compile", "-o", "o.cwasm", "--json"];
            all.extend(args);
            let ledger = ledger();
            all.push(&ledger);
            let ran = sandbox.run(&all).done();
            assert_same(&sandbox.path("o.cwasm"), &expected);
            if run == "cold" {
                assert_eq!(ran.number("hits.disk"), 0, "a hit across configurations: {args:?}");
                let object: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
                fingerprints.push(object["fingerprint"].as_str().unwrap().to_owned());
            } else {
                assert_eq!(ran.number("misses"), 0);
            }
        }
    }
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 4);
}

#[test]
fn settings_come_from_a_hosts_artifact() {
    let sandbox = Sandbox::new();
    let mut config = Config::new();
    config.consume_fuel(true).epoch_interruption(true).memory_reservation(0);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let empty = engine.precompile_module(b"\0asm\x01\0\0\0").unwrap();
    sandbox.write("host.cwasm", empty);
    sandbox.run(&["compile", &ledger(), "-o", "o.cwasm", "--settings-from", "host.cwasm"]).done();
    assert_same(&sandbox.path("o.cwasm"), &stock(&config, &testdata("wasm/ledger.wasm")));
}

#[test]
fn an_uncovered_configuration_says_so() {
    let sandbox = Sandbox::new();
    let mut config = Config::new();
    config.debug_info(true);
    let engine = wasmtime::Engine::new(&config).unwrap();
    sandbox.write("host.cwasm", engine.precompile_module(b"\0asm\x01\0\0\0").unwrap());
    let args = ["compile", &ledger(), "-o", "o.cwasm", "--settings-from", "host.cwasm"];
    let ran = sandbox.run(&args).done();
    assert!(ran.stderr.contains("does not cover native debug info"), "{}", ran.stderr);
    // Wasmtime's debug info is not the same twice; its code is.
    let found = fs::read(sandbox.path("o.cwasm")).unwrap();
    let expected = stock(&config, &testdata("wasm/ledger.wasm"));
    assert!(text(&found) == text(&expected), "the code differs");
    assert_eq!(found.len(), expected.len());
}

fn text(artifact: &[u8]) -> &[u8] {
    let file = object::File::parse(artifact).unwrap();
    file.section_by_name(".text").unwrap().data().unwrap()
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let sandbox = Sandbox::new();
    let expected = stock(&Config::new(), &testdata("wasm/ledger.wasm"));
    for jobs in ["1", "2", "7"] {
        let cache = format!("cache-{jobs}");
        for _ in 0..2 {
            let args = ["compile", &ledger(), "-o", "o.cwasm", "-j", jobs, "--cache-dir", &cache];
            sandbox.run(&args).done();
            assert_same(&sandbox.path("o.cwasm"), &expected);
        }
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let sandbox = Sandbox::new();
    let (file, variable) = (sandbox.path("from-file"), sandbox.path("from-variable"));
    fs::create_dir_all(sandbox.path("config/stencil")).unwrap();
    let text = format!("cache-dir = {:?}\n", file.to_str().unwrap());
    fs::write(sandbox.path("config/stencil/config.toml"), text).unwrap();

    let directory = |ran: sandbox::Ran| {
        let object: serde_json::Value = serde_json::from_str(&ran.done().stdout).unwrap();
        object["directory"].as_str().unwrap().to_owned()
    };
    assert_eq!(directory(sandbox.run(&["stats", "--json"])), file.to_str().unwrap());
    let mut command = sandbox.command();
    command.env("STENCIL_CACHE_DIR", &variable).args(["stats", "--json"]);
    assert_eq!(directory(sandbox::ran(command.output().unwrap())), variable.to_str().unwrap());
    command.args(["--cache-dir", "/from-flag"]);
    assert_eq!(directory(sandbox::ran(command.output().unwrap())), "/from-flag");
}

/// A level in the file's Cranelift table once won over the flag.
#[test]
fn a_level_that_was_asked_for_wins_over_the_files() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("config/stencil")).unwrap();
    let text = "[cranelift]\nopt_level = \"none\"\nhas_avx = true\n";
    fs::write(sandbox.path("config/stencil/config.toml"), text).unwrap();
    let mut none = Config::new();
    none.cranelift_opt_level(wasmtime::OptLevel::None);
    sandbox.run(&["compile", &ledger(), "-o", "file.cwasm"]).done();
    assert_same(&sandbox.path("file.cwasm"), &stock(&none, &testdata("wasm/ledger.wasm")));
    sandbox.run(&["compile", &ledger(), "-o", "flag.cwasm", "-O", "speed"]).done();
    let speed = stock(&Config::new(), &testdata("wasm/ledger.wasm"));
    assert_same(&sandbox.path("flag.cwasm"), &speed);
    // The file's flags are not another target's.
    let target = "aarch64-unknown-linux-gnu";
    let args = ["compile", &ledger(), "-o", "arm.cwasm", "-O", "speed", "--target", target];
    sandbox.run(&args).done();
    let mut arm = Config::new();
    arm.target(target).unwrap().cranelift_opt_level(wasmtime::OptLevel::Speed);
    assert_same(&sandbox.path("arm.cwasm"), &stock(&arm, &testdata("wasm/ledger.wasm")));
}
