//! What the server is built from: no Cranelift, no WebAssembly; and sled behind
//! one file.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

/// Crates that compile or read WebAssembly start so.
const COMPILERS: [&str; 5] = ["cranelift", "wasmtime", "wasmparser", "regalloc2", "wasm-compiler"];

#[test]
fn server_and_protocol_build_without_cranelift() {
    for package in ["cache-server", "proto"] {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "--prefix", "none", "-e", "normal,build"])
            .args(["-p", package])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let text = String::from_utf8(tree.stdout).unwrap();
        assert!(text.starts_with(package), "{}", String::from_utf8_lossy(&tree.stderr));
        assert!(text.contains("tonic v"), "this is the whole tree");
        let compiler = |line: &&str| COMPILERS.iter().any(|name| line.starts_with(name));
        assert_eq!(text.lines().find(compiler), None, "{package}");
    }
}

#[test]
fn one_file_names_sled() {
    let mut named = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named).unwrap();
    assert_eq!(named, ["index.rs"]);
}

/// The names of the files under `dir` that use sled.
fn find(dir: &Path, named: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, named)?;
        } else if fs::read_to_string(&path)?.contains("sled::") {
            named.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    Ok(())
}
