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
//! An offset that an access adds to its address is no constant; see [`super::offsets`].

mod body;
mod validation;

use super::check::{self, Template};
use super::offsets::{self, Offsets};
use super::relocate::{self, Reads};
use super::sites::Unexplained;
use super::{Fresh, finish_body, function_of, in_parallel, seal_plugged, translate_function};
use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::{Input, validator};
use crate::lookup::Slotted;
use crate::pieces::{self, Piece};
use crate::split::{CONSTANTS_MAX, Current, GLOBALS_ADDED_MAX, Splitting, Uses};
use crate::verify::VerifySample;
use body::Rewritten;
use std::collections::BTreeMap;
use stencil::finalize::finalize;
use stencil::{CacheKey, entry};
use validation::resources;
use wasmparser::{FuncToValidate, ValidatorResources};
use wasmtime_environ::collections::TryPrimaryMap;
use wasmtime_environ::{
    CompiledFunctionBody, DefinedFuncIndex, EntityRef as _, FuncKey, FunctionBodyData, Global,
    GlobalIndex, Module, ModuleTranslation, StaticModuleIndex, VMOffsets, WasmValType,
};

/// Globals in front of the placeholders, so that the displacement of no placeholder takes one
/// byte, in whatever unit that counts; nor that of anything behind them, however many there are.
const DISTANCE: usize = 1 << 9;

/// A module has at most so many tables (wasmparser's limit).
const TABLES_MAX: usize = 100;

/// A function has at most as many numbers of each kind: constants, offsets, parts of addresses.
/// Of a table there are three.
const NUMBERS_MAX: usize = 3 * CONSTANTS_MAX + 3 * TABLES_MAX;

const _: () = assert!(Added::len(NUMBERS_MAX) <= GLOBALS_ADDED_MAX);

/// Compiles pieces that have constants, those with one key once. Gives what was compiled,
/// and the pieces whose code is not understood.
pub(super) fn compile_all<'w>(
    input: &mut Input<'_>,
    backend: &Backend,
    sample: Option<VerifySample>,
    wanted: &[Slotted<'w>],
) -> Result<(Vec<Fresh>, Vec<Slotted<'w>>), CompileError> {
    let mut of_key = OfKey::new();
    for wanted in wanted {
        of_key.entry(wanted.piece.cache_key).or_default().push(*wanted);
    }
    let compiled = compile_distinct(input, backend, sample, &of_key)?;
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

/// Pieces by their key.
type OfKey<'w> = BTreeMap<Option<CacheKey>, Vec<Slotted<'w>>>;

/// Compiles the first piece of each key; `None` for one whose code is not understood.
fn compile_distinct(
    input: &mut Input<'_>,
    backend: &Backend,
    sample: Option<VerifySample>,
    of_key: &OfKey<'_>,
) -> Result<Vec<Option<Fresh>>, CompileError> {
    if of_key.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<Slotted<'_>> = of_key.values().map(|same| same[0]).collect();
    let mut counts: BTreeMap<StaticModuleIndex, u32> = BTreeMap::new();
    for Slotted { piece, .. } in &wanted {
        if let FuncKey::DefinedWasmFunction(module, _) = piece.func_key {
            // Not less than the constants that are parameters.
            let numbers = piece.parameters.numbers.len() as u32 - piece.layout.parameter_count();
            let count = counts.entry(module).or_default();
            *count = numbers.max(*count);
        }
    }
    let mut own = BTreeMap::new();
    for (module, count) in counts {
        let added = Added::new(count);
        let replaced = Own::replace(&mut input.modules[module].module, &added)?;
        own.insert(module, (replaced, added));
    }
    let compiled = compile_with_placeholders(input, backend, sample, (&wanted, of_key), &own);
    for (module, (own, _)) in own {
        own.put_back(&mut input.modules[module].module);
    }
    compiled
}

/// The globals that a module gets: two for each number of the function that has most, at least as
/// many as it has constants, of which each reads the one of its type; and one more, since those of
/// a second code are by one further.
struct Added {
    count: u32,
    globals: Vec<Global>,
}

impl Added {
    const fn len(count: usize) -> usize {
        DISTANCE + 2 * (count + 1)
    }

    fn new(count: u32) -> Self {
        let types = [WasmValType::I32, WasmValType::I64].into_iter().cycle();
        let global = |wasm_ty| Global { wasm_ty, mutability: true };
        Self { count, globals: types.map(global).take(Self::len(count as usize)).collect() }
    }
}

/// What a module really has.
struct Own {
    globals: TryPrimaryMap<GlobalIndex, Global>,
    /// The largest sizes of its tables, in their order.
    table_maxima: Vec<Option<u64>>,
}

impl Own {
    /// Gives a module more globals, and tables that can grow.
    fn replace(module: &mut Module, added: &Added) -> Result<Self, CompileError> {
        let mut globals = TryPrimaryMap::new();
        for global in module.globals.values().chain(&added.globals) {
            globals.push(*global).map_err(CompileError::wasmtime)?;
        }
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

/// One module's placeholders.
struct Placed {
    /// What the module's bodies are validated with.
    resources: ValidatorResources,
    /// The first placeholder.
    first: GlobalIndex,
    /// Where it lies in the `VMContext`.
    first_at: u32,
    /// For how many numbers there are some.
    count: u32,
}

impl Placed {
    /// Those of a module that has them now.
    fn of(
        translation: &ModuleTranslation<'_>,
        backend: &Backend,
        (own, added): &(Own, Added),
    ) -> Result<Self, CompileError> {
        let resources = resources(translation, backend.settings.features, &added.globals)?;
        let first = GlobalIndex::new(own.globals.len() + DISTANCE);
        let module = &translation.module;
        let defined = module.defined_global_index(first);
        let defined = defined.ok_or(CompileError::wasmtime("a placeholder is imported"))?;
        let offsets = VMOffsets::new(backend.isa.pointer_bytes(), module);
        let first_at = offsets.vmctx_vmglobal_definition(defined);
        Ok(Self { resources, first, first_at, count: added.count })
    }
}

fn compile_with_placeholders(
    input: &Input<'_>,
    backend: &Backend,
    sample: Option<VerifySample>,
    (wanted, of_key): (&[Slotted<'_>], &OfKey<'_>),
    own: &BTreeMap<StaticModuleIndex, (Own, Added)>,
) -> Result<Vec<Option<Fresh>>, CompileError> {
    let placed = |(module, own): (&StaticModuleIndex, &(Own, Added))| {
        Ok((*module, Placed::of(&input.modules[*module], backend, own)?))
    };
    let placed: BTreeMap<StaticModuleIndex, Placed> =
        own.iter().map(placed).collect::<Result<_, CompileError>>()?;
    // The functions' numbers in the modules as they are now.
    let splitting = Splitting::with_placeholders(input, backend);
    in_parallel(input, wanted, |current, wanted| {
        let key = wanted.piece.cache_key;
        let is_sampled = sample.zip(key).is_some_and(|(sample, key)| sample.takes(&key));
        let checked = if is_sampled { &*of_key[&key] } else { &[] };
        compile(input, backend, (&placed, &splitting), checked, current, wanted)
    })
}

/// Compiles one piece, and checks what its entry gives in some of the same key.
fn compile<'s>(
    input: &Input<'_>,
    backend: &Backend,
    (placed, splitting): (&BTreeMap<StaticModuleIndex, Placed>, &'s Splitting<'_>),
    checked: &[Slotted<'_>],
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
    let source = std::mem::take(&mut piece.parameters.source);
    let body = |offsets| {
        let body = &input.bodies[module][function].body;
        Rewritten::of(body, &uses, (placed.first, offsets), &source)
    };
    let one = body(Offsets::ONE)?;
    piece.parameters.source = one.source.clone();
    let Some(compiled) = compile_body(input, backend, placed, location, &one, &symbol)? else {
        return Ok(None);
    };
    let Ok(code) = function_of(&compiled) else { return Ok(None) };
    let reads = Reads { first_at: placed.first_at, count: placed.count, uses: &uses };
    let Some(sites) = relocate::sites(code, &piece, backend) else { return Ok(None) };
    let seen = offsets::seen(code, &one.accesses, (&piece, &reads, &sites), backend);
    let with = |offsets| compile_body(input, backend, placed, location, &body(offsets)?, &symbol);
    let other = match &seen {
        Some(_) => None,
        None => with(Offsets::OTHER)?,
    };
    let found = seen.or_else(|| {
        let other = function_of(other.as_ref()?).ok()?;
        offsets::between(code, other, (&piece, &reads), backend)
    });
    let Some(found) = found else { return Ok(None) };
    let there = Slotted { piece: &piece, slot: slotted.slot };
    let sealed = seal_plugged(&compiled, (&sites, found), there, &reads, backend);
    // Why no entry can hold the code is said by who compiles it without placeholders.
    let Some(mut fresh) = sealed.unwrap_or(None) else { return Ok(None) };
    let (Some(key), false) = (&piece.cache_key, checked.is_empty()) else {
        return Ok(Some(fresh));
    };
    let failed = |function: &Piece, error: Unexplained| CompileError::Check {
        symbol: pieces::symbol(input, function.func_key),
        message: error.to_string(),
    };
    let compared = check::compare(code, key, other, with, backend)?;
    let Some(compared) = compared.map_err(|error| failed(slotted.piece, error))? else {
        return Ok(Some(fresh));
    };
    let own = input.bodies[module][function].body.as_bytes();
    check::check_body(own, one.bytes(), &uses, placed.first.as_u32())
        .map_err(|error| failed(slotted.piece, error))?;
    let template = Template {
        one: code,
        sites: &sites,
        compared: &compared,
        layout: &piece.layout,
        reads: &reads,
    };
    for Slotted { piece, .. } in checked {
        let FuncKey::DefinedWasmFunction(module, function) = piece.func_key else { continue };
        let (_, uses) = splitting.function((module, function), current)?;
        let body = input.bodies[module][function].body.as_bytes();
        check_fresh(&template, (body, &uses), (piece, &fresh), backend)
            .map_err(|error| failed(piece, error))?;
    }
    fresh.is_checked = true;
    Ok(Some(fresh))
}

/// Checks what a function's entry gives in its module.
fn check_fresh(
    template: &Template<'_>,
    (body, uses): (&[u8], &Uses),
    (own, fresh): (&Piece, &Fresh),
    backend: &Backend,
) -> Result<(), Unexplained> {
    let unexplained = |what| Unexplained { at: 0, what };
    let key = fresh.key.unwrap_or(super::NO_KEY);
    let stencil = entry::open(&key, &fresh.bytes).map_err(|_| unexplained("a damaged entry"))?;
    let function = finalize(stencil, &own.parameters)
        .map_err(|_| unexplained("an entry that does not fit its function"))?;
    check::check(template, (body, uses, &own.layout), &function.final_code(), backend)
}

/// Compiles a function with another body than its own; `None` if the compiler has no room for
/// that, as it may have for the function's own, which is tried next.
fn compile_body(
    input: &Input<'_>,
    backend: &Backend,
    placed: &Placed,
    (module, function): (StaticModuleIndex, DefinedFuncIndex),
    rewritten: &Rewritten,
    symbol: &str,
) -> Result<Option<CompiledFunctionBody>, CompileError> {
    let own = &input.bodies[module][function];
    let body = rewritten.body(&own.body);
    let resources = placed.resources.clone();
    let validator = FuncToValidate { resources, ..validator(own) };
    let data = FunctionBodyData { body: body.clone(), validator };
    let compiled = translate_function(input, backend, (module, function), data, symbol);
    let finished = compiled.and_then(|mut compiled| {
        finish_body(backend, Some(body), symbol, &mut compiled)?;
        Ok(compiled)
    });
    match finished {
        Err(CompileError::Codegen { .. }) => Ok(None),
        finished => finished.map(Some),
    }
}
