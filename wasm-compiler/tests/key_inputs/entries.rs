//! What an entry carries beside the code: each table is there when the code needs
//! it, and a compile on the entry has Wasmtime's bytes.

use crate::check::DEFAULT;
use oracle::store::MemoryStore;
use stencil::compiled::{RelocationTarget, StencilHandler, Unwind};
use stencil::{CompiledStencil, entry};

/// Compiles twice; the piece's entry has to have what is asked for, and another
/// function's, which needs it not, not to have it.
#[track_caller]
fn check(text: &str, piece: usize, has: fn(&CompiledStencil<'_>) -> bool) {
    let store = MemoryStore::default();
    let mut found = [false, false];
    for (found, (text, piece)) in found.iter_mut().zip([(text, piece), ("(module (func))", 0)]) {
        let wasm = wat::parse_str(text).expect("it is a module");
        DEFAULT.compile("cold", &wasm, &store);
        let warm = DEFAULT.compile("warm", &wasm, &store);
        assert_eq!(warm.report.misses, 0);
        let key = warm.keys[piece];
        let entries = store.entries();
        let stencil = entry::open(&key, &entries[&key]).expect("it is whole");
        *found = has(&stencil);
    }
    assert_eq!(found, [true, false]);
}

#[test]
fn relocations() {
    check(
        "(module (func $f (result i32) i32.const 1) (func (result i32) (call $f)))",
        1,
        |stencil| {
            stencil
                .relocations()
                .any(|relocation| matches!(relocation.target, RelocationTarget::Callee(_)))
        },
    );
    check("(module (memory 1) (func (result i32) (memory.grow (i32.const 1))))", 0, |stencil| {
        stencil
            .relocations()
            .any(|relocation| matches!(relocation.target, RelocationTarget::Fixed(_)))
    });
}

#[test]
fn traps() {
    check("(module (func (unreachable)))", 0, |stencil| stencil.trap_count() > 0);
}

#[test]
fn source_map() {
    check(
        "(module (func (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1))))",
        0,
        |stencil| {
            stencil.sources().filter_map(|source| source.ordinal).any(|ordinal| ordinal.0 > 1)
        },
    );
}

#[test]
fn call_sites_and_handlers() {
    let text = "(module (tag $e) (func $f (call $f)) (func (block $l (try_table (catch $e $l) (call $f)))))";
    check(text, 1, |stencil| {
        let mut handlers = stencil.call_sites().flat_map(|site| site.handlers());
        handlers.any(|handler| matches!(handler, StencilHandler::Tag { .. }))
    });
}

#[test]
fn stack_maps() {
    let text = "(module (func $f (call $f)) (func (param externref) (result externref) (call $f) (local.get 0)))";
    check(text, 1, |stencil| stencil.stack_maps().any(|map| map.slot_count() > 0));
}

/// An empty function has some as well, and one with a frame has more.
#[test]
fn unwind_information() {
    let large: String = (0..40).map(|n| format!("(local.get {n})")).collect();
    let text = format!(
        "(module (func $f (call $f)) (func (param {p}) (result {p}) (call $f) {large}))",
        p = "i64 ".repeat(40)
    );
    check(
        &text,
        1,
        |stencil| matches!(stencil.unwind(), Unwind::SystemV(bytes) if bytes.len() > 40),
    );
}

#[test]
fn needs_a_gc_heap() {
    let text = "(module (type $s (struct (field i32))) (func (result anyref) (struct.new $s (i32.const 1))))";
    check(text, 0, |stencil| stencil.needs_gc_heap());
}
