//! Mutations of a function's body: one instruction, branch or block.

use super::Named;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64, Imm64};
use cranelift_codegen::ir::{
    self, AliasRegionData, AtomicRmwOp, ConstantData, Inst, InstructionData, MemFlagsData, Opcode,
    SourceLoc, TrapCode, Value, types,
};
use rand::{Rng, RngExt as _};
use std::collections::HashSet;

/// All of them.
pub const ALL: [Named; 17] = [
    ("opcode", opcode),
    ("condition", condition),
    ("immediate", immediate),
    ("constant", constant),
    ("operands exchanged", exchange_operands),
    ("operand", operand),
    ("offset", offset),
    ("memory flags", memory_flags),
    ("trap code", trap_code),
    ("atomic operation", atomic_operation),
    ("type", retype),
    ("removed", remove),
    ("twice", repeat),
    ("branch", branch),
    ("table", table),
    ("cold", cold),
    ("source location", source_location),
];

/// Operators on the same types.
const FAMILIES: [&[Opcode]; 16] = [
    &[Opcode::Iadd, Opcode::Isub, Opcode::Imul, Opcode::Band, Opcode::Bor, Opcode::Bxor],
    &[Opcode::Ishl, Opcode::Ushr, Opcode::Sshr, Opcode::Rotl, Opcode::Rotr],
    &[Opcode::Udiv, Opcode::Urem, Opcode::Sdiv, Opcode::Srem],
    &[Opcode::Smin, Opcode::Smax, Opcode::Umin, Opcode::Umax],
    &[Opcode::Fadd, Opcode::Fsub, Opcode::Fmul, Opcode::Fdiv, Opcode::Fmin, Opcode::Fmax],
    &[Opcode::Bnot, Opcode::Ineg, Opcode::Clz, Opcode::Ctz, Opcode::Popcnt],
    &[Opcode::Sqrt, Opcode::Fneg, Opcode::Fabs, Opcode::Ceil, Opcode::Floor, Opcode::Nearest],
    &[Opcode::Uextend, Opcode::Sextend],
    &[Opcode::Umulhi, Opcode::Smulhi],
    &[Opcode::UaddOverflow, Opcode::SaddOverflow, Opcode::UsubOverflow, Opcode::SmulOverflow],
    &[Opcode::Uload8, Opcode::Sload8, Opcode::Uload16, Opcode::Sload16],
    &[Opcode::Uload32, Opcode::Sload32],
    &[Opcode::Istore8, Opcode::Istore16, Opcode::Istore32],
    &[Opcode::FcvtToSintSat, Opcode::FcvtToUintSat],
    &[Opcode::FcvtFromSint, Opcode::FcvtFromUint],
    &[Opcode::Trapz, Opcode::Trapnz],
];

/// All instructions of the layout, in order.
pub fn insts(function: &ir::Function) -> impl Iterator<Item = Inst> {
    let layout = &function.layout;
    layout.blocks().flat_map(|block| layout.block_insts(block))
}

/// One of those items; `None` if there is none.
pub fn choose<T>(items: impl Iterator<Item = T>, rng: &mut dyn Rng) -> Option<T> {
    let mut items: Vec<T> = items.collect();
    if items.is_empty() {
        return None;
    }
    Some(items.swap_remove(rng.random_range(0..items.len())))
}

/// Another one than this of a list.
fn another<T: Copy + PartialEq>(all: &[T], than: T, rng: &mut dyn Rng) -> Option<T> {
    choose(all.iter().copied().filter(|item| *item != than), rng)
}

/// One instruction that passes, to be changed.
fn pick<'f>(
    function: &'f mut ir::Function,
    rng: &mut dyn Rng,
    passes: impl Fn(&InstructionData) -> bool,
) -> Option<(&'f mut InstructionData, Inst)> {
    let inst = choose(insts(function).filter(|inst| passes(&function.dfg.insts[*inst])), rng)?;
    Some((&mut function.dfg.insts[inst], inst))
}

fn family(opcode: Opcode) -> Option<&'static [Opcode]> {
    FAMILIES.into_iter().find(|family| family.contains(&opcode))
}

fn opcode(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let (data, _) = pick(function, rng, |data| family(data.opcode()).is_some())?;
    let new = another(family(data.opcode())?, data.opcode(), rng)?;
    match data {
        InstructionData::Unary { opcode, .. }
        | InstructionData::Binary { opcode, .. }
        | InstructionData::Load { opcode, .. }
        | InstructionData::Store { opcode, .. }
        | InstructionData::CondTrap { opcode, .. } => *opcode = new,
        _ => return None,
    }
    Some(())
}

fn condition(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    use InstructionData::{FloatCompare, IntCompare};
    let compares = |data: &InstructionData| matches!(data, IntCompare { .. } | FloatCompare { .. });
    match pick(function, rng, compares)?.0 {
        IntCompare { cond, .. } => *cond = another(IntCC::all(), *cond, rng)?,
        FloatCompare { cond, .. } => *cond = another(FloatCC::all(), *cond, rng)?,
        _ => return None,
    }
    Some(())
}

fn immediate(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    use InstructionData as Data;
    let has_one = |data: &Data| {
        matches!(
            data,
            Data::UnaryImm { .. }
                | Data::UnaryIeee32 { .. }
                | Data::UnaryIeee64 { .. }
                | Data::BinaryImm8 { .. }
                | Data::TernaryImm8 { .. }
        )
    };
    let (_, inst) = pick(function, rng, has_one)?;
    let bits = function.dfg.ctrl_typevar(inst).bits();
    let lanes = function.dfg.ctrl_typevar(inst).lane_count();
    let lane = rng.random_range(0..lanes.min(256)) as u8;
    let number = if rng.random_bool(0.5) { rng.random() } else { rng.random_range(0..20) };
    match &mut function.dfg.insts[inst] {
        Data::UnaryImm { imm, .. } => {
            let mask = if bits >= 64 { -1 } else { (1_i64 << bits) - 1 };
            *imm = Imm64::new(number & mask);
        }
        Data::UnaryIeee32 { imm, .. } => *imm = Ieee32::with_bits(imm.bits() ^ 1 << lane),
        Data::UnaryIeee64 { imm, .. } => *imm = Ieee64::with_bits(imm.bits() ^ 1 << lane),
        Data::BinaryImm8 { imm, .. } | Data::TernaryImm8 { imm, .. } => *imm = lane,
        _ => return None,
    }
    Some(())
}

fn constant(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let has_one = |data: &InstructionData| matches!(data, InstructionData::UnaryConst { .. });
    let (_, inst) = pick(function, rng, has_one)?;
    let InstructionData::UnaryConst { constant_handle: old, .. } = function.dfg.insts[inst] else {
        return None;
    };
    let mut bytes = function.dfg.constants.get(old).iter().copied().collect::<Vec<u8>>();
    let at = rng.random_range(0..bytes.len());
    bytes[at] ^= rng.random_range(1..=u8::MAX);
    let new = function.dfg.constants.insert(ConstantData::from(bytes));
    if let InstructionData::UnaryConst { constant_handle, .. } = &mut function.dfg.insts[inst] {
        *constant_handle = new;
    }
    Some(())
}

fn exchange_operands(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    use InstructionData as Data;
    let differ = |data: &Data| match data {
        Data::Binary { args, .. }
        | Data::IntCompare { args, .. }
        | Data::FloatCompare { args, .. } => args[0] != args[1],
        Data::Ternary { args, .. } => args[1] != args[2],
        _ => false,
    };
    match pick(function, rng, differ)?.0 {
        Data::Binary { args, .. }
        | Data::IntCompare { args, .. }
        | Data::FloatCompare { args, .. } => args.swap(0, 1),
        Data::Ternary { args, .. } => args.swap(1, 2),
        _ => return None,
    }
    Some(())
}

/// One operand becomes another value of its type: a parameter of the function,
/// or what was computed before in the same block.
fn operand(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let with_operands = insts(function).filter(|inst| !function.dfg.inst_args(*inst).is_empty());
    let inst = choose(with_operands, rng)?;
    let entry = function.layout.entry_block()?;
    let mut in_scope: Vec<Value> = function.dfg.block_params(entry).to_vec();
    let block = function.layout.inst_block(inst)?;
    for earlier in function.layout.block_insts(block).take_while(|earlier| *earlier != inst) {
        in_scope.extend_from_slice(function.dfg.inst_results(earlier));
    }
    let at = rng.random_range(0..function.dfg.inst_args(inst).len());
    let old = function.dfg.inst_args(inst)[at];
    let ty = function.dfg.value_type(old);
    let fits = |value: &Value| *value != old && function.dfg.value_type(*value) == ty;
    let new = choose(in_scope.into_iter().filter(fits), rng)?;
    function.dfg.inst_args_mut(inst)[at] = new;
    Some(())
}

fn offset(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    use InstructionData::{Load, StackAddr, Store};
    let has_one =
        |data: &InstructionData| matches!(data, Load { .. } | Store { .. } | StackAddr { .. });
    let (data, _) = pick(function, rng, has_one)?;
    if let Load { offset, .. } | Store { offset, .. } | StackAddr { offset, .. } = data {
        *offset = (i32::from(*offset) ^ rng.random_range(1..16)).into();
    }
    Some(())
}

fn flags_of(data: &mut InstructionData) -> Option<&mut ir::MemFlags> {
    use InstructionData::{AtomicRmw, Load, LoadNoOffset, Store};
    match data {
        Load { flags, .. }
        | Store { flags, .. }
        | LoadNoOffset { flags, .. }
        | AtomicRmw { flags, .. } => Some(flags),
        _ => None,
    }
}

fn memory_flags(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let (_, inst) = pick(function, rng, |data| flags_of(&mut data.clone()).is_some())?;
    let old = *flags_of(&mut function.dfg.insts[inst])?;
    let data = function.dfg.mem_flags[old];
    let data = match rng.random_range(0..6) {
        0 => MemFlagsData::new(),
        1 => data.with_notrap(),
        2 => data.with_can_move(),
        3 => data.with_aligned(),
        4 => data.with_readonly(),
        _ => {
            let region = AliasRegionData { user_id: 1, description: "other".into() };
            data.with_alias_region(Some(function.dfg.alias_regions.insert(region)))
        }
    };
    let new = function.dfg.mem_flags.insert_unchecked(data);
    *flags_of(&mut function.dfg.insts[inst])? = new;
    Some(())
}

fn trap_code(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    use InstructionData::{CondTrap, Trap};
    let traps = |data: &InstructionData| matches!(data, Trap { .. } | CondTrap { .. });
    if let Trap { code, .. } | CondTrap { code, .. } = pick(function, rng, traps)?.0 {
        *code = TrapCode::unwrap_user(rng.random_range(1..100));
    }
    Some(())
}

fn atomic_operation(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let is_one = |data: &InstructionData| matches!(data, InstructionData::AtomicRmw { .. });
    if let InstructionData::AtomicRmw { op, .. } = pick(function, rng, is_one)?.0 {
        *op = another(AtomicRmwOp::all(), *op, rng)?;
    }
    Some(())
}

/// Values that some instruction refers to.
fn used(function: &ir::Function) -> HashSet<Value> {
    let values = insts(function).flat_map(|inst| function.dfg.inst_values(inst));
    values.map(|value| function.dfg.resolve_aliases(value)).collect()
}

/// Instructions without whose results the rest of the function does.
fn dispensable(function: &ir::Function) -> Vec<Inst> {
    let used = used(function);
    let unused = |inst: &Inst| function.dfg.inst_results(*inst).iter().all(|it| !used.contains(it));
    let ends = |inst: &Inst| function.dfg.insts[*inst].opcode().is_terminator();
    insts(function).filter(|inst| !ends(inst) && unused(inst)).collect()
}

/// Another type for a value that nobody refers to.
fn retype(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let typed = |inst: &Inst| {
        matches!(function.dfg.insts[*inst].opcode(), Opcode::Load | Opcode::Iconst)
            && function.dfg.value_type(function.dfg.first_result(*inst)).is_int()
    };
    let inst = choose(dispensable(function).into_iter().filter(typed), rng)?;
    let result = function.dfg.first_result(inst);
    let of_ints = [types::I8, types::I16, types::I32, types::I64];
    let new = another(&of_ints, function.dfg.value_type(result), rng)?;
    function.dfg.replace_result(result, new);
    Some(())
}

fn remove(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let inst = choose(dispensable(function).into_iter(), rng)?;
    function.layout.remove_inst(inst);
    Some(())
}

fn repeat(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let ends = |inst: &Inst| function.dfg.insts[*inst].opcode().is_terminator();
    let inst = choose(insts(function).filter(|inst| !ends(inst)), rng)?;
    let copy = function.dfg.clone_inst(inst);
    function.layout.insert_inst(copy, inst);
    Some(())
}

fn branch(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let is_one = |data: &InstructionData| matches!(data, InstructionData::Brif { .. });
    if let InstructionData::Brif { blocks, .. } = pick(function, rng, is_one)?.0 {
        blocks.swap(0, 1);
    }
    Some(())
}

fn table(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let is_one = |data: &InstructionData| matches!(data, InstructionData::BranchTable { .. });
    let InstructionData::BranchTable { table, .. } = *pick(function, rng, is_one)?.0 else {
        return None;
    };
    let branches = function.dfg.jump_tables[table].all_branches_mut();
    let by = rng.random_range(0..branches.len());
    branches.rotate_left(by);
    Some(())
}

fn cold(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let layout = &function.layout;
    let warm = layout.blocks().skip(1).filter(|block| !layout.is_cold(*block));
    let block = choose(warm, rng)?;
    function.layout.set_cold(block);
    Some(())
}

/// One instruction has no location, another's, or one of its own.
fn source_location(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let inst = choose(insts(function), rng)?;
    let other = choose(insts(function), rng)?;
    let location = match rng.random_range(0..3) {
        0 => SourceLoc::default(),
        1 => function.srcloc(other),
        _ => SourceLoc::new(rng.random_range(0..5000)),
    };
    function.set_srcloc(inst, location);
    Some(())
}
