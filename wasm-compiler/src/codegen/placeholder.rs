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
use super::relocate::Reads;
use super::sites::Unexplained;
use super::{Fresh, finish_body, function_of, in_parallel, seal_plugged, translate_function};
use crate::compiler::Backend;
use crate::error::CompileError;
use crate::input::{Input, validator};
use crate::lookup::Slotted;
use crate::pieces::{self, Piece};
use crate::split::{CONSTANTS_MAX, Current, GLOBALS_ADDED_MAX, Splitting};
use crate::verify::VerifySample;
use body::Rewritten;
use std::collections::BTreeMap;
use stencil::entry;
use stencil::finalize::finalize;
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
    let mut counts: BTreeMap<StaticModuleIndex, u32> = BTreeMap::new();
    for Slotted { piece, .. } in wanted {
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
    let compiled = compile_with_placeholders(input, backend, sample, wanted, &own);
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
    wanted: &[Slotted<'_>],
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
        Rewritten::of(body, &uses, (placed.first, offsets), &piece.parameters.source)
    };
    let one = body(Offsets::One)?;
    let Some(compiled) = compile_body(input, backend, placed, location, &one, &symbol)? else {
        return Ok(None);
    };
    let Ok(code) = function_of(&compiled) else { return Ok(None) };
    let reads = Reads { first_at: placed.first_at, count: placed.count, uses: &uses };
    let seen = offsets::seen(code, &one.accesses, (&piece, &reads), backend);
    let is_checked =
        sample.is_some_and(|sample| slotted.piece.cache_key.is_some_and(|key| sample.takes(&key)));
    let other = match seen.is_some() && !is_checked {
        true => None,
        false => {
            let other = body(Offsets::Other)?;
            match compile_body(input, backend, placed, location, &other, &symbol)? {
                None => return Ok(None),
                other => other,
            }
        }
    };
    let found = seen.or_else(|| {
        let other = function_of(other.as_ref()?).ok()?;
        offsets::between(code, other, (&piece, &reads), backend)
    });
    let Some(found) = found else { return Ok(None) };
    piece.parameters.source = one.source.clone();
    let there = Slotted { piece: &piece, slot: slotted.slot };
    let sealed = seal_plugged(&compiled, found, there, &reads, backend);
    // Why no entry can hold the code is said by who compiles it without placeholders.
    let Some(fresh) = sealed.unwrap_or(None) else { return Ok(None) };
    if is_checked && let Some(other) = &other {
        let template = Template {
            one: &compiled,
            other,
            body: one.bytes(),
            first: placed.first.as_u32(),
            piece: &piece,
            reads: &reads,
        };
        let body = input.bodies[module][function].body.as_bytes();
        check_fresh(&template, body, (slotted.piece, &fresh), backend)
            .map_err(|error| CompileError::Check { symbol, message: error.to_string() })?;
    }
    Ok(Some(fresh))
}

/// Checks what a function's entry gives in its module.
fn check_fresh(
    template: &Template<'_>,
    body: &[u8],
    (own, fresh): (&Piece, &Fresh),
    backend: &Backend,
) -> Result<(), Unexplained> {
    let unexplained = |what| Unexplained { at: 0, what };
    let key = fresh.key.unwrap_or(super::NO_KEY);
    let stencil = entry::open(&key, &fresh.bytes).map_err(|_| unexplained("a damaged entry"))?;
    let function = finalize(stencil, &own.parameters)
        .map_err(|_| unexplained("an entry that does not fit its function"))?;
    check::check(template, (body, &own.layout), &function.final_code(), backend)
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
