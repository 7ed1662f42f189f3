//! `shim.c` -> a library that is loaded into the real command, and the command with a fault.

use crate::module::{Module, Seen};
use crate::sandbox::{Sandbox, ran};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The library, made once by the C compiler that SQLite's build needs as well.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let (library, source) = (dir.path().join("shim.so"), "tests/faults/shim.c");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let mut cc = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        let made = cc.output().expect("there is a C compiler");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        (dir, library)
    };
    &LIBRARY.get_or_init(make).1
}

/// What happens, and at which calls.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Letters, see `shim.c`.
    pub calls: &'static str,
    /// Which of the calls, from 1.
    pub nth: u64,
    /// And all that follow.
    pub forever: bool,
    /// An errno, `short` or `stop`.
    pub what: &'static str,
}

pub const EIO: &str = "5";
pub const ENOSPC: &str = "28";
pub const EACCES: &str = "13";

/// Sets a fault up for a command, on the files below a directory; `log` gets a byte for each time
/// it happens.
pub fn prepare(command: &mut Command, fault: Fault, dir: &Path, log: &Path) {
    command.env("LD_PRELOAD", library()).env("FAULTS_DIR", dir).env("FAULTS_LOG", log);
    command.env("FAULTS_CALLS", fault.calls).env("FAULTS_WHAT", fault.what);
    command.env("FAULTS_NTH", fault.nth.to_string());
    if fault.forever {
        command.env("FAULTS_FOREVER", "1");
    }
}

/// How often a fault has happened.
pub fn happened(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |log| log.len())
}

/// The command, for a module and a cache directory of its own.
pub struct Place {
    pub sandbox: Sandbox,
    pub cache: PathBuf,
}

impl Place {
    pub fn new(module: &Module) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("in.wasm", &module.wasm);
        let cache = sandbox.path("machine/cache");
        fs::create_dir(cache.parent().unwrap()).unwrap();
        Self { sandbox, cache }
    }

    pub fn log(&self) -> PathBuf {
        self.sandbox.path("log")
    }

    /// `stencil compile --json`, with the cache.
    pub fn command(&self) -> Command {
        self.through(Command::new(env!("CARGO_BIN_EXE_stencil")))
    }

    /// The same, by a program that is given the command as its last arguments.
    pub fn through(&self, mut command: Command) -> Command {
        self.sandbox.prepare(&mut command);
        command.args(["compile", "in.wasm", "-o", "out.cwasm", "--json", "-j", "1"]);
        command.arg("--cache-dir").arg(&self.cache);
        command
    }

    pub fn seen(&self, module: &Module, output: Output) -> Seen {
        Seen::ran(&ran(output), &self.sandbox.path("out.cwasm"), &module.expected)
    }

    pub fn run(&self, module: &Module, mut command: Command) -> Seen {
        self.seen(module, command.output().unwrap())
    }

    /// Runs the command to the call at which it stops. `Err` if it has ended before.
    pub fn run_to_stop(&self, calls: &'static str, nth: u64) -> Result<Stopped, Output> {
        let mut command = self.command();
        let fault = Fault { calls, nth, forever: false, what: "stop" };
        prepare(&mut command, fault, &self.cache, &self.log());
        let file = |name: &str| File::create(self.sandbox.path(name)).unwrap();
        command.stdout(file("stdout")).stderr(file("stderr"));
        let mut child = command.spawn().unwrap();
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&child)), options).unwrap().unwrap();
        if status.stopped() {
            return Ok(Stopped { child });
        }
        let status = child.wait().unwrap();
        Err(self.said(status))
    }

    fn said(&self, status: std::process::ExitStatus) -> Output {
        let read = |name: &str| fs::read(self.sandbox.path(name)).unwrap();
        Output { status, stdout: read("stdout"), stderr: read("stderr") }
    }
}

/// A command that waits in the middle of a call.
pub struct Stopped {
    child: Child,
}

impl Stopped {
    pub fn go_on(mut self, place: &Place) -> Output {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
        let status = self.child.wait().unwrap();
        place.said(status)
    }

    pub fn kill(mut self) {
        // SIGKILL.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
