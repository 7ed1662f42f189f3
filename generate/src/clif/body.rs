//! A signature -> a function's body: blocks, branches, calls and memory, with
//! what front ends leave behind (dead instructions, aliases, unused
//! declarations).

use super::type_of;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{ArgumentPurpose, Block, SigRef};
use cranelift_codegen::ir::{
    AtomicRmwOp, BlockArg, DebugTag, ExtFuncData, ExternalName, FuncRef, GlobalValueData,
    InstBuilder, InstructionData, JumpTableData, MemFlagsData, Opcode, Signature, SourceLoc,
    StackSlot, StackSlotData, StackSlotKind, TrapCode, Type, UserExternalName, Value,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, Variable};
use rand::{Rng, RngExt as _};

const GUARD: TrapCode = TrapCode::unwrap_user(7);

pub struct Body<'a> {
    pub builder: FunctionBuilder<'a>,
    pub rng: &'a mut dyn Rng,
    /// Those in scope.
    pub values: Vec<Value>,
    slots: Vec<(StackSlot, u32)>,
    variables: Vec<(Variable, Type)>,
    callees: &'a [Signature],
    imported: Vec<Option<(FuncRef, SigRef)>>,
    /// How many may still be written.
    calls: u32,
    loops: u32,
    /// With source locations every callee is declared once. Two declarations
    /// become one in the stencil, and Cranelift gives instructions that have
    /// become equal no location, though their code is the same.
    located: bool,
}

impl<'a> Body<'a> {
    pub fn new(
        builder: FunctionBuilder<'a>,
        rng: &'a mut dyn Rng,
        callees: &'a [Signature],
    ) -> Self {
        Self {
            builder,
            values: Vec::new(),
            slots: Vec::new(),
            variables: Vec::new(),
            callees,
            imported: vec![None; callees.len()],
            calls: rng.random_range(0..4),
            loops: 0,
            located: rng.random_bool(0.7),
            rng,
        }
    }

    pub fn fill(mut self, config: TargetFrontendConfig) {
        let entry = self.builder.create_block();
        self.builder.append_block_params_for_function_params(entry);
        self.builder.switch_to_block(entry);
        self.values.extend_from_slice(self.builder.block_params(entry));
        self.declare();
        let count = self.rng.random_range(4..25);
        self.statements(0, count);
        let returns = self.builder.func.signature.returns.clone();
        let results: Vec<Value> = returns.iter().map(|it| self.value(it.value_type)).collect();
        self.builder.ins().return_(&results);
        if self.chance(0.2) {
            let unreachable = self.builder.create_block();
            self.builder.switch_to_block(unreachable);
            self.builder.ins().trap(GUARD);
        }
        self.builder.seal_all_blocks();
        self.builder.finalize(config);
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn declare(&mut self) {
        for _ in 0..self.rng.random_range(0..3) {
            let size = self.rng.random_range(1..5) * 16;
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 4);
            let slot = self.builder.create_sized_stack_slot(slot);
            for offset in (0..size).step_by(8) {
                let value = self.value(I64);
                self.builder.ins().stack_store(I64, value, slot, offset as i32);
            }
            self.slots.push((slot, size));
        }
        for _ in 0..self.rng.random_range(0..4) {
            let ty = type_of(self.rng);
            let variable = self.builder.declare_var(ty);
            let value = self.value(ty);
            self.builder.def_var(variable, value);
            self.variables.push((variable, ty));
        }
        if self.chance(0.3) {
            self.declare_unused();
        }
        if self.builder.func.signature.uses_special_param(ArgumentPurpose::VMContext) {
            let limit = self.builder.create_global_value(GlobalValueData::VMContext);
            self.builder.func.stack_limit = Some(limit);
        }
    }

    /// None of it decides about the code but the slot, which a frame has room for.
    fn declare_unused(&mut self) {
        let signature = self.builder.func.signature.clone();
        let signature = self.builder.import_signature(signature);
        let name = UserExternalName { namespace: 3, index: self.rng.random_range(0..9) };
        let name = self.builder.func.declare_imported_user_function(name);
        let name = ExternalName::user(name);
        let unused =
            ExtFuncData { name: name.clone(), signature, colocated: true, patchable: false };
        self.builder.import_function(unused);
        self.builder.create_global_value(GlobalValueData::Symbol {
            name,
            offset: 8.into(),
            colocated: false,
            tls: false,
        });
        if self.chance(0.1) {
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 4);
            self.builder.create_sized_stack_slot(slot);
        }
    }

    fn statements(&mut self, depth: u32, count: u32) {
        for _ in 0..count {
            self.source_location();
            match self.rng.random_range(0..100) {
                0..6 if depth < 3 => self.branch(depth),
                6..10 if depth < 2 => self.table(depth),
                10..15 if depth < 2 => self.count_down(depth),
                15..25 => self.store(),
                25..35 => self.load(),
                35..42 => self.call(),
                42..46 => self.alias(),
                46..49 => self.leave_behind(),
                49..52 => self.guard(),
                52..57 => self.assign(),
                57..59 => self.reference(),
                _ => self.expression(),
            }
        }
    }

    fn source_location(&mut self) {
        let location = match self.rng.random_range(0..8) {
            _ if !self.located => return,
            0 => SourceLoc::default(),
            1..4 => SourceLoc::new(self.rng.random_range(1000..1100)),
            _ => return,
        };
        self.builder.set_srcloc(location);
    }

    /// A value that a garbage collector has to find during calls.
    fn reference(&mut self) {
        if self.chance(0.3) {
            let value = self.value(I64);
            self.builder.declare_value_needs_stack_map(value);
        }
    }

    fn assign(&mut self) {
        if self.variables.is_empty() {
            return;
        }
        let (variable, ty) = self.variables[self.rng.random_range(0..self.variables.len())];
        let value = self.value(ty);
        self.builder.def_var(variable, value);
    }

    /// A value of this type that is in scope, or a new one.
    pub fn value(&mut self, ty: Type) -> Value {
        if self.chance(0.15) {
            let of_type = self.variables.iter().find(|(_, it)| *it == ty);
            if let Some((variable, _)) = of_type {
                return self.builder.use_var(*variable);
            }
        }
        let dfg = &self.builder.func.dfg;
        let fits = |value: &&Value| dfg.value_type(**value) == ty;
        let count = self.values.iter().filter(fits).count();
        if count == 0 || self.rng.random_bool(0.15) {
            return self.constant(ty);
        }
        // The latest ones more often, so that chains grow.
        let back = self.rng.random_range(0..count).min(self.rng.random_range(0..count));
        *self.values.iter().rev().filter(fits).nth(back).expect("counted")
    }

    fn target(&mut self, ty: Type) -> (Block, Value) {
        let block = self.builder.create_block();
        let param = self.builder.append_block_param(block, ty);
        if self.chance(0.1) {
            self.builder.set_cold_block(block);
        }
        (block, param)
    }

    /// One arm, in a scope of its own, that goes on at `to`.
    fn arm(&mut self, arm: Block, to: Block, ty: Type, depth: u32) {
        let scope = self.values.len();
        self.builder.switch_to_block(arm);
        let count = self.rng.random_range(0..6);
        self.statements(depth + 1, count);
        let value = self.value(ty);
        self.builder.ins().jump(to, &[value.into()]);
        self.values.truncate(scope);
    }

    fn branch(&mut self, depth: u32) {
        let ty = type_of(self.rng);
        let condition_type = [I8, I16, I32, I64][self.rng.random_range(0..4)];
        let condition = self.value(condition_type);
        let then = self.builder.create_block();
        let (merge, param) = self.target(ty);
        if self.chance(0.2) {
            self.builder.set_cold_block(then);
        }
        if self.chance(0.4) {
            let value: BlockArg = self.value(ty).into();
            self.builder.ins().brif(condition, then, &[], merge, &[value]);
        } else {
            let otherwise = self.builder.create_block();
            self.builder.ins().brif(condition, then, &[], otherwise, &[]);
            self.arm(otherwise, merge, ty, depth);
        }
        self.arm(then, merge, ty, depth);
        self.builder.switch_to_block(merge);
        self.values.push(param);
    }

    fn table(&mut self, depth: u32) {
        let ty = type_of(self.rng);
        let index = self.value(I32);
        let index = if self.chance(0.8) {
            let mask = self.builder.ins().iconst(I32, 3);
            self.builder.ins().band(index, mask)
        } else {
            index
        };
        let (merge, param) = self.target(ty);
        let value: BlockArg = self.value(ty).into();
        let arms: Vec<Block> =
            (0..self.rng.random_range(1..5)).map(|_| self.builder.create_block()).collect();
        let lists = &mut self.builder.func.dfg;
        let default = lists.block_call(merge, &[value]);
        let calls: Vec<_> = arms.iter().map(|arm| lists.block_call(*arm, &[])).collect();
        let table = self.builder.create_jump_table(JumpTableData::new(default, &calls));
        self.builder.ins().br_table(index, table);
        for arm in arms {
            self.arm(arm, merge, ty, depth);
        }
        self.builder.switch_to_block(merge);
        self.values.push(param);
    }

    fn count_down(&mut self, depth: u32) {
        let ty = type_of(self.rng);
        let rounds = i64::from(self.rng.random_range(1..5_u8));
        let rounds = self.builder.ins().iconst(I32, rounds);
        let first = self.value(ty);
        let (header, carried) = self.target(ty);
        let counter = self.builder.append_block_param(header, I32);
        let (exit, result) = self.target(ty);
        self.builder.ins().jump(header, &[first.into(), rounds.into()]);
        self.builder.switch_to_block(header);
        let scope = self.values.len();
        self.values.extend([carried, counter]);
        self.loops += 1;
        let count = self.rng.random_range(1..6);
        self.statements(depth + 1, count);
        self.loops -= 1;
        let one = self.builder.ins().iconst(I32, 1);
        let left = self.builder.ins().isub(counter, one);
        let next: BlockArg = self.value(ty).into();
        self.builder.ins().brif(left, header, &[next, left.into()], exit, &[next]);
        self.values.truncate(scope);
        self.builder.switch_to_block(exit);
        self.values.push(result);
    }

    /// A place in a slot: where, and how it may be reached.
    fn place(&mut self, bytes: u32) -> Option<(StackSlot, i32, MemFlagsData)> {
        if self.slots.is_empty() {
            return None;
        }
        let (slot, size) = self.slots[self.rng.random_range(0..self.slots.len())];
        let offset = self.rng.random_range(0..=size - bytes);
        if self.chance(0.5) {
            let offset = offset / bytes * bytes;
            let mut flags = MemFlagsData::new();
            flags.set_aligned();
            if self.chance(0.5) {
                flags.set_notrap();
            }
            return Some((slot, offset as i32, flags));
        }
        Some((slot, offset as i32, MemFlagsData::new()))
    }

    fn store(&mut self) {
        let ty = type_of(self.rng);
        let Some((slot, offset, flags)) = self.place(ty.bytes()) else { return };
        let value = self.value(ty);
        if self.chance(0.3) {
            self.builder.ins().stack_store(I64, value, slot, offset);
            return;
        }
        let address = self.builder.ins().stack_addr(I64, slot, 0);
        if ty == I64 && self.chance(0.3) {
            self.builder.ins().istore16(flags, value, address, offset);
        } else {
            self.builder.ins().store(flags, value, address, offset);
        }
    }

    fn load(&mut self) {
        let ty = loose(type_of(self.rng));
        let Some((slot, offset, flags)) = self.place(ty.bytes()) else { return };
        let address = self.builder.ins().stack_addr(I64, slot, 0);
        let value = match self.rng.random_range(0..8) {
            0 if ty == I64 => self.builder.ins().uload8(I64, flags, address, offset),
            1 if ty == I64 => self.builder.ins().sload16(I64, flags, address, offset),
            2 if ty == I64 => self.builder.ins().sload32(flags, address, offset),
            3 if ty == I64 || ty == I32 => {
                let address = self.builder.ins().stack_addr(I64, slot, 0);
                let by = self.value(ty);
                let flags = MemFlagsData::trusted();
                self.builder.ins().atomic_rmw(ty, flags, AtomicRmwOp::Add, address, by)
            }
            4 => self.builder.ins().stack_load(I64, ty, slot, offset),
            _ => self.builder.ins().load(ty, flags, address, offset),
        };
        self.values.push(value);
    }

    fn import(&mut self, callee: usize) -> (FuncRef, SigRef) {
        if let Some(imported) = self.imported[callee]
            && (self.located || self.chance(0.8))
        {
            return imported;
        }
        let signature = self.builder.import_signature(self.callees[callee].clone());
        let name = UserExternalName { namespace: 0, index: callee as u32 };
        let name = self.builder.func.declare_imported_user_function(name);
        let function = self.builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: self.rng.random_bool(0.5),
            patchable: false,
        });
        self.imported[callee] = Some((function, signature));
        (function, signature)
    }

    fn call(&mut self) {
        if self.callees.is_empty() || self.calls == 0 {
            return;
        }
        self.calls -= 1;
        // Only the first one calls nobody, so that loops do not multiply.
        let among = if self.loops > 0 { 1 } else { self.callees.len() };
        let callee = self.rng.random_range(0..among);
        let (function, signature) = self.import(callee);
        let params = self.callees[callee].params.clone();
        let args: Vec<Value> = params
            .iter()
            .map(|param| match param.purpose {
                ArgumentPurpose::VMContext => self.builder.ins().iconst(I64, 8),
                _ => self.value(param.value_type),
            })
            .collect();
        let call = if self.chance(0.3) {
            let address = self.builder.ins().func_addr(I64, function);
            self.builder.ins().call_indirect(signature, address, &args)
        } else {
            self.builder.ins().call(function, &args)
        };
        if self.chance(0.2) {
            let mut tags = vec![DebugTag::User(self.rng.random_range(0..99))];
            tags.extend(self.slots.first().map(|(slot, _)| DebugTag::StackSlot(*slot)));
            self.builder.func.debug_tags.set(call, tags);
        }
        self.values.extend_from_slice(self.builder.inst_results(call));
    }

    /// A dead value that is another name of a living one.
    fn alias(&mut self) {
        let Some(original) = self.any_integer() else { return };
        let dfg = &mut self.builder.func.dfg;
        let ty = dfg.value_type(original);
        let dead = dfg.make_inst(InstructionData::Unary { opcode: Opcode::Bnot, arg: original });
        dfg.make_inst_results(dead, ty);
        let value = dfg.first_result(dead);
        dfg.detach_inst_results(dead);
        dfg.change_to_alias(value, original);
        self.values.push(value);
    }

    /// Instructions outside of the layout: never there, or taken out.
    fn leave_behind(&mut self) {
        let Some(arg) = self.any_integer() else { return };
        let dfg = &mut self.builder.func.dfg;
        let ty = dfg.value_type(arg);
        let dead = dfg.make_inst(InstructionData::Unary { opcode: Opcode::Ineg, arg });
        dfg.make_inst_results(dead, ty);
        let value = self.builder.ins().bnot(arg);
        if let Some(inst) = self.builder.func.dfg.value_def(value).inst() {
            self.builder.func.layout.remove_inst(inst);
        }
    }

    fn any_integer(&mut self) -> Option<Value> {
        let dfg = &self.builder.func.dfg;
        self.values.iter().rev().copied().find(|value| dfg.value_type(*value).is_int())
    }

    /// A trap that never happens.
    fn guard(&mut self) {
        let value = self.value(I64);
        let one = self.builder.ins().iconst(I64, 1);
        let positive = self.builder.ins().bor(value, one);
        self.builder.ins().trapz(positive, GUARD);
    }
}

/// Memory holds any bits, so that floats are not loaded from it.
fn loose(ty: Type) -> Type {
    if ty.is_float() { ty.as_int() } else { ty }
}
