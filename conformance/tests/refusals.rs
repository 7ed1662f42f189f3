//! What Wasmtime's translation refuses is refused by us in its words. The bug: the message was
//! "WebAssembly translation error" and nothing else, because the reason is that error's source.

use conformance::features::Features;
use oracle::same::stock;
use wasm_compiler::{CompileError, Compiler, NoCache};

#[track_caller]
fn check(features: &str, text: &str, expected: &str) {
    let engine = Features::listed(features).engine().expect("Wasmtime has the feature");
    let wasm = wat::parse_str(text).expect("it is a module");
    let refusal = stock(&engine, &wasm).expect_err("Wasmtime does not have all of the feature");
    assert!(format!("{refusal:#}").ends_with(expected), "{refusal:#}");
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    match compiler.compile(&wasm, &NoCache) {
        Err(CompileError::Codegen { message, .. }) => {
            assert_eq!(message, format!("WebAssembly translation error: {expected}"));
        }
        other => panic!("{:?}", other.map(|(_, report)| report)),
    }
}

#[test]
fn the_message_of_a_failed_translation_has_its_reason() {
    check(
        "shared-everything-threads",
        "(module (func (drop (ref.null (shared eq)))))",
        "Unsupported feature: unsupported heap type Abstract { shared: true, ty: Eq }",
    );
}
