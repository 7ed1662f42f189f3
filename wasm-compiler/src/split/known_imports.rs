//! The states that an import can have -> whether the caller's key tells them apart.
//!
//! Wasmtime fills the state in for a component's core modules
//! (`component/translate.rs`, `analyze_function_imports`). Which other functions
//! are called, components of `tests/key_inputs/components.rs` tell; intrinsics are
//! imported by adapters alone, and by modules of an embedder that asks for unsafe
//! intrinsics, so that the state is put in by hand here.

use crate::compiler::Backend;
use crate::input;
use crate::settings::{Options, Settings};
use crate::split;
use std::collections::BTreeMap;
use stencil::CacheKey;
use wasmtime_environ::component::UnsafeIntrinsic;
use wasmtime_environ::{
    Abi, DefinedFuncIndex, FactInlineIntrinsic, FuncIndex, FuncKey, KnownFunc, ScopeVec,
    StaticModuleIndex,
};

/// Calls its only import.
const CALLER: &str = r#"(module (import "" "" (func $f)) (func (call $f)))"#;

/// The caller's key, if the import is known to be this.
fn key(known: Option<KnownFunc>) -> CacheKey {
    let settings = Settings::from_options(&Options::default()).expect("these are the defaults");
    let backend = Backend::new(settings).expect("the host is a target");
    let wasm = wat::parse_str(CALLER).expect("it is a module");
    let adapters = ScopeVec::new();
    let page_size_align = backend.compiler.page_size_align();
    let mut input =
        input::read(&wasm, &backend.settings, page_size_align, &adapters).expect("it is a module");
    let module = StaticModuleIndex::from_u32(0);
    input.modules[module].known_imported_functions[FuncIndex::from_u32(0)] = known;
    let pieces = split::split(&input, &backend).expect("it is valid");
    let caller = FuncKey::DefinedWasmFunction(module, DefinedFuncIndex::from_u32(0));
    let mut keys = pieces.iter().filter(|piece| piece.func_key == caller);
    keys.next().and_then(|piece| piece.cache_key).expect("it is cached")
}

fn function(module: u32, function: u32) -> KnownFunc {
    let (module, function) =
        (StaticModuleIndex::from_u32(module), DefinedFuncIndex::from_u32(function));
    FuncKey::DefinedWasmFunction(module, function).into()
}

#[test]
fn states_have_keys_of_their_own() {
    let mut states = vec![
        ("unknown".to_owned(), None),
        ("a function".to_owned(), Some(function(1, 2))),
        ("enter".to_owned(), Some(FactInlineIntrinsic::EnterSyncCall.into())),
        ("exit".to_owned(), Some(FactInlineIntrinsic::ExitSyncCall.into())),
    ];
    for index in 0..UnsafeIntrinsic::len() {
        let intrinsic = UnsafeIntrinsic::from_u32(index);
        let key = FuncKey::UnsafeIntrinsic(Abi::Wasm, intrinsic);
        states.push((intrinsic.name().to_owned(), Some(key.into())));
    }
    let mut seen = BTreeMap::new();
    for (state, known) in states {
        let other = seen.insert(key(known), state.clone());
        assert!(other.is_none(), "{state} has the key of {other:?}");
    }
}

#[test]
fn which_function_it_is_is_a_parameter() {
    assert_eq!(key(Some(function(1, 2))), key(Some(function(3, 4))));
}
