//! A module -> everything that a host can see of its exports after each was called.

use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use wasmtime::{
    Error, ExternType, FrameInfo, Func, Instance, Linker, Module, Store, StoreLimits,
    StoreLimitsBuilder, Trap, V128, Val, ValType, WasmBacktrace,
};

/// Fuel of a call, where it is counted. Loops end by it.
const FUEL: u64 = 20_000;
const MEMORY_BYTES_MAX: usize = 8 << 20;
const TABLE_ELEMENTS_MAX: usize = 20_000;

/// One line for each call, memory and global, in the order of the exports.
pub fn observe(module: &Module, seed: u64) -> Vec<String> {
    let limits = StoreLimitsBuilder::new()
        .memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .build();
    let mut store = Store::new(module.engine(), limits);
    store.limiter(|limits| limits);
    let mut lines = Vec::new();
    let mut linker = Linker::new(module.engine());
    store.set_epoch_deadline(1);
    refuel(&mut store);
    let instance = linker
        .define_unknown_imports_as_default_values(&mut store, module)
        .and_then(|()| linker.instantiate(&mut store, module));
    match instance {
        Err(error) => lines.push(format!("instantiation: {}", failure(&error))),
        Ok(instance) => {
            call_all(&mut store, module, instance, seed, &mut lines);
            look_at_all(&mut store, module, instance, &mut lines);
        }
    }
    lines
}

/// Where no fuel is counted the module ends by itself.
fn refuel(store: &mut Store<StoreLimits>) {
    let _ = store.set_fuel(FUEL);
}

fn call_all(
    store: &mut Store<StoreLimits>,
    module: &Module,
    instance: Instance,
    seed: u64,
    lines: &mut Vec<String>,
) {
    for export in module.exports() {
        let Some(function) = instance.get_func(&mut *store, export.name()) else {
            continue;
        };
        refuel(store);
        let outcome = call(store, function, seed);
        let left = store.get_fuel().ok();
        lines.push(format!("{}: {outcome}, fuel left {left:?}", export.name()));
    }
}

fn call(store: &mut Store<StoreLimits>, function: Func, seed: u64) -> String {
    let ty = function.ty(&*store);
    let mut random = SmallRng::seed_from_u64(seed);
    let arguments: Option<Vec<Val>> = ty.params().map(|ty| argument(&ty, &mut random)).collect();
    let Some(arguments) = arguments else {
        return "takes references that are not null".to_owned();
    };
    let mut results = vec![Val::I32(0); ty.results().len()];
    match function.call(&mut *store, &arguments, &mut results) {
        Ok(()) => results.iter().map(shown).collect::<Vec<_>>().join(" "),
        Err(error) => failure(&error),
    }
}

/// Small and large numbers alike; `None` if there is no value without a host's object.
fn argument(ty: &ValType, random: &mut SmallRng) -> Option<Val> {
    let bits = match random.random_range(0..3) {
        0 => random.random_range(0..100_u128),
        1 => !random.random_range(0..4_u128),
        _ => u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()),
    };
    Some(match ty {
        ValType::I32 => Val::I32(bits as i32),
        ValType::I64 => Val::I64(bits as i64),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits as u64),
        ValType::V128 => Val::V128(V128::from(bits)),
        ValType::Ref(_) => ty.default_value()?,
    })
}

/// Bits of numbers; of references only what does not depend on addresses.
fn shown(value: &Val) -> String {
    match value {
        Val::I32(_) | Val::I64(_) | Val::F32(_) | Val::F64(_) => format!("{value:?}"),
        Val::V128(bits) => format!("{:x}", bits.as_u128()),
        Val::FuncRef(reference) => format!("function, null: {}", reference.is_none()),
        Val::ExternRef(reference) => format!("extern, null: {}", reference.is_none()),
        Val::AnyRef(reference) => format!("any, null: {}", reference.is_none()),
        Val::ExnRef(reference) => format!("exception, null: {}", reference.is_none()),
        Val::ContRef(reference) => format!("continuation, null: {}", reference.is_none()),
    }
}

/// What has failed, and in which functions.
fn failure(error: &Error) -> String {
    let what = match error.downcast_ref::<Trap>() {
        Some(trap) => format!("{trap:?}"),
        None => error.to_string(),
    };
    let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames);
    let functions: Vec<u32> =
        frames.unwrap_or_default().iter().map(FrameInfo::func_index).collect();
    format!("{what} in {functions:?}")
}

fn look_at_all(
    store: &mut Store<StoreLimits>,
    module: &Module,
    instance: Instance,
    lines: &mut Vec<String>,
) {
    for export in module.exports() {
        let name = export.name();
        let seen = match export.ty() {
            ExternType::Memory(_) => instance.get_memory(&mut *store, name).map(|memory| {
                let mut hasher = DefaultHasher::new();
                memory.data(&*store).hash(&mut hasher);
                format!("{:x}, {} pages", hasher.finish(), memory.size(&*store))
            }),
            ExternType::Global(_) => {
                instance.get_global(&mut *store, name).map(|global| shown(&global.get(&mut *store)))
            }
            ExternType::Table(_) => instance
                .get_table(&mut *store, name)
                .map(|table| format!("{} elements", table.size(&*store))),
            _ => None,
        };
        lines.extend(seen.map(|seen| format!("{name}: {seen}")));
    }
}
