//! Bytes -> a parsed module or component, with all types known and function
//! bodies not yet looked at.
//!
//! Parsing, and the validation of everything outside of function bodies, is
//! Wasmtime's own (`ModuleEnvironment`, `Translator`): the tables that the
//! artifact carries have to be the same to the byte.

use crate::error::CompileError;
use crate::settings::Settings;
use wasmparser::{FuncToValidate, Parser, Validator, ValidatorResources};
use wasmtime_environ::component::{ComponentTranslation, ComponentTypesBuilder, Translator};
use wasmtime_environ::{
    DefinedFuncIndex, FunctionBodyData, ModuleEnvironment, ModuleTranslation, ModuleTypesBuilder,
    PrimaryMap, ScopeVec, StaticModuleIndex,
};

/// The function bodies of one core module, taken out of its translation.
pub(crate) type Bodies<'a> = PrimaryMap<DefinedFuncIndex, FunctionBodyData<'a>>;

/// What a body is validated with; each validation uses one up.
pub(crate) fn validator(data: &FunctionBodyData<'_>) -> FuncToValidate<ValidatorResources> {
    let FuncToValidate { resources, index, ty, features } = &data.validator;
    FuncToValidate { resources: resources.clone(), index: *index, ty: *ty, features: *features }
}

/// A parsed input.
pub(crate) struct Input<'a> {
    pub(crate) wasm: &'a [u8],
    /// The core modules: one for a module; for a component those inside of it,
    /// then the adapter modules that Wasmtime has made for it.
    pub(crate) modules: PrimaryMap<StaticModuleIndex, ModuleTranslation<'a>>,
    pub(crate) bodies: PrimaryMap<StaticModuleIndex, Bodies<'a>>,
    pub(crate) types: Types,
}

impl Input<'_> {
    /// Functions with a body in the input; those of adapter modules are not.
    pub(crate) fn function_count(&self) -> u64 {
        let own = |module: StaticModuleIndex| !self.is_adapter(module);
        let counts = self.bodies.iter().filter(|(module, _)| own(*module));
        counts.map(|(_, bodies)| bodies.len() as u64).sum()
    }

    /// Whether a core module was made by Wasmtime to connect two components. Its
    /// bytes are not a part of the input.
    pub(crate) fn is_adapter(&self, index: StaticModuleIndex) -> bool {
        if matches!(self.types, Types::Module(_)) {
            return false;
        }
        let module = self.modules[index].wasm.as_ptr_range();
        let whole = self.wasm.as_ptr_range();
        !(whole.start <= module.start && module.end <= whole.end)
    }
}

/// The types of the input, and for a component what else it has.
pub(crate) enum Types {
    Module(Box<ModuleTypesBuilder>),
    Component(Box<ComponentTypesBuilder>, Box<ComponentTranslation>),
}

impl Types {
    pub(crate) fn module_types(&self) -> &ModuleTypesBuilder {
        match self {
            Self::Module(types) => types,
            Self::Component(types, _) => types.module_types_builder(),
        }
    }
}

/// Parses an input. `adapters` will own the adapter modules.
pub(crate) fn read<'a>(
    wasm: &'a [u8],
    settings: &Settings,
    page_size_align: u64,
    adapters: &'a ScopeVec<u8>,
) -> Result<Input<'a>, CompileError> {
    let mut input = if Parser::is_component(wasm) {
        read_component(wasm, settings, adapters)?
    } else if Parser::is_core_wasm(wasm) {
        read_module(wasm, settings)?
    } else {
        return Err(not_wasm(wasm));
    };
    let types = match &mut input.types {
        Types::Module(types) => types,
        Types::Component(types, _) => types.module_types_builder_mut(),
    };
    for (_, module) in &mut input.modules {
        module.finalize_memory_init(
            &settings.tunables,
            page_size_align,
            settings.dense_image_size,
            types,
        );
        module.finalize_table_init(&settings.tunables, types);
        input.bodies.push(std::mem::take(&mut module.function_body_inputs));
    }
    Ok(input)
}

fn read_module<'a>(wasm: &'a [u8], settings: &Settings) -> Result<Input<'a>, CompileError> {
    let mut parser = Parser::new(0);
    let mut validator = Validator::new_with_features(settings.features);
    parser.set_features(*validator.features());
    let mut types = ModuleTypesBuilder::new(&validator);
    let module = ModuleEnvironment::new(
        &settings.tunables,
        &mut validator,
        &mut types,
        StaticModuleIndex::from_u32(0),
    )
    .translate(parser, wasm)
    .map_err(invalid)?;
    Ok(Input {
        wasm,
        modules: std::iter::once(module).collect(),
        bodies: PrimaryMap::new(),
        types: Types::Module(Box::new(types)),
    })
}

fn read_component<'a>(
    wasm: &'a [u8],
    settings: &Settings,
    adapters: &'a ScopeVec<u8>,
) -> Result<Input<'a>, CompileError> {
    let mut validator = Validator::new_with_features(settings.features);
    let mut types = ComponentTypesBuilder::new(&validator);
    let translator = Translator::new(&settings.tunables, &mut validator, &mut types, adapters);
    let (component, modules) = translator.translate(wasm).map_err(invalid)?;
    Ok(Input {
        wasm,
        modules,
        bodies: PrimaryMap::new(),
        types: Types::Component(Box::new(types), Box::new(component)),
    })
}

fn not_wasm(wasm: &[u8]) -> CompileError {
    match wasm.get(..4) {
        // A header with another version: let the parser say so.
        Some(b"\0asm") => match Validator::new().validate_all(wasm) {
            Err(error) => error.into(),
            Ok(_) => CompileError::NotWasm { start: vec![] },
        },
        _ => CompileError::NotWasm { start: wasm.iter().copied().take(8).collect() },
    }
}

fn invalid(error: impl Into<wasmtime_environ::error::Error>) -> CompileError {
    let error = error.into();
    if let Some(parse) = error.downcast_ref::<wasmparser::BinaryReaderError>() {
        return CompileError::Invalid {
            message: parse.message().to_owned(),
            offset: parse.offset(),
        };
    }
    match error.downcast_ref::<wasmtime_environ::WasmError>() {
        Some(wasmtime_environ::WasmError::InvalidWebAssembly { message, offset }) => {
            CompileError::Invalid { message: message.clone(), offset: *offset }
        }
        _ => CompileError::wasmtime(format!("{error:#}")),
    }
}
