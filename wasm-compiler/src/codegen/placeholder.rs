//! Functions whose constants are parameters -> their code, made without knowing the
//! constants.
//!
//! While they are compiled, their module has more globals than it has: one for each
//! constant that a function may have, mutable, so that its value is unknown. A body has
//! a read of such a global, a placeholder, in the place of each constant. To the
//! optimiser the two have nothing in common, so code for one value is code for all.
//! Then the reads in the code are found (see [`super::sites`]), and the constants put in
//! their place.
//!
//! The placeholders lie behind the module's own globals, which stay where they are. What
//! lies behind the globals in the `VMContext` moves; it is a parameter like the rest of
//! the layout.
//!
//! For the same time no table is of a fixed size, so that code loads it.
//!
//! An offset that an access adds to its address is a number of the operator, and no value
//! that could be read. Functions that have such parameters are compiled twice, with other
//! offsets in the place of theirs: what differs between the two codes has to be fields that
//! hold these offsets, and nothing else.

use super::check::{self, Template};
use super::relocate::{Offsets, Reads};
use super::sites::Unexplained;
use super::{Fresh, finish_body, function_of, in_parallel, seal_plugged, translate_function};
use crate::compiler::Backend;
use crate::error::CompileError;
use crate::fingerprint::fingerprint;
use crate::input::Input;
use crate::lookup::Slotted;
use crate::pieces::{self, Piece};
use crate::split::{CONSTANTS_MAX, ConstantType, ConstantUse, Current, Splitting, Uses};
use crate::verify::VerifySample;
use std::collections::BTreeMap;
use std::ops::Range;
use stencil::finalize::finalize;
use stencil::{SourceLocations, entry};
use wasmparser::{
    BinaryReader, BinaryReaderError, FuncToValidate, FunctionBody, GlobalSectionReader, Parser,
    Payload, Validator, ValidatorResources, WasmFeatures,
};
use wasmtime_environ::collections::TryPrimaryMap;
use wasmtime_environ::{
    CompiledFunctionBody, DefinedFuncIndex, EntityRef as _, FuncKey, FunctionBodyData, Global,
    GlobalIndex, Module, ModuleTranslation, StaticModuleIndex, VMOffsets, WasmValType,
};

/// Globals in front of the placeholders, so that the displacement of no placeholder
/// takes one byte, in whatever unit that counts.
const DISTANCE: usize = 1 << 9;

/// A placeholder of each type for each constant, and one more: those of a second code are
/// by one further.
const ADDED: usize = DISTANCE + 2 * (CONSTANTS_MAX + 1);

/// Compiles pieces that have constants, those with one key once. Gives what was compiled,
/// and the pieces whose code is not understood.
pub(super) fn compile_all<'w>(
    input: &mut Input<'_>,
    backend: &Backend,
    sample: Option<VerifySample>,
    wanted: &[Slotted<'w>],
) -> Result<(Vec<Fresh>, Vec<Slotted<'w>>), CompileError> {
    let mut of_key = BTreeMap::new();
    for wanted in wanted {
        of_key.entry(wanted.piece.cache_key).or_insert_with(Vec::new).push(*wanted);
    }
    let firsts: Vec<Slotted<'w>> = of_key.values().map(|same| same[0]).collect();
    let compiled = compile_distinct(input, backend, sample, &firsts)?;
    let (mut fresh, mut refused) = (Vec::new(), Vec::new());
    for (same, compiled) in of_key.into_values().zip(compiled) {
        let Some(compiled) = compiled else {
            refused.extend(same);
            continue;
        };
        let copies: Vec<Fresh> =
            same[1..].iter().map(|other| compiled.copy_for(other.slot)).collect();
        fresh.push(compiled);
        fresh.extend(copies);
    }
    Ok((fresh, refused))
}

/// Compiles pieces of different keys; `None` for one whose code is not understood.
fn compile_distinct(
    input: &mut Input<'_>,
    backend: &Backend,
    sample: Option<VerifySample>,
    wanted: &[Slotted<'_>],
) -> Result<Vec<Option<Fresh>>, CompileError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut own = BTreeMap::new();
    for Slotted { piece, .. } in wanted {
        if let FuncKey::DefinedWasmFunction(module, _) = piece.func_key
            && !own.contains_key(&module)
        {
            own.insert(module, Own::replace(&mut input.modules[module].module)?);
        }
    }
    let own_counts = own.iter().map(|(module, own)| (*module, own.globals.len())).collect();
    let compiled = compile_with_placeholders(input, backend, sample, wanted, &own_counts);
    for (module, own) in own {
        own.put_back(&mut input.modules[module].module);
    }
    compiled
}

/// What a module really has.
struct Own {
    globals: TryPrimaryMap<GlobalIndex, Global>,
    /// The largest sizes of its tables, in their order.
    table_maxima: Vec<Option<u64>>,
}

impl Own {
    /// Gives a module placeholders, and tables that can grow.
    fn replace(module: &mut Module) -> Result<Self, CompileError> {
        let globals = with_placeholders(&module.globals)?;
        let tables = module.tables.values_mut();
        let table_maxima = tables.map(|table| std::mem::take(&mut table.limits.max)).collect();
        Ok(Self { globals: std::mem::replace(&mut module.globals, globals), table_maxima })
    }

    fn put_back(self, module: &mut Module) {
        module.globals = self.globals;
        for (table, max) in module.tables.values_mut().zip(self.table_maxima) {
            table.limits.max = max;
        }
    }
}

/// A module's globals, and placeholders behind them.
fn with_placeholders(
    own: &TryPrimaryMap<GlobalIndex, Global>,
) -> Result<TryPrimaryMap<GlobalIndex, Global>, CompileError> {
    let mut globals = TryPrimaryMap::with_capacity(own.len() + ADDED)
        .map_err(|error| CompileError::wasmtime(error.to_string()))?;
    let added = (0..ADDED).map(|at| Global { wasm_ty: type_at(at), mutability: true });
    for global in own.values().copied().chain(added) {
        globals.push(global).map_err(|error| CompileError::wasmtime(error.to_string()))?;
    }
    Ok(globals)
}

/// The types of what is added: one of each by turns.
fn type_at(at: usize) -> WasmValType {
    match at % 2 {
        0 => WasmValType::I32,
        _ => WasmValType::I64,
    }
}

/// One module's placeholders.
struct Placed {
    /// What the module's bodies are validated with.
    resources: ValidatorResources,
    /// The first placeholder.
    first: GlobalIndex,
    /// Where it lies in the `VMContext`.
    first_at: u32,
}

fn compile_with_placeholders(
    input: &Input<'_>,
    backend: &Backend,
    sample: Option<VerifySample>,
    wanted: &[Slotted<'_>],
    own_counts: &BTreeMap<StaticModuleIndex, usize>,
) -> Result<Vec<Option<Fresh>>, CompileError> {
    let placed = |(module, own): (&StaticModuleIndex, &usize)| {
        let translation = &input.modules[*module];
        let resources = resources(translation, backend.settings.features)?;
        let first = GlobalIndex::new(own + DISTANCE);
        let module_info = &translation.module;
        let offsets = VMOffsets::new(backend.isa.pointer_bytes(), module_info);
        let defined = module_info
            .defined_global_index(first)
            .ok_or_else(|| CompileError::wasmtime("a placeholder is imported"))?;
        let first_at = offsets.vmctx_vmglobal_definition(defined);
        Ok((*module, Placed { resources, first, first_at }))
    };
    let placed: BTreeMap<StaticModuleIndex, Placed> =
        own_counts.iter().map(placed).collect::<Result<_, CompileError>>()?;
    // The functions' numbers in the modules as they are now.
    let splitting = Splitting::new(input, backend, &fingerprint(&backend.settings));
    in_parallel(input, wanted, |current, wanted| {
        compile(input, backend, (&placed, &splitting), sample, current, wanted)
    })
}

/// Compiles one piece.
fn compile<'s>(
    input: &Input<'_>,
    backend: &Backend,
    (placed, splitting): (&BTreeMap<StaticModuleIndex, Placed>, &'s Splitting<'_>),
    sample: Option<VerifySample>,
    current: &mut Current<'s>,
    slotted: Slotted<'_>,
) -> Result<Option<Fresh>, CompileError> {
    let FuncKey::DefinedWasmFunction(module, function) = slotted.piece.func_key else {
        return Ok(None);
    };
    let Some(placed) = placed.get(&module) else { return Ok(None) };
    let (mut piece, uses) = splitting.function((module, function), current)?;
    if piece.cache_key != slotted.piece.cache_key {
        // A number of the layout takes four bytes now and took one.
        return Ok(None);
    }
    let symbol = pieces::symbol(input, slotted.piece.func_key);
    let location = (module, function);
    let body = |offsets| {
        let body = &input.bodies[module][function].body;
        Rewritten::of(body, &uses, (placed, offsets), &piece.parameters.source)
    };
    let one = body(Offsets::One)?;
    let compiled = compile_body(input, backend, placed, location, &one, &symbol)?;
    let is_checked =
        sample.is_some_and(|sample| slotted.piece.cache_key.is_some_and(|key| sample.takes(&key)));
    let other = match uses.offsets.is_empty() && !is_checked {
        true => None,
        false => {
            let other = body(Offsets::Other)?;
            Some(compile_body(input, backend, placed, location, &other, &symbol)?)
        }
    };
    piece.parameters.source = one.source;
    let reads = Reads { first_at: placed.first_at, uses: &uses };
    let there = Slotted { piece: &piece, slot: slotted.slot };
    let sealed = seal_plugged(&compiled, other.as_ref(), there, &reads, backend);
    // Why no entry can hold the code is said by who compiles it without placeholders.
    let Some(fresh) = sealed.unwrap_or(None) else { return Ok(None) };
    if is_checked && let Some(other) = &other {
        let template = (&compiled, other, &piece, &reads);
        let body = input.bodies[module][function].body.as_bytes();
        check_fresh(template, body, (slotted.piece, &fresh), backend).map_err(|error| {
            let message = format!("its code failed the check of its numbers: {error}");
            CompileError::Codegen { symbol, message }
        })?;
    }
    Ok(Some(fresh))
}

/// Checks what a function's entry gives in its module.
fn check_fresh(
    (one, other, piece, reads): (&CompiledFunctionBody, &CompiledFunctionBody, &Piece, &Reads<'_>),
    body: &[u8],
    (own, fresh): (&Piece, &Fresh),
    backend: &Backend,
) -> Result<(), Unexplained> {
    let unexplained = |what| Unexplained { at: 0, what };
    let (Ok(one), Ok(other)) = (function_of(one), function_of(other)) else {
        return Err(unexplained("code of an unknown kind"));
    };
    let key = fresh.key.unwrap_or(super::NO_KEY);
    let stencil = entry::open(&key, &fresh.bytes).map_err(|_| unexplained("a damaged entry"))?;
    let function = finalize(stencil, &own.parameters)
        .map_err(|_| unexplained("an entry that does not fit its function"))?;
    let template = Template { one, other, piece, reads };
    check::check(&template, (body, &own.layout), &function.final_code(), backend)
}

/// Compiles a function with another body than its own.
fn compile_body(
    input: &Input<'_>,
    backend: &Backend,
    placed: &Placed,
    (module, function): (StaticModuleIndex, DefinedFuncIndex),
    rewritten: &Rewritten,
    symbol: &str,
) -> Result<CompiledFunctionBody, CompileError> {
    let FunctionBodyData { body, validator } = &input.bodies[module][function];
    let body = rewritten.body(body);
    let validator = FuncToValidate {
        resources: placed.resources.clone(),
        index: validator.index,
        ty: validator.ty,
        features: validator.features,
    };
    let data = FunctionBodyData { body: body.clone(), validator };
    let mut compiled = translate_function(input, backend, (module, function), data, symbol)?;
    finish_body(backend, Some(body), symbol, &mut compiled)?;
    Ok(compiled)
}

/// What a module's bodies are validated with, as if it had placeholders.
fn resources(
    translation: &ModuleTranslation<'_>,
    features: WasmFeatures,
) -> Result<ValidatorResources, CompileError> {
    let wasm = translation.wasm;
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut globals = Globals::default();
    for payload in parser.parse_all(wasm) {
        match payload? {
            Payload::Version { num, encoding, range } => {
                validator.version(num, encoding, &range)?
            }
            Payload::TypeSection(section) => validator.type_section(&section)?,
            Payload::ImportSection(section) => validator.import_section(&section)?,
            Payload::FunctionSection(section) => validator.function_section(&section)?,
            Payload::TableSection(section) => validator.table_section(&section)?,
            Payload::MemorySection(section) => validator.memory_section(&section)?,
            Payload::TagSection(section) => validator.tag_section(&section)?,
            Payload::GlobalSection(section) => {
                globals.add(&mut validator, section.count(), &wasm[section.range()])?;
            }
            Payload::ExportSection(section) => {
                globals.add_none(&mut validator)?;
                validator.export_section(&section)?;
            }
            Payload::StartSection { func, range } => {
                globals.add_none(&mut validator)?;
                validator.start_section(func, &range)?;
            }
            Payload::ElementSection(section) => {
                globals.add_none(&mut validator)?;
                validator.element_section(&section)?;
            }
            Payload::DataCountSection { count, range } => {
                globals.add_none(&mut validator)?;
                validator.data_count_section(count, &range)?;
            }
            Payload::CodeSectionStart { range, .. } => {
                globals.add_none(&mut validator)?;
                validator.code_section_start(&range)?;
            }
            Payload::CodeSectionEntry(body) => {
                return Ok(validator.code_section_entry(&body)?.resources);
            }
            _ => {}
        }
    }
    Err(CompileError::wasmtime("a module with a function has no body"))
}

/// A module's globals on the way into its validator, with placeholders behind them.
#[derive(Default)]
struct Globals {
    added: bool,
}

impl Globals {
    /// Adds the globals of a section, given with its count in front.
    fn add(
        &mut self,
        validator: &mut Validator,
        count: u32,
        section: &[u8],
    ) -> Result<(), BinaryReaderError> {
        const I32: [u8; 5] = [0x7f, 0x01, 0x41, 0x00, 0x0b];
        const I64: [u8; 5] = [0x7e, 0x01, 0x42, 0x00, 0x0b];
        let mut own = BinaryReader::new(section, 0);
        own.read_var_u32()?;
        let mut bytes = Vec::with_capacity(section.len() + ADDED * I32.len() + 5);
        put_leb(&mut bytes, count + ADDED as u32);
        bytes.extend_from_slice(&section[own.original_position()..]);
        for at in 0..ADDED {
            bytes.extend(if type_at(at) == WasmValType::I32 { I32 } else { I64 });
        }
        self.added = true;
        validator.global_section(&GlobalSectionReader::new(BinaryReader::new(&bytes, 0))?)
    }

    /// The next section follows those of globals, of which there may have been none.
    fn add_none(&mut self, validator: &mut Validator) -> Result<(), BinaryReaderError> {
        match self.added {
            true => Ok(()),
            false => self.add(validator, 0, &[0]),
        }
    }
}

fn put_leb(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A body with placeholders in the place of constants.
struct Rewritten {
    bytes: Vec<u8>,
    /// Where the operators stand in it, as if it stood where the body does.
    source: SourceLocations,
}

/// Bytes of a body, and what is to stand there.
type Edit = (Range<usize>, Vec<u8>);

impl Rewritten {
    fn of(
        body: &FunctionBody<'_>,
        uses: &Uses,
        (placed, offsets): (&Placed, Offsets),
        source: &SourceLocations,
    ) -> Result<Self, CompileError> {
        let original = body.as_bytes();
        let mut edits = Vec::new();
        for constant in &uses.constants {
            let ordinal = constant.ordinal + u32::from(offsets == Offsets::Other);
            edits.push(constant_edit(original, constant, placed.first.as_u32() + 2 * ordinal)?);
            if let Some(access) = constant.access {
                edits.push(access_edit(original, access, 0)?);
            }
        }
        for offset in &uses.offsets {
            edits.push(access_edit(original, offset.at, offsets.placeholder(offset.ordinal))?);
        }
        edits.sort_unstable_by_key(|(range, _)| range.start);
        let mut bytes = Vec::with_capacity(original.len());
        let mut at = 0;
        for (range, replacement) in &edits {
            bytes.extend_from_slice(&original[at..range.start]);
            bytes.extend_from_slice(replacement);
            at = range.end;
        }
        bytes.extend_from_slice(&original[at..]);
        Ok(Self { bytes, source: moved(source, &edits) })
    }

    /// The body, where the original stands.
    fn body<'b>(&'b self, original: &FunctionBody<'_>) -> FunctionBody<'b> {
        let at = original.range().start;
        FunctionBody::new(BinaryReader::new(&self.bytes, at))
    }
}

/// A constant becomes the read of one of the two placeholders at an index.
fn constant_edit(
    body: &[u8],
    constant: &ConstantUse,
    placeholders: u32,
) -> Result<Edit, CompileError> {
    const GLOBAL_GET: u8 = 0x23;
    let at = constant.at as usize;
    let mut reader = BinaryReader::new(&body[at..], at);
    reader.read_u8()?;
    match constant.ty {
        ConstantType::I32 => drop(reader.read_var_i32()?),
        ConstantType::I64 => drop(reader.read_var_i64()?),
    }
    let mut read = vec![GLOBAL_GET];
    put_leb(&mut read, placeholders + constant.ty as u32);
    Ok((at..reader.original_position(), read))
}

/// An access gets another offset.
fn access_edit(body: &[u8], at: u32, offset: u32) -> Result<Edit, CompileError> {
    let (range, _) = offset_at(body, at)?;
    let mut replacement = Vec::new();
    put_leb(&mut replacement, offset);
    Ok((range, replacement))
}

/// The offset of the access whose operator stands at an offset in the body: where it
/// stands, and its value.
pub(super) fn offset_at(body: &[u8], at: u32) -> Result<(Range<usize>, u64), BinaryReaderError> {
    /// Set in the first number of an access that names its memory.
    const HAS_MEMORY: u32 = 1 << 6;
    let at = at as usize;
    let mut reader = BinaryReader::new(&body[at..], at);
    reader.read_u8()?;
    if reader.read_var_u32()? & HAS_MEMORY != 0 {
        reader.read_var_u32()?;
    }
    let start = reader.original_position();
    let offset = reader.read_var_u64()?;
    Ok((start..reader.original_position(), offset))
}

/// Where the operators stand after edits.
fn moved(source: &SourceLocations, edits: &[Edit]) -> SourceLocations {
    let mut offsets = Vec::new();
    source.expand_into(&mut offsets);
    let base = source.base();
    let mut moved = SourceLocations::starting_at(base, offsets.len());
    let mut edits = edits.iter().peekable();
    let mut by = 0;
    for offset in &offsets[1..] {
        let in_body = (offset - base) as usize;
        while let Some((range, replacement)) = edits.next_if(|(range, _)| range.start < in_body) {
            by += replacement.len() as i64 - range.len() as i64;
        }
        moved.push((i64::from(*offset) + by) as u32);
    }
    moved
}
