//! Everything that has to be compiled for an input: functions and trampolines.
//!
//! The list follows Wasmtime's `CompileInputs`; the artifact holds the pieces in
//! the order of their `FuncKey`s.

use crate::input::{Input, Types};
use crate::layout::Layout;
use std::borrow::Cow;
use std::collections::BTreeSet;
use stencil::{CacheKey, FunctionParameters};
use wasmtime_environ::component::UnsafeIntrinsic;
use wasmtime_environ::{
    Abi, DefinedFuncIndex, FuncKey, ModuleInternedTypeIndex, StaticModuleIndex,
};

/// One piece of code, and what the cache knows about it.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) func_key: FuncKey,
    /// `None` for a piece that is never cached.
    pub(crate) cache_key: Option<CacheKey>,
    pub(crate) parameters: FunctionParameters,
    /// What the code may know of the layout.
    pub(crate) layout: Layout,
    /// Whether it is compiled without knowing what the key does not tell of its body: values
    /// of constants, which are among the parameters' numbers, and sizes of tables.
    pub(crate) has_placeholders: bool,
}

impl Piece {
    pub(crate) fn uncached(func_key: FuncKey) -> Self {
        Self {
            func_key,
            cache_key: None,
            parameters: FunctionParameters::default(),
            layout: Layout::default(),
            has_placeholders: false,
        }
    }
}

/// The core functions of the input, in the order of their `FuncKey`s.
pub(crate) fn functions(input: &Input<'_>) -> Vec<(StaticModuleIndex, DefinedFuncIndex)> {
    let of_module = |(module, bodies): (StaticModuleIndex, &crate::input::Bodies<'_>)| {
        bodies.keys().map(move |function| (module, function)).collect::<Vec<_>>()
    };
    input.bodies.iter().flat_map(of_module).collect()
}

/// The functions that the host may call, each of which needs a trampoline.
pub(crate) fn escaping(input: &Input<'_>) -> Vec<(StaticModuleIndex, DefinedFuncIndex)> {
    let mut escaping = Vec::new();
    for (index, module) in &input.modules {
        for (function, ty) in module.module.functions.iter() {
            if ty.is_escaping()
                && let Some(function) = module.module.defined_func_index(function)
            {
                escaping.push((index, function));
            }
        }
    }
    escaping
}

/// The types of functions that WebAssembly may call on the host.
pub(crate) fn host_types(input: &Input<'_>) -> BTreeSet<ModuleInternedTypeIndex> {
    let types = input.types.module_types();
    types.trampoline_types().map(|(_, trampoline)| trampoline).collect()
}

/// What is compiled afresh each time: startup functions, and what belongs to a
/// component.
pub(crate) fn never_cached(input: &Input<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, module) in &input.modules {
        if !module.module.startup.is_none() {
            for abi in [Abi::Wasm, Abi::Array] {
                pieces.push(Piece::uncached(FuncKey::ModuleStartup(abi, index)));
            }
        }
    }
    let Types::Component(types, component) = &input.types else {
        return pieces;
    };
    for (index, ty) in component.component.unsafe_intrinsics.iter().enumerate() {
        if ty.is_some() {
            let intrinsic = UnsafeIntrinsic::from_u32(index as u32);
            for abi in [Abi::Wasm, Abi::Array] {
                pieces.push(Piece::uncached(FuncKey::UnsafeIntrinsic(abi, intrinsic)));
            }
        }
    }
    for (index, _) in component.trampolines.iter() {
        for abi in [Abi::Wasm, Abi::Array] {
            pieces.push(Piece::uncached(FuncKey::ComponentTrampoline(abi, index)));
        }
    }
    let drops = types.module_types_builder().find_resource_drop_signature();
    if component.component.num_resources > 0 && drops.is_some() {
        pieces.push(Piece::uncached(FuncKey::ResourceDropTrampoline));
    }
    pieces
}

/// The symbol that Wasmtime gives a piece.
pub(crate) fn symbol(input: &Input<'_>, key: FuncKey) -> String {
    let abi_name = |abi| match abi {
        Abi::Wasm => "wasm-call",
        Abi::Array => "array-call",
        Abi::Patchable => "patchable-call",
    };
    let func_index = |module: StaticModuleIndex, function: DefinedFuncIndex| {
        input.modules[module].module.func_index(function)
    };
    match key {
        FuncKey::DefinedWasmFunction(module, function) => {
            let index = func_index(module, function);
            let names = &input.modules[module].debuginfo.name_section.func_names;
            let (module, number) = (module.as_u32(), index.as_u32());
            match names.get(&index) {
                Some(name) => {
                    format!("wasm[{module}]::function[{number}]::{}", clean_symbol(name))
                }
                None => format!("wasm[{module}]::function[{number}]"),
            }
        }
        FuncKey::ArrayToWasmTrampoline(module, function) => {
            let index = func_index(module, function).as_u32();
            format!("wasm[{}]::array_to_wasm_trampoline[{index}]", module.as_u32())
        }
        FuncKey::WasmToArrayTrampoline(ty) => {
            format!("signatures[{}]::wasm_to_array_trampoline", ty.as_u32())
        }
        FuncKey::WasmToBuiltinTrampoline(builtin) => format!("wasmtime_builtin_{}", builtin.name()),
        FuncKey::PatchableToBuiltinTrampoline(builtin) => {
            format!("wasmtime_patchable_builtin_{}", builtin.name())
        }
        FuncKey::ModuleStartup(abi, module) => {
            format!("module_start[{}]::{abi:?}", module.as_u32())
        }
        FuncKey::ComponentTrampoline(abi, index) => {
            let name = match &input.types {
                Types::Component(_, component) => component.trampolines[index].symbol_name(),
                Types::Module(_) => String::new(),
            };
            format!("component-trampolines[{}]-{}-{name}", index.as_u32(), abi_name(abi))
        }
        FuncKey::UnsafeIntrinsic(abi, intrinsic) => {
            format!("unsafe-intrinsics-{}-{}", abi_name(abi), intrinsic.name())
        }
        FuncKey::ResourceDropTrampoline => "resource_drop_trampoline".to_owned(),
        FuncKey::PulleyHostCall(call) => format!("pulley_host_call_{}", call.index()),
    }
}

/// Function names may hold anything; symbols have runs of what is not graphic
/// ASCII replaced by one `?`, and at most 96 characters (Wasmtime's
/// `clean_symbol`).
fn clean_symbol(name: &str) -> Cow<'_, str> {
    const SYMBOL_LEN_MAX: usize = 96;
    if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(name.get(..SYMBOL_LEN_MAX).unwrap_or(name));
    }
    let mut clean = String::with_capacity(name.len().min(SYMBOL_LEN_MAX));
    for c in name.chars() {
        let c = if c.is_ascii_graphic() { c } else { '?' };
        if c == '?' && clean.ends_with('?') {
            continue;
        }
        if clean.len() == SYMBOL_LEN_MAX {
            break;
        }
        clean.push(c);
    }
    Cow::Owned(clean)
}

/// A `FuncKey` as the two numbers of an external name.
pub(crate) fn external_name(key: FuncKey) -> stencil::ExternalName {
    let (namespace, index) = key.into_raw_parts();
    stencil::ExternalName { namespace, index }
}

/// Whether a `FuncKey` means the same function in every module of one
/// configuration, so that a stencil may name it.
pub(crate) fn is_fixed(key: FuncKey) -> bool {
    matches!(
        key,
        FuncKey::WasmToBuiltinTrampoline(_)
            | FuncKey::PatchableToBuiltinTrampoline(_)
            | FuncKey::UnsafeIntrinsic(..)
    )
}
