//! The same function, as another program might have built it: declared in
//! another order, among left-overs, under other names, from another place in
//! the source.

use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::immediates::Imm64;
use cranelift_codegen::ir::instructions::InstructionMapper;
use cranelift_codegen::ir::{
    self, AliasRegionData, Block, BlockArg, BlockCall, ExceptionTable, ExceptionTableData,
    ExceptionTableItem, ExternalName, FuncRef, GlobalValue, GlobalValueData, Inst, InstructionData,
    JumpTable, JumpTableData, MemFlags, MemFlagsData, Opcode, SigRef, SourceLoc, StackSlot,
    StackSlotData, StackSlotKind, UserExternalName, UserExternalNameRef, UserFuncName, Value,
    ValueList, types,
};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use std::collections::HashMap;

/// Builds `original` again in `function`, which was cleared before, as a front
/// end clears a context.
pub fn scramble(original: &ir::Function, function: &mut ir::Function, rng: &mut impl Rng) {
    function.name = UserFuncName::user(rng.random_range(0..9), rng.random());
    function.signature = original.signature.clone();
    let mut scrambler = Scrambler { original, function, maps: Maps::default() };
    scrambler.left_overs(rng);
    scrambler.declare(rng);
    scrambler.left_overs(rng);
    scrambler.define(rng);
    scrambler.lay_out();
}

#[derive(Default)]
struct Maps {
    names: HashMap<UserExternalNameRef, UserExternalNameRef>,
    signatures: HashMap<SigRef, SigRef>,
    functions: HashMap<FuncRef, FuncRef>,
    regions: HashMap<ir::AliasRegion, ir::AliasRegion>,
    mem_flags: HashMap<MemFlags, MemFlags>,
    globals: HashMap<GlobalValue, GlobalValue>,
    slots: HashMap<StackSlot, StackSlot>,
    constants: HashMap<ir::Constant, ir::Constant>,
    immediates: HashMap<ir::Immediate, ir::Immediate>,
    blocks: HashMap<Block, Block>,
    values: HashMap<Value, Value>,
    insts: HashMap<Inst, Inst>,
}

struct Scrambler<'a> {
    original: &'a ir::Function,
    function: &'a mut ir::Function,
    maps: Maps,
}

fn shuffled<T>(items: impl Iterator<Item = T>, rng: &mut impl Rng) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.shuffle(rng);
    items
}

impl Scrambler<'_> {
    /// What a front end declares and then does not use.
    fn left_overs(&mut self, rng: &mut impl Rng) {
        let function = &mut *self.function;
        for _ in 0..rng.random_range(0..3) {
            let signature = function.import_signature(self.original.signature.clone());
            let name = UserExternalName::new(99, rng.random());
            let name = ExternalName::user(function.declare_imported_user_function(name));
            function.create_global_value(GlobalValueData::Symbol {
                name: name.clone(),
                offset: Imm64::new(8),
                colocated: false,
                tls: false,
            });
            function.import_function(ir::ExtFuncData {
                name,
                signature,
                colocated: false,
                patchable: false,
            });
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 64, 3);
            function.create_sized_stack_slot(slot);
            function.dfg.constants.insert(vec![rng.random::<u8>(); 16].into());
            function.dfg.mem_flags.insert_unchecked(MemFlagsData::new().with_can_move());
            let region = AliasRegionData { user_id: rng.random(), description: "unused".into() };
            function.dfg.alias_regions.insert(region);
            let block = function.dfg.make_block();
            let value = function.dfg.append_block_param(block, types::I64);
            let call = function.dfg.block_call(block, &[BlockArg::Value(value)]);
            function.dfg.jump_tables.push(JumpTableData::new(call, &[]));
            let items = [ExceptionTableItem::Default(call)];
            let table = ExceptionTableData::new(signature, call, items);
            function.dfg.exception_tables.push(table);
            let unused = InstructionData::UnaryImm {
                opcode: Opcode::Iconst,
                imm: Imm64::new(rng.random_range(0..1000)),
            };
            let unused = function.dfg.make_inst(unused);
            function.dfg.make_inst_results(unused, types::I32);
        }
    }

    fn declare(&mut self, rng: &mut impl Rng) {
        let original = self.original;
        for (name, data) in shuffled(original.params.user_named_funcs().iter(), rng) {
            let renamed = UserExternalName::new(data.namespace + 100, data.index);
            let renamed = self.function.declare_imported_user_function(renamed);
            self.maps.names.insert(name, renamed);
        }
        for (handle, data) in shuffled(original.dfg.signatures.iter(), rng) {
            let signature = self.function.import_signature(data.clone());
            self.maps.signatures.insert(handle, signature);
        }
        for (handle, data) in shuffled(original.dfg.ext_funcs.iter(), rng) {
            let mut data = data.clone();
            data.signature = self.maps.signatures[&data.signature];
            data.name = self.name(&data.name);
            self.maps.functions.insert(handle, self.function.import_function(data));
        }
        for (region, data) in shuffled(original.dfg.alias_regions.iter(), rng) {
            let data = AliasRegionData {
                user_id: data.user_id + 10_000,
                description: format!("other {}", data.description).into(),
            };
            self.maps.regions.insert(region, self.function.dfg.alias_regions.insert(data));
        }
        let flags = (0..)
            .map(MemFlags::from_u32)
            .take_while(|flags| original.dfg.mem_flags.is_valid(*flags));
        for flags in shuffled(flags, rng) {
            let data = original.dfg.mem_flags[flags];
            let region = data.alias_region().map(|region| self.maps.regions[&region]);
            let data = data.with_alias_region(region);
            self.maps.mem_flags.insert(flags, self.function.dfg.mem_flags.insert_unchecked(data));
        }
        self.declare_data(rng);
    }

    fn name(&self, name: &ExternalName) -> ExternalName {
        match name {
            ExternalName::User(name) => ExternalName::user(self.maps.names[name]),
            other => other.clone(),
        }
    }

    fn declare_data(&mut self, rng: &mut impl Rng) {
        let original = self.original;
        for (handle, _) in shuffled(original.global_values.iter(), rng) {
            let declared = self.function.create_global_value(GlobalValueData::VMContext);
            self.maps.globals.insert(handle, declared);
        }
        for (handle, data) in &original.global_values {
            let mut data = data.clone();
            match &mut data {
                GlobalValueData::Load { base, flags, .. } => {
                    *base = self.maps.globals[base];
                    *flags = self.maps.mem_flags[flags];
                }
                GlobalValueData::IAddImm { base, .. } => *base = self.maps.globals[base],
                GlobalValueData::Symbol { name, .. } => *name = self.name(name),
                _ => {}
            }
            self.function.global_values[self.maps.globals[&handle]] = data;
        }
        for (handle, data) in shuffled(original.sized_stack_slots.iter(), rng) {
            self.maps.slots.insert(handle, self.function.create_sized_stack_slot(data.clone()));
        }
        for (handle, data) in shuffled(original.dfg.constants.iter(), rng) {
            let constant = self.function.dfg.constants.insert(data.clone());
            self.maps.constants.insert(*handle, constant);
        }
        for (handle, data) in shuffled(original.dfg.immediates.iter(), rng) {
            let immediate = self.function.dfg.immediates.push(data.clone());
            self.maps.immediates.insert(handle, immediate);
        }
        let limit = self.original.stack_limit.map(|limit| self.maps.globals[&limit]);
        self.function.stack_limit = limit;
    }

    /// Blocks, values and instructions, each in an order of its own.
    fn define(&mut self, rng: &mut impl Rng) {
        let original = self.original;
        for block in shuffled(original.layout.blocks(), rng) {
            self.maps.blocks.insert(block, self.function.dfg.make_block());
        }
        let nowhere = self.function.dfg.make_block();
        let mut defined = Vec::new();
        for block in original.layout.blocks() {
            defined.extend_from_slice(original.dfg.block_params(block));
            for inst in original.layout.block_insts(block) {
                defined.extend_from_slice(original.dfg.inst_results(inst));
            }
        }
        defined.shuffle(rng);
        for value in defined {
            let ty = original.dfg.value_type(value);
            self.maps.values.insert(value, self.function.dfg.append_block_param(nowhere, ty));
        }
        self.function.dfg.detach_block_params(nowhere);
        for block in original.layout.blocks() {
            for param in original.dfg.block_params(block) {
                let (block, param) = (self.maps.blocks[&block], self.maps.values[param]);
                self.function.dfg.attach_block_param(block, param);
            }
        }
        let insts = original.layout.blocks().flat_map(|block| original.layout.block_insts(block));
        for inst in shuffled(insts, rng) {
            let data = original.dfg.insts[inst];
            let aliases = rng.random_range(0..4) == 0;
            let data = data.map(Mapper { scrambler: self, aliases });
            let copy = self.function.dfg.make_inst(data);
            let results = original.dfg.inst_results(inst);
            let results: Vec<_> =
                results.iter().map(|result| Some(self.maps.values[result])).collect();
            let controlling = original.dfg.ctrl_typevar(inst);
            self.function.dfg.make_inst_results_reusing(copy, controlling, results.into_iter());
            self.maps.insts.insert(inst, copy);
        }
        // The first location that is set becomes the base, so this too is shuffled.
        for (inst, copy) in shuffled(self.maps.insts.clone().into_iter(), rng) {
            let location = original.srcloc(inst);
            if !location.is_default() {
                let moved = location.bits().wrapping_mul(2).wrapping_add(1_000);
                self.function.set_srcloc(copy, SourceLoc::new(moved));
            }
        }
    }

    fn lay_out(&mut self) {
        for block in self.original.layout.blocks() {
            let copy = self.maps.blocks[&block];
            self.function.layout.append_block(copy);
            if self.original.layout.is_cold(block) {
                self.function.layout.set_cold(copy);
            }
            for inst in self.original.layout.block_insts(block) {
                let copied = self.maps.insts[&inst];
                self.function.layout.append_inst(copied, copy);
                for entry in self.original.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
                    let mut entry = entry.clone();
                    entry.slot = self.maps.slots[&entry.slot];
                    self.function.dfg.append_user_stack_map_entry(copied, entry);
                }
                let tags = self.original.debug_tags.get(inst).iter().map(|tag| match tag {
                    ir::DebugTag::StackSlot(slot) => ir::DebugTag::StackSlot(self.maps.slots[slot]),
                    ir::DebugTag::User(value) => ir::DebugTag::User(*value),
                });
                let tags: Vec<_> = tags.collect();
                self.function.debug_tags.set(copied, tags);
            }
        }
        if let Some(labels) = &self.original.dfg.values_labels {
            let mapped = labels.iter().filter_map(|(value, labels)| {
                Some((*self.maps.values.get(value)?, labels.clone()))
            });
            self.function.dfg.values_labels = Some(mapped.collect());
        }
    }
}

struct Mapper<'s, 'a> {
    scrambler: &'s mut Scrambler<'a>,
    /// Refer to values by aliases.
    aliases: bool,
}

impl InstructionMapper for Mapper<'_, '_> {
    fn map_value(&mut self, value: Value) -> Value {
        let value = self.scrambler.original.dfg.resolve_aliases(value);
        let value = self.scrambler.maps.values[&value];
        if !self.aliases {
            return value;
        }
        let dfg = &mut self.scrambler.function.dfg;
        dfg.make_invalid_value_for_parser();
        let alias = Value::new(dfg.num_values() - 1);
        dfg.make_value_alias_for_serialization(value, alias);
        alias
    }

    fn map_value_list(&mut self, list: ValueList) -> ValueList {
        let values = list.as_slice(&self.scrambler.original.dfg.value_lists).to_vec();
        let values: Vec<Value> = values.into_iter().map(|value| self.map_value(value)).collect();
        ValueList::from_slice(&values, &mut self.scrambler.function.dfg.value_lists)
    }

    fn map_global_value(&mut self, value: GlobalValue) -> GlobalValue {
        self.scrambler.maps.globals[&value]
    }

    fn map_jump_table(&mut self, table: JumpTable) -> JumpTable {
        let calls = self.scrambler.original.dfg.jump_tables[table].all_branches().to_vec();
        let calls: Vec<BlockCall> =
            calls.into_iter().map(|call| self.map_block_call(call)).collect();
        let table = JumpTableData::new(calls[0], &calls[1..]);
        self.scrambler.function.dfg.jump_tables.push(table)
    }

    fn map_exception_table(&mut self, table: ExceptionTable) -> ExceptionTable {
        let table = self.scrambler.original.dfg.exception_tables[table].clone();
        let signature = self.map_sig_ref(table.signature());
        let normal_return = self.map_block_call(*table.normal_return());
        let items: Vec<ExceptionTableItem> = table
            .items()
            .map(|item| match item {
                ExceptionTableItem::Tag(tag, call) => {
                    ExceptionTableItem::Tag(tag, self.map_block_call(call))
                }
                ExceptionTableItem::Default(call) => {
                    ExceptionTableItem::Default(self.map_block_call(call))
                }
                ExceptionTableItem::Context(value) => {
                    ExceptionTableItem::Context(self.map_value(value))
                }
            })
            .collect();
        let table = ExceptionTableData::new(signature, normal_return, items);
        self.scrambler.function.dfg.exception_tables.push(table)
    }

    fn map_block_call(&mut self, call: BlockCall) -> BlockCall {
        let pool = &self.scrambler.original.dfg.value_lists;
        let (block, args) = (call.block(pool), call.args(pool).collect::<Vec<_>>());
        let block = self.map_block(block);
        let args: Vec<BlockArg> =
            args.into_iter().map(|arg| arg.map_value(|value| self.map_value(value))).collect();
        self.scrambler.function.dfg.block_call(block, &args)
    }

    fn map_block(&mut self, block: Block) -> Block {
        self.scrambler.maps.blocks[&block]
    }

    fn map_func_ref(&mut self, function: FuncRef) -> FuncRef {
        self.scrambler.maps.functions[&function]
    }

    fn map_sig_ref(&mut self, signature: SigRef) -> SigRef {
        self.scrambler.maps.signatures[&signature]
    }

    fn map_stack_slot(&mut self, slot: StackSlot) -> StackSlot {
        self.scrambler.maps.slots[&slot]
    }

    fn map_dynamic_stack_slot(&mut self, slot: ir::DynamicStackSlot) -> ir::DynamicStackSlot {
        slot
    }

    fn map_constant(&mut self, constant: ir::Constant) -> ir::Constant {
        self.scrambler.maps.constants[&constant]
    }

    fn map_immediate(&mut self, immediate: ir::Immediate) -> ir::Immediate {
        self.scrambler.maps.immediates[&immediate]
    }

    fn map_mem_flags(&mut self, flags: MemFlags) -> MemFlags {
        self.scrambler.maps.mem_flags[&flags]
    }
}
