//! A file name -> the bytes of a binary module or component, whatever form the
//! file has.

use crate::exit::Failure;
use std::borrow::Cow;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};
use wasm_compiler::CompileError;

/// Inputs larger than this are refused before they fill the memory; WebAssembly's
/// own limits for modules are below.
const INPUT_BYTES_MAX: u64 = 2 << 30;

/// An input in the binary format.
pub struct Input {
    /// What to call it.
    pub name: String,
    /// The bytes.
    pub wasm: Vec<u8>,
    /// Whether the file was text, so that offsets in `wasm` are not the user's.
    pub from_text: bool,
    /// How long reading took.
    pub took: Duration,
}

impl Input {
    /// Reads a file, or the standard input if it is called `-`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let started = Instant::now();
        let standard = is_standard(path);
        let name = if standard { "the standard input".into() } else { path.display().to_string() };
        let bytes = if standard { read_standard_input() } else { read_file(path) };
        let bytes = bytes.map_err(|error| Failure::unreadable(Path::new(&name), &error))?;
        if bytes.is_empty() {
            return Err(Failure::input(format!("{name} is empty; give a .wasm or .wat file")));
        }
        let text = path.extension().is_some_and(|extension| extension == "wat");
        let binary = bytes.starts_with(b"\0asm");
        let from_text = !binary && (text || wat::Detect::from_bytes(&bytes).is_wasm());
        let wasm = if from_text { assemble(&name, &bytes)? } else { bytes };
        Ok(Self { name, wasm, from_text, took: started.elapsed() })
    }

    /// Why this input was not compiled.
    pub fn refused(&self, error: &CompileError) -> Failure {
        let Self { name, .. } = self;
        let place = |offset| match self.from_text {
            true => format!("offset {offset:#x} of its binary form"),
            false => format!("offset {offset:#x}"),
        };
        if let CompileError::Check { .. } = error {
            return Failure::difference(format!(
                "{name}: {error}; nothing was written; compile it with --stencils exact, and \
                 please report it"
            ));
        }
        Failure::input(match error {
            CompileError::NotWasm { .. } => format!(
                "{name} is not WebAssembly: it starts with {} where a module starts with \
                 \"\\0asm\"; give a .wasm or .wat file",
                start_of(&self.wasm)
            ),
            CompileError::Invalid { message, offset } => format!(
                "{name} is not valid WebAssembly: {message} at {}; {}",
                place(*offset),
                advice(message)
            ),
            CompileError::Codegen { symbol, message } => {
                format!("{name} cannot be compiled: {symbol}: {message}; report it to Wasmtime")
            }
            error => format!("{name} cannot be compiled: {error}"),
        })
    }
}

/// Whether a name stands for the standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // A directory can be opened, but not read; that is told as what it is.
    let size = fs::metadata(path)?.len();
    if size > INPUT_BYTES_MAX {
        return Err(io::Error::other("it is larger than 2 GiB, so it is no module"));
    }
    fs::read(path)
}

fn read_standard_input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(io::Error::other("it is larger than 2 GiB, so it is no module"));
    }
    Ok(bytes)
}

fn assemble(name: &str, text: &[u8]) -> Result<Vec<u8>, Failure> {
    let parsed = wat::Parser::new().parse_bytes(Some(Path::new(name)), text);
    parsed.map(Cow::into_owned).map_err(|error| {
        // Message, place and source line are on lines of their own.
        let error = error.to_string();
        let mut lines = error.lines().map(str::trim);
        let message = lines.next().unwrap_or_default();
        let place = lines.find_map(|line| line.strip_prefix("--> ")).unwrap_or(name);
        Failure::input(format!("{place}: {message}; correct the text"))
    })
}

fn start_of(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(8)];
    match std::str::from_utf8(start) {
        Ok(text) if !text.contains(char::is_control) => format!("{text:?}"),
        _ => format!("{start:02x?}"),
    }
}

/// What to do about an input that the validator refuses, from its words.
fn advice(message: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["unexpected end", "unexpected eof"]) {
        "the file seems to be cut off, so get it again"
    } else if has(&["not enabled", "support is disabled", "proposal", "requires"]) {
        "switch this feature off in the tool that made it, or take the settings of a host that \
         has it with --settings-from"
    } else {
        "check it with `wasm-tools validate`, and the tool that made it"
    }
}
