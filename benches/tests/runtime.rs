//! The `runtime` program as a whole, on a program of the test data.
//! Invariant: nothing here depends on how fast the machine is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ledger() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wasm/ledger.wasm")
}

fn runtime(arguments: &[&str], program: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
    command.args(["--rounds", "2"]).arg(program).args(arguments).output().unwrap()
}

#[track_caller]
fn refused(wat: &str, sentence: &str) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("a.wasm");
    std::fs::write(&program, wat::parse_str(wat).unwrap()).unwrap();
    let output = runtime(&[], &program);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.starts_with("runtime: ") && stderr.contains(sentence), "{stderr}");
}

#[test]
fn a_program_is_compiled_and_run_in_both_ways() {
    let output = runtime(&[], &ledger());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |start: &str| -> Vec<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        let cells = line.unwrap_or_else(|| panic!("no line starts with {start:?}:\n{text}"));
        cells.split_whitespace().filter_map(|cell| cell.parse().ok()).collect()
    };
    let code = row("ledger.wasm, code bytes");
    assert!(code[0] > 100_000.0 && code[1] > 100_000.0, "{text}");
    for times in ["ledger.wasm, wall ms", "ledger.wasm, CPU ms"] {
        assert_eq!(row(times).len(), 5, "two medians, their ratio and its ends: {text}");
    }
    assert!(row("ledger.wasm, wall ms").iter().all(|figure| *figure > 0.0), "{text}");
    assert!(text.contains("ledger.wasm: 2 rounds, ") && text.contains("the same in each run"));
}

#[test]
fn a_program_that_fails_or_is_none_is_an_error() {
    let exit = "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))";
    let command = |code: i32| {
        format!(
            "(module {exit} (memory (export \"memory\") 1)
            (func (export \"_start\") (call $exit (i32.const {code}))))"
        )
    };
    refused(&command(7), "exit code 7");
    refused("(module (func (export \"_start\") unreachable))", "it trapped");
    refused("(module)", "it has no code");
    refused("(module (func (export \"start\")))", "it is no program");
    refused("(module (import \"a\" \"b\" (func)))", "it is no WASI program");
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("a.wasm");
    std::fs::write(&program, wat::parse_str(command(0)).unwrap()).unwrap();
    assert!(runtime(&[], &program).status.success());
}

/// It writes what the clock on the wall says.
#[test]
fn a_program_that_writes_something_else_each_time_is_an_error() {
    refused(
        "(module
            (import \"wasi_snapshot_preview1\" \"clock_time_get\"
                (func $now (param i32 i64 i32) (result i32)))
            (import \"wasi_snapshot_preview1\" \"fd_write\"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export \"memory\") 1)
            (data (i32.const 0) \"\\10\\00\\00\\00\\08\\00\\00\\00\")
            (func (export \"_start\")
                (drop (call $now (i32.const 0) (i64.const 0) (i32.const 16)))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))",
        "does not write what it wrote first",
    );
}
