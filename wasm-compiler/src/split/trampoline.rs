//! Trampolines -> stencils. They depend on a signature and the fingerprint, and
//! on nothing else of their module (`compiler.rs`, `array_to_wasm_trampoline`
//! and the two after it).

use crate::input::Input;
use crate::layout::Layout;
use crate::pieces::{self, Piece, external_name};
use stencil::{CacheKey, Fingerprint, FunctionParameters, StencilKind, StencilWriter};
use wasmtime_environ::{
    BuiltinFunctionIndex, DefinedFuncIndex, FuncKey, ModuleInternedTypeIndex, StaticModuleIndex,
};

/// Splits the trampolines between the host and the input's functions.
pub(super) fn split(input: &Input<'_>, fingerprint: &Fingerprint, covered: bool) -> Vec<Piece> {
    let key = |kind, ty| covered.then(|| signature_key(input, fingerprint, kind, ty));
    let enter = |(module, function): (StaticModuleIndex, DefinedFuncIndex)| {
        let translation = &input.modules[module].module;
        let signature = translation.functions[translation.func_index(function)].signature;
        let callee = FuncKey::DefinedWasmFunction(module, function);
        let mut parameters = FunctionParameters::default();
        parameters.callees.push(external_name(callee));
        Piece {
            func_key: FuncKey::ArrayToWasmTrampoline(module, function),
            cache_key: key(StencilKind::ArrayToWasm, signature.unwrap_module_type_index()),
            parameters,
            layout: Layout::default(),
            has_placeholders: false,
        }
    };
    let leave = |ty: ModuleInternedTypeIndex| Piece {
        func_key: FuncKey::WasmToArrayTrampoline(ty),
        cache_key: key(StencilKind::WasmToArray, ty),
        parameters: FunctionParameters::default(),
        layout: Layout::default(),
        has_placeholders: false,
    };
    let mut pieces: Vec<Piece> = pieces::escaping(input).into_iter().map(enter).collect();
    pieces.extend(pieces::host_types(input).into_iter().map(leave));
    pieces
}

fn signature_key(
    input: &Input<'_>,
    fingerprint: &Fingerprint,
    kind: StencilKind,
    ty: ModuleInternedTypeIndex,
) -> CacheKey {
    let signature = input.types.module_types()[ty].unwrap_func();
    let mut writer = StencilWriter::new();
    let content = postcard::to_stdvec(signature).expect("plain data can be serialised");
    writer.raw(&content);
    writer.stencil(kind).key(fingerprint)
}

/// The piece of a trampoline to one of the runtime's builtins.
pub(crate) fn builtin(builtin: BuiltinFunctionIndex, fingerprint: &Fingerprint) -> Piece {
    let mut writer = StencilWriter::new();
    writer.u32(builtin.index());
    writer.raw(builtin.name().as_bytes());
    Piece {
        func_key: FuncKey::WasmToBuiltinTrampoline(builtin),
        cache_key: Some(writer.stencil(StencilKind::WasmToBuiltin).key(fingerprint)),
        parameters: FunctionParameters::default(),
        layout: Layout::default(),
        has_placeholders: false,
    }
}
