//! The built command, run in a directory of its own: nothing of the machine's
//! own configuration or cache is seen or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A directory with an empty cache, and the command in it.
pub struct Sandbox {
    directory: TempDir,
}

/// What a run of the command said.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    /// The standard output as it is.
    pub bytes: Vec<u8>,
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn cache(&self) -> PathBuf {
        self.path("cache/stencil")
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The command, ready for its arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stencil"));
        self.prepare(&mut command);
        command
    }

    /// Another program, in the same surroundings.
    pub fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STENCIL_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_CONFIG_HOME", self.path("config"));
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(self.command().args(args).output().unwrap())
    }

    /// The names of the files in the directory.
    pub fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        bytes: output.stdout,
    }
}

impl Ran {
    /// The command has done what it was asked for.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// The command has refused with this code and exactly one sentence, which
    /// has these parts.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let errors: Vec<&str> = self.stderr.lines().filter(|l| l.starts_with("error")).collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        for part in parts {
            assert!(errors[0].contains(part), "{part:?} is not in {:?}", errors[0]);
        }
        assert!(!self.stderr.contains("panic"), "{}", self.stderr);
        self
    }

    /// A number of the `--json` object, by its path.
    #[track_caller]
    pub fn number(&self, path: &str) -> u64 {
        let object: serde_json::Value = serde_json::from_str(&self.stdout).unwrap();
        let value = path.split('.').fold(&object, |value, name| &value[name]);
        value.as_u64().unwrap_or_else(|| panic!("{path} is no number in {object}"))
    }
}

pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}

/// The real program of the test data: 591 functions.
pub fn ledger() -> String {
    testdata("wasm/ledger.wasm").display().to_string()
}

/// What Wasmtime itself makes of a module.
pub fn stock(config: &wasmtime::Config, wasm: &Path) -> Vec<u8> {
    let engine = wasmtime::Engine::new(config).unwrap();
    engine.precompile_module(&fs::read(wasm).unwrap()).unwrap()
}

#[track_caller]
pub fn assert_same(path: &Path, expected: &[u8]) {
    let found = fs::read(path).unwrap();
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!(differs, None, "{} differs at this offset", path.display());
    assert_eq!(found.len(), expected.len(), "{} has another length", path.display());
}
