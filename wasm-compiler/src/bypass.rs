//! Configurations that the key does not cover: everything is compiled, without
//! the cache, and linked by Wasmtime's own code.

mod inline;

use crate::codegen;
use crate::compiler::Backend;
use crate::cwasm;
use crate::error::CompileError;
use crate::input::Input;
use crate::pieces::{self, Piece};
use rayon::prelude::*;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use wasmtime_environ::{
    CompiledFunctionBody, CompiledFunctionsTableBuilder, FilePos, FuncKey, Inlining, ObjectBuilder,
};

type Compiled = (String, FuncKey, Box<dyn Any + Send + Sync>);

/// Compiles an input without the cache.
pub(crate) fn compile<'a>(
    mut input: Input<'_>,
    backend: &'a Backend,
    pieces: &[Piece],
) -> Result<ObjectBuilder<'a>, CompileError> {
    let keys: Vec<FuncKey> = pieces.iter().map(|piece| piece.func_key).collect();
    let mut bodies = generate_all(&input, backend, &keys)?;
    let builtins: Vec<FuncKey> = needed_builtins(backend, &bodies).into_iter().collect();
    bodies.append(&mut generate_all(&input, backend, &builtins)?);

    let needs_gc_heap = bodies.values().any(|body| body.needs_gc_heap);
    for (_, module) in &mut input.modules {
        module.module.needs_gc_heap |= needs_gc_heap;
    }
    let functions: Vec<Compiled> = bodies
        .into_iter()
        .map(|(key, body)| (pieces::symbol(&input, key), key, body.code))
        .collect();
    let positions: BTreeMap<FuncKey, usize> =
        functions.iter().enumerate().map(|(at, (_, key, _))| (*key, at)).collect();

    let mut object = cwasm::start(&input, backend)?;
    let placed = backend
        .compiler
        .append_code(&mut object, &functions, &|_, callee| positions[&callee])
        .map_err(CompileError::wasmtime)?;
    let tunables = &backend.settings.tunables;
    if tunables.debug_native {
        backend
            .compiler
            .append_dwarf(
                &mut object,
                &input.modules,
                &|module, function| {
                    let at = positions[&FuncKey::DefinedWasmFunction(module, function)];
                    (placed[at].0, &*functions[at].2)
                },
                None,
                tunables,
            )
            .map_err(CompileError::wasmtime)?;
    }
    let mut table = CompiledFunctionsTableBuilder::new();
    for ((_, key, _), (_, location)) in functions.iter().zip(&placed) {
        table.push_func(*key, *location, start(&input, *key)?);
    }
    cwasm::finish(input, backend, object, table.finish())
}

/// Compiles the pieces, with inlining if it is on.
fn generate_all(
    input: &Input<'_>,
    backend: &Backend,
    keys: &[FuncKey],
) -> Result<BTreeMap<FuncKey, CompiledFunctionBody>, CompileError> {
    let tunables = &backend.settings.tunables;
    let translate =
        |key: &FuncKey| codegen::translate(input, backend, *key, &pieces::symbol(input, *key));
    let mut bodies: Vec<CompiledFunctionBody> =
        keys.par_iter().with_max_len(1).map(translate).collect::<Result<_, CompileError>>()?;
    if tunables.inlining != Inlining::No
        && let Some(compiler) = backend.compiler.inlining_compiler()
    {
        bodies = inline::inline_all(input, tunables, compiler, keys, bodies)?;
    }
    let finish = |(key, mut body): (&FuncKey, CompiledFunctionBody)| {
        codegen::finish(input, backend, *key, &pieces::symbol(input, *key), &mut body)?;
        Ok((*key, body))
    };
    keys.par_iter().zip(bodies).with_max_len(1).map(finish).collect()
}

fn needed_builtins(
    backend: &Backend,
    bodies: &BTreeMap<FuncKey, CompiledFunctionBody>,
) -> BTreeSet<FuncKey> {
    let is_builtin = |key: &FuncKey| {
        matches!(
            key,
            FuncKey::WasmToBuiltinTrampoline(_) | FuncKey::PatchableToBuiltinTrampoline(_)
        )
    };
    let targets = |body: &CompiledFunctionBody| -> Vec<FuncKey> {
        let targets = backend.compiler.compiled_function_relocation_targets(&*body.code);
        targets.filter(is_builtin).collect()
    };
    bodies.values().flat_map(targets).collect()
}

/// Where a function's body starts in the input.
fn start(input: &Input<'_>, key: FuncKey) -> Result<FilePos, CompileError> {
    let FuncKey::DefinedWasmFunction(module, function) = key else {
        return Ok(FilePos::none());
    };
    let body = &input.bodies[module][function].body;
    let offset = body.get_binary_reader().original_position();
    Ok(FilePos::new(u32::try_from(offset).map_err(CompileError::wasmtime)?))
}
