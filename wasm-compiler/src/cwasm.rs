//! Text, tables and the module's data -> the bytes of the artifact: an ELF file
//! with Wasmtime's sections in Wasmtime's order (`build_module_artifacts`,
//! `build_component_artifacts`).

use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::{Input, Types};
use crate::link::Linked;
use object::write::{Object, StandardSegment, Symbol, SymbolSection, WritableBuffer};
use object::{SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use wasmtime_environ::component::{CompiledComponentInfo, ComponentArtifacts};
use wasmtime_environ::{
    CompiledFunctionsTable, CompiledFunctionsTableBuilder, FunctionLoc, ObjectBuilder, ObjectKind,
    PrimaryMap, WasmChecksum, obj,
};

/// Puts the artifact together; [`emit`] makes a file of it.
pub(crate) fn assemble<'a>(
    mut input: Input<'_>,
    backend: &'a Backend,
    linked: Linked<'_>,
    needs_gc_heap: bool,
) -> Result<ObjectBuilder<'a>, CompileError> {
    for (_, module) in &mut input.modules {
        module.module.needs_gc_heap |= needs_gc_heap;
    }
    let mut object = start(&input, backend)?;
    let mut table = CompiledFunctionsTableBuilder::new();
    for (function, place) in linked.functions.iter().zip(&linked.places) {
        let location = FunctionLoc { start: place.start, length: place.len };
        table.push_func(function.func_key, location, function.start);
    }
    code_sections(&mut object, backend, linked);
    finish(input, backend, object, table.finish())
}

/// The sections that come first, from the engine's settings.
pub(crate) fn start(input: &Input<'_>, backend: &Backend) -> Result<Object<'static>, CompileError> {
    let kind = match input.types {
        Types::Module(_) => ObjectKind::Module,
        Types::Component(..) => ObjectKind::Component,
    };
    let mut object = backend.compiler.object(kind).map_err(CompileError::wasmtime)?;
    let settings = &backend.settings;
    read_only(&mut object, obj::ELF_WASM_ENGINE, settings.engine_section.clone());
    read_only(&mut object, obj::ELF_WASM_BTI, settings.bti_section.clone());
    Ok(object)
}

fn read_only(object: &mut Object<'static>, name: &str, data: Vec<u8>) {
    let segment = object.segment_name(StandardSegment::Data).to_vec();
    let section = object.add_section(segment, name.into(), SectionKind::ReadOnlyData);
    object.set_section_data(section, data, 1);
}

/// The sections of `Compiler::append_code`.
fn code_sections(object: &mut Object<'static>, backend: &Backend, linked: Linked<'_>) {
    let segment = object.segment_name(StandardSegment::Text).to_vec();
    let text = object.add_section(segment, b".text".to_vec(), SectionKind::Text);
    if backend.settings.tunables.debug_symbols {
        for (function, place) in linked.functions.iter().zip(&linked.places) {
            object.add_symbol(Symbol {
                name: function.symbol.clone().into_bytes(),
                value: u64::from(place.start),
                size: u64::from(place.len),
                kind: SymbolKind::Text,
                scope: SymbolScope::Compilation,
                weak: false,
                section: SymbolSection::Section(text),
                flags: SymbolFlags::None,
            });
        }
    }
    object.set_section_data(text, linked.text, backend.compiler.page_size_align());
    if let Some(eh_frame) = linked.eh_frame {
        read_only(object, ".eh_frame", eh_frame);
    }
    if let Some(address_map) = linked.address_map {
        read_only(object, obj::ELF_WASMTIME_ADDRMAP, address_map);
    }
    linked.stack_maps.append_to(object);
    read_only(object, obj::ELF_WASMTIME_TRAPS, linked.traps);
    read_only(object, obj::ELF_WASMTIME_EXCEPTIONS, linked.exceptions);
}

/// Adds the sections of the input itself.
pub(crate) fn finish<'a>(
    input: Input<'_>,
    backend: &'a Backend,
    object: Object<'static>,
    table: CompiledFunctionsTable,
) -> Result<ObjectBuilder<'a>, CompileError> {
    let tunables = &backend.settings.tunables;
    let wasms: Vec<&[u8]> = match input.types {
        _ if !tunables.debug_guest => Vec::new(),
        Types::Module(_) => vec![input.wasm],
        Types::Component(..) => input.modules.values().map(|module| module.wasm).collect(),
    };
    let mut builder = ObjectBuilder::new(object, tunables);
    let mut modules = PrimaryMap::with_capacity(input.modules.len());
    for (_, module) in input.modules {
        modules.push(builder.append(module).map_err(CompileError::wasmtime)?);
    }
    if tunables.debug_guest {
        builder.append_wasm_bytecode(wasms);
    }
    match input.types {
        Types::Module(types) => {
            let module = modules.into_iter().next().map(|(_, module)| module);
            let module = module.ok_or_else(|| CompileError::wasmtime("there is no module"))?;
            builder.serialize_info(&(&module, &table, &types.finish()));
        }
        Types::Component(types, component) => {
            let (types, ty) = types.finish(&component.component);
            builder.serialize_info(&ComponentArtifacts {
                info: CompiledComponentInfo { component: component.component },
                table,
                ty,
                types,
                static_modules: modules,
                checksum: WasmChecksum::from_binary(input.wasm, tunables.recording),
            });
        }
    }
    Ok(builder)
}

/// Writes the file, and returns its size in bytes.
pub(crate) fn emit(
    artifact: ObjectBuilder<'_>,
    out: &mut impl WritableBuffer,
) -> Result<u64, CompileError> {
    artifact.finish(out).map_err(CompileError::wasmtime)?;
    Ok(out.len() as u64)
}
