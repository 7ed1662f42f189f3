//! A module -> the same module without its name section; and one without anything.
//!
//! Wasmtime names the files of IR after the functions, and a name with a `/` in
//! it, as Go's have, is a file in a directory that does not exist.

use anyhow::Result;
use wasm_encoder::{CodeSection, Function, FunctionSection, Module, RawSection, TypeSection};
use wasmparser::{Parser, Payload};

/// Copies every section but the one with the names.
pub(super) fn without_names(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if matches!(&payload, Payload::CustomSection(section) if section.name() == "name") {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            let data = wasm.get(range).unwrap_or_default();
            module.section(&RawSection { id, data });
        }
    }
    Ok(module.finish())
}

/// A module with one function that does nothing.
pub(super) fn one_empty_function() -> Vec<u8> {
    let (mut types, mut functions, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    functions.function(0);
    let mut body = Function::new([]);
    body.instructions().end();
    code.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module.finish()
}
