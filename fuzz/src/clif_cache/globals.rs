//! Global values, which the generator's functions have no use for: put in front of a body, and
//! changed.

use super::Named;
use super::changes::{choose, insts};
use cranelift_codegen::cursor::{Cursor as _, FuncCursor};
use cranelift_codegen::ir::immediates::Imm64;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    self, ArgumentPurpose, ExternalName, GlobalValue, GlobalValueData, InstBuilder as _,
    InstructionData, MemFlagsData, TrapCode, UserExternalName,
};
use rand::{Rng, RngExt as _};

/// All mutations of them.
pub const ALL: [Named; 1] = [("global value", change)];

/// The function traps if a symbol is at address zero, and its stack limit, if it can have one, is
/// loaded from memory.
pub fn add(function: &mut ir::Function, rng: &mut dyn Rng) {
    let name = UserExternalName::new(5, rng.random_range(0..3));
    let name = ExternalName::user(function.declare_imported_user_function(name));
    let (offset, colocated) = (Imm64::new(rng.random_range(0..64)), rng.random_bool(0.5));
    let symbol = GlobalValueData::Symbol { name, offset, colocated, tls: false };
    let symbol = function.create_global_value(symbol);
    if function.signature.uses_special_param(ArgumentPurpose::VMContext) {
        let mut base = function.create_global_value(GlobalValueData::VMContext);
        for _ in 0..rng.random_range(1..3) {
            let flags = function.dfg.mem_flags.insert_unchecked(MemFlagsData::trusted());
            let offset = (8 * rng.random_range(0..8)).into();
            let load = GlobalValueData::Load { base, offset, global_type: I64, flags };
            base = function.create_global_value(load);
        }
        function.stack_limit = Some(base);
    }
    let entry = function.layout.entry_block().expect("it has a body");
    let mut cursor = FuncCursor::new(function).at_first_insertion_point(entry);
    let symbol = cursor.ins().symbol_value(I64, symbol);
    cursor.ins().trapz(symbol, TrapCode::unwrap_user(9));
}

/// The body's and the stack limit's, and those that they are made of.
fn used(function: &ir::Function) -> Vec<GlobalValue> {
    let asked_for = |inst| match function.dfg.insts[inst] {
        InstructionData::UnaryGlobalValue { global_value, .. } => Some(global_value),
        _ => None,
    };
    let base = |value: &GlobalValue| match function.global_values[*value] {
        GlobalValueData::Load { base, .. } => Some(base),
        _ => None,
    };
    insts(function)
        .filter_map(asked_for)
        .chain(function.stack_limit)
        .flat_map(|value| std::iter::successors(Some(value), base))
        .collect()
}

fn change(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let value = choose(used(function).into_iter(), rng)?;
    let readonly = MemFlagsData::trusted().with_readonly();
    let readonly = function.dfg.mem_flags.insert_unchecked(readonly);
    match &mut function.global_values[value] {
        GlobalValueData::Symbol { colocated, .. } if rng.random_bool(0.5) => {
            *colocated = !*colocated;
        }
        GlobalValueData::Load { flags, .. } if rng.random_bool(0.5) => *flags = readonly,
        GlobalValueData::Load { offset, .. } => *offset = (i32::from(*offset) + 8).into(),
        GlobalValueData::Symbol { offset, .. } => {
            *offset = Imm64::new(offset.bits() + rng.random_range(1..9));
        }
        _ => return None,
    }
    Some(())
}
