//! Mutations of what a body refers to: signatures, callees, stack slots, tags.

use super::Named;
use super::changes::{choose, insts};
use cranelift_codegen::ir::{
    self, ArgumentExtension, DebugTag, FuncRef, Inst, InstructionData, SigRef, Signature,
    StackSlot, UserStackMapEntry, types,
};
use cranelift_codegen::isa::CallConv;
use rand::{Rng, RngExt as _};

/// All of them.
pub const ALL: [Named; 11] = [
    ("parameter", parameter),
    ("calling convention", calling_convention),
    ("callee's parameter", callee_parameter),
    ("callee's calling convention", callee_calling_convention),
    ("callee", callee),
    ("colocated", colocated),
    ("stack slot", stack_slot),
    ("stack limit", stack_limit),
    ("stack map", stack_map),
    ("debug tags", debug_tags),
    ("block order", block_order),
];

/// A narrow parameter or result is extended in another way.
fn extend(signature: &mut Signature, rng: &mut dyn Rng) -> Option<()> {
    let Signature { params, returns, .. } = signature;
    let narrow = |it: &&mut ir::AbiParam| it.value_type.is_int() && it.value_type.bits() < 64;
    let param = choose(params.iter_mut().chain(returns).filter(narrow), rng)?;
    param.extension = match (param.extension, rng.random_bool(0.5)) {
        (ArgumentExtension::None, true) | (ArgumentExtension::Sext, false) => {
            ArgumentExtension::Uext
        }
        (ArgumentExtension::None, false) | (ArgumentExtension::Uext, false) => {
            ArgumentExtension::Sext
        }
        _ => ArgumentExtension::None,
    };
    Some(())
}

fn convene(signature: &mut Signature, rng: &mut dyn Rng) -> Option<()> {
    let others = [CallConv::SystemV, CallConv::Fast, CallConv::Tail];
    let now = signature.call_conv;
    signature.call_conv = choose(others.into_iter().filter(|other| *other != now), rng)?;
    Some(())
}

fn parameter(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    extend(&mut function.signature, rng)
}

fn calling_convention(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    convene(&mut function.signature, rng)
}

/// A signature by which the body calls.
fn called(function: &ir::Function, rng: &mut dyn Rng) -> Option<SigRef> {
    choose(insts(function).filter_map(|inst| function.dfg.call_signature(inst)), rng)
}

fn callee_parameter(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let signature = called(function, rng)?;
    extend(&mut function.dfg.signatures[signature], rng)
}

fn callee_calling_convention(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let signature = called(function, rng)?;
    convene(&mut function.dfg.signatures[signature], rng)
}

fn refers_to(function: &mut ir::Function, inst: Inst) -> Option<&mut FuncRef> {
    match &mut function.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. } | InstructionData::FuncAddr { func_ref, .. } => {
            Some(func_ref)
        }
        _ => None,
    }
}

fn callees(function: &mut ir::Function) -> Vec<(Inst, FuncRef)> {
    let all: Vec<Inst> = insts(function).collect();
    let of = |inst| Some((inst, *refers_to(function, inst)?));
    all.into_iter().filter_map(of).collect()
}

/// Another function, declared anew, is called in one place.
fn callee(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let (inst, old) = choose(callees(function).into_iter(), rng)?;
    let mut data = function.dfg.ext_funcs[old].clone();
    let name = ir::UserExternalName::new(77, 0);
    data.name = ir::ExternalName::user(function.declare_imported_user_function(name));
    *refers_to(function, inst)? = function.import_function(data);
    Some(())
}

fn colocated(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let (_, callee) = choose(callees(function).into_iter(), rng)?;
    let callee = &mut function.dfg.ext_funcs[callee];
    callee.colocated = !callee.colocated;
    Some(())
}

/// A slot that the body refers to: the others are not in the stencil, but have
/// room in the frame if the function is compiled as it is.
fn used_slot(function: &ir::Function, rng: &mut dyn Rng) -> Option<StackSlot> {
    let slot = |inst: Inst| match function.dfg.insts[inst] {
        InstructionData::StackAddr { stack_slot, .. } => Some(stack_slot),
        _ => None,
    };
    choose(insts(function).filter_map(slot), rng)
}

fn stack_slot(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let slot = used_slot(function, rng)?;
    let slot = &mut function.sized_stack_slots[slot];
    match rng.random_range(0..3) {
        0 => slot.size += rng.random_range(1..40),
        1 => slot.align_shift = (slot.align_shift + 1) % 5,
        _ => slot.key = Some(ir::StackSlotKey::new(rng.random())),
    }
    Some(())
}

fn stack_limit(function: &mut ir::Function, _: &mut dyn Rng) -> Option<()> {
    function.stack_limit.take().map(drop)
}

/// One more reference in a slot during one call.
fn stack_map(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let calls = insts(function).filter(|inst| function.dfg.insts[*inst].opcode().is_call());
    let call = choose(calls, rng)?;
    let slot = used_slot(function, rng)?;
    let offset = 8 * rng.random_range(0..2);
    let entry = UserStackMapEntry { ty: types::I64, slot, offset };
    function.dfg.append_user_stack_map_entry(call, entry);
    Some(())
}

fn debug_tags(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let calls = insts(function).filter(|inst| function.dfg.insts[*inst].opcode().is_call());
    let call = choose(calls, rng)?;
    let tag = rng.random_range(0..99);
    function.debug_tags.set(call, [DebugTag::User(tag)]);
    Some(())
}

/// The last block moves behind the entry.
fn block_order(function: &mut ir::Function, _: &mut dyn Rng) -> Option<()> {
    let layout = &function.layout;
    let last = layout.last_block()?;
    let second = layout.next_block(layout.entry_block()?)?;
    if last == second {
        return None;
    }
    function.layout.remove_block(last);
    function.layout.insert_block(last, second);
    Some(())
}
