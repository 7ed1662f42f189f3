//! Ctrl-C and SIGTERM: the program ends with its code and leaves nothing behind.

use crate::sandbox::{Sandbox, assert_same, ledger, stock, testdata};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn send(child: &Child, signal: Signal) {
    // One that has just ended is still our child until it is waited for.
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn interrupted_after(sandbox: &Sandbox, delay: Duration, signal: Signal) -> Option<i32> {
    let mut command = sandbox.command();
    command.args(["compile", &ledger(), "-o", "o.cwasm", "--no-cache"]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    send(&child, signal);
    child.wait().unwrap().code()
}

#[test]
fn nothing_is_left_behind_at_any_time() {
    let sandbox = Sandbox::new();
    sandbox.write("o.cwasm", "old");
    let expected = stock(&wasmtime::Config::new(), &testdata("wasm/ledger.wasm"));
    let mut interrupted = 0;
    for step in 0..24 {
        let signal = if step % 2 == 0 { Signal::INT } else { Signal::TERM };
        match interrupted_after(&sandbox, Duration::from_millis(step * 20), signal) {
            Some(130) => interrupted += 1,
            // It was done before, or not yet watching.
            Some(0) | None => {}
            other => panic!("exit code {other:?}"),
        }
        // A signal can also come between the file's new name and the end.
        let output = fs::read(sandbox.path("o.cwasm")).unwrap();
        assert!(output == b"old" || output == expected, "half an output, at step {step}");
        assert_eq!(sandbox.names(), ["o.cwasm"]);
        sandbox.write("o.cwasm", "old");
    }
    assert!(interrupted > 0, "no compile was interrupted");
}

/// What runs under `nohup` goes on when its terminal is closed.
#[test]
fn an_ignored_signal_stays_ignored() {
    let sandbox = Sandbox::new();
    let mut command = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_stencil"), "compile", &ledger()]);
    command.args(["-o", "o.cwasm", "--no-cache"]).stderr(Stdio::null());
    sandbox.prepare(&mut command);
    let mut child = command.spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
        // Not before the shell has become the command.
        let name = fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap_or_default();
        if name.trim() == "stencil" {
            send(&child, Signal::HUP);
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(sandbox.path("o.cwasm").exists());
}

#[test]
fn a_cache_survives_being_killed() {
    let sandbox = Sandbox::new();
    let wasm = testdata("wasm/ledger.wasm");
    let expected = stock(&wasmtime::Config::new(), &wasm);
    for step in 0..25 {
        // Every second time the cache has grown again from nothing.
        if step % 2 == 0 {
            fs::remove_dir_all(sandbox.path("cache")).ok();
        }
        let mut command = sandbox.command();
        command.args(["compile", &ledger(), "-o", "killed.cwasm"]).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(step * 15));
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let next = sandbox.run(&["compile", &ledger(), "-o", "o.cwasm"]).done();
        assert!(!next.stderr.contains("warning"), "{}", next.stderr);
        assert_same(&sandbox.path("o.cwasm"), &expected);
        let warm = sandbox.run(&["compile", &ledger(), "-o", "o.cwasm"]).done();
        assert!(warm.stderr.contains("100 % hits"), "{}", warm.stderr);
    }
}
