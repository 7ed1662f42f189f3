//! An object file -> a process: the system's compiler links it with a `main` in
//! C that provides `print`.

use super::language::jit::Outcome;
use std::path::Path;
use std::process::Command;

const MAIN: &str = r#"
#include <inttypes.h>
#include <stdio.h>
int64_t lang_main(void);
int64_t lang_print(int64_t value) { printf("%" PRId64 "\n", value); return 0; }
int main(void) { printf("%" PRId64 "\n", lang_main()); return 0; }
"#;

/// Links an object file with a `main` and runs it; what it printed.
#[track_caller]
pub fn output(object: &[u8], main: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("program.o"), object).unwrap();
    std::fs::write(path("main.c"), main).unwrap();
    run(Command::new("cc").args(["-funwind-tables", "-fexceptions", "-o"]).args([
        path("program"),
        path("main.c"),
        path("program.o"),
    ]));
    run(&mut Command::new(path("program")))
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a program of the language: what it printed and returned.
#[track_caller]
pub fn outcome(object: &[u8]) -> Outcome {
    let output = output(object, MAIN);
    let mut printed: Vec<i64> = output.lines().map(|line| line.parse().unwrap()).collect();
    let result = printed.pop().unwrap();
    Outcome { printed, result }
}

/// The example's programs, by name.
pub fn programs() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/language/programs");
    let mut programs: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    programs.sort();
    programs
}

/// A program that differs from another in what no key holds: names, blank lines
/// and comments, in front of functions and inside them.
pub fn moved(source: &str) -> String {
    let renamed = source.replace("power", "potency").replace("gcd", "common_divisor");
    let renamed =
        renamed.replace("; }", ";\n\n    // Moved.\n    }").replace("{\n", "{ // Opened.\n\n");
    format!("// A new first line.\n\n\n{renamed}\n// The last one.\n")
}
