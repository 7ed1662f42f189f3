//! The harness can fail: it is our artifact that runs, and a missing, wrong or forbidden one makes
//! its test fail.

use conformance::artifacts::Artifacts;
use conformance::features::Features;
use conformance::run::{Verdict, run};
use conformance::script::Script;
use oracle::store::MemoryStore;
use wasm_compiler::Compiler;

const SCRIPT: &str = r#"
    (module $M (func (export "f") (result i32) i32.const 1))
    (module definition $D (func (export "g") (result i32) i32.const 2))
    (module instance $I $D)
    (assert_return (invoke $M "f") (i32.const 1))
    (assert_return (invoke $I "g") (i32.const 2))
    (assert_invalid (module (func (result i32))) "type mismatch")
    (assert_malformed (module quote "(func") "unexpected end")
    (assert_unlinkable (module (import "nowhere" "f" (func))) "unknown import")
    (component $C
      (core module $m (func (export "h") (result i32) i32.const 3))
      (core instance $i (instantiate $m))
      (func (export "h") (result u32) (canon lift (core func $i "h"))))
    (assert_return (invoke "h") (u32.const 3))
"#;

/// Runs the script on our artifacts after a change of those; gives the lines that fail.
#[track_caller]
fn check(change: impl FnOnce(&mut Artifacts), expected: &[u32]) {
    let engine = Features::defaults().engine().expect("it is the default");
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let script = Script::parse("control.wast", SCRIPT, false).expect("it is a script");
    let mut artifacts = Artifacts::ours(&compiler, &MemoryStore::default(), &script);
    assert_eq!(artifacts.refused().len(), 2, "{:?}", artifacts.refused());
    change(&mut artifacts);
    let verdicts: Vec<Verdict> = run(&engine, &script, &artifacts);
    let failed = script.units.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_err());
    let failed: Vec<u32> = failed.map(|(unit, _)| unit.line).collect();
    assert_eq!(failed, expected, "{verdicts:?}");
}

#[test]
fn all_passes_on_our_artifacts() {
    check(|_| {}, &[]);
}

#[test]
fn a_missing_artifact_of_a_module_fails_it_and_what_uses_it() {
    check(|artifacts| drop(artifacts.made.remove("control.0.cwasm")), &[2, 5]);
}

#[test]
fn a_missing_artifact_of_a_definition_fails_its_instance() {
    check(|artifacts| drop(artifacts.made.remove("control.1.cwasm")), &[3, 4, 6]);
}

#[test]
fn a_missing_artifact_of_a_component_fails_it() {
    check(|artifacts| drop(artifacts.made.remove("control.5.cwasm")), &[10, 14]);
}

#[test]
fn a_missing_artifact_is_not_unlinkable() {
    check(|artifacts| drop(artifacts.made.remove("control.4.cwasm")), &[9]);
}

#[test]
fn another_modules_artifact_is_what_runs() {
    let exchange = |artifacts: &mut Artifacts| {
        let other = other(r#"(module (func (export "f") (result i32) i32.const 9))"#);
        artifacts.made.insert("control.0.cwasm".to_owned(), Ok(other));
    };
    check(exchange, &[5]);
}

#[test]
fn an_artifact_of_what_must_be_refused_is_noticed() {
    for (name, line) in [("control.2.cwasm", 7), ("control.3.cwasm", 8)] {
        let accept = |artifacts: &mut Artifacts| {
            artifacts.made.insert(name.to_owned(), Ok(other("(module)")));
        };
        check(accept, &[line]);
    }
}

fn other(text: &str) -> Vec<u8> {
    let engine = Features::defaults().engine().expect("it is the default");
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let wasm = wat::parse_str(text).expect("it is a module");
    compiler.compile(&wasm, &MemoryStore::default()).expect("it compiles").0
}
