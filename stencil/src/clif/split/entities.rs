//! What the body refers to by handle -> tables of definitions.

use super::Uncacheable;
use super::table::{Numbers, Table};
use crate::clif::{
    GLOBAL_IADD_IMM, GLOBAL_LOAD, GLOBAL_SYMBOL, GLOBAL_VM_CONTEXT, NAME_KNOWN_SYMBOL,
    NAME_LIB_CALL, NAME_USER,
};
use crate::function_stencil::StencilWriter;
use crate::parameters::ExternalName;
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{
    self, AbiParam, ArgumentExtension, ArgumentPurpose, ExtFuncData, GlobalValueData,
    StackSlotData, StackSlotKind,
};

/// Global values may refer to one another this many levels deep.
const GLOBAL_VALUE_DEPTH_MAX: u32 = 64;

/// One table for each kind of entity, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Entities {
    pub(super) values: Numbers,
    pub(super) blocks: Numbers,
    /// `UserExternalNameRef`s in order of first use.
    names: Numbers,
    name_order: Vec<u32>,
    signatures: Table,
    functions: Table,
    regions: Numbers,
    region_count: u32,
    mem_flags: Table,
    global_values: Table,
    stack_slots: Table,
    stack_slot_order: Vec<u32>,
    constants: Table,
    immediates: Table,
    scratch: Vec<StencilWriter>,
}

type Number = Result<u32, Uncacheable>;

impl Entities {
    pub(super) fn clear(&mut self, function: &ir::Function) {
        self.values.clear(function.dfg.num_values());
        self.blocks.clear(function.dfg.num_blocks());
        self.names.clear(0);
        self.name_order.clear();
        self.signatures.clear();
        self.functions.clear();
        self.regions.clear(0);
        self.region_count = 0;
        self.mem_flags.clear();
        self.global_values.clear();
        self.stack_slots.clear();
        self.stack_slot_order.clear();
        self.constants.clear();
        self.immediates.clear();
    }

    /// An empty buffer; definitions nest.
    fn scratch(&mut self) -> StencilWriter {
        let mut writer = self.scratch.pop().unwrap_or_default();
        writer.clear();
        writer
    }

    #[inline]
    pub(super) fn signature(&mut self, function: &ir::Function, handle: ir::SigRef) -> Number {
        match self.signatures.numbers.get(handle.index()) {
            Some(number) => Ok(number),
            None => self.new_signature(function, handle),
        }
    }

    fn new_signature(&mut self, function: &ir::Function, handle: ir::SigRef) -> Number {
        let data = function.dfg.signatures.get(handle).ok_or(Uncacheable::Undefined)?;
        let mut definition = self.scratch();
        write_signature(&mut definition, data);
        let number = self.signatures.define(handle.index(), definition.bytes());
        self.scratch.push(definition);
        Ok(number)
    }

    #[inline]
    pub(super) fn function(&mut self, function: &ir::Function, handle: ir::FuncRef) -> Number {
        match self.functions.numbers.get(handle.index()) {
            Some(number) => Ok(number),
            None => self.new_function(function, handle),
        }
    }

    fn new_function(&mut self, function: &ir::Function, handle: ir::FuncRef) -> Number {
        let data = function.dfg.ext_funcs.get(handle).ok_or(Uncacheable::Undefined)?;
        let ExtFuncData { name, signature, colocated, patchable } = data;
        let signature = self.signature(function, *signature)?;
        let mut definition = self.scratch();
        definition.uleb(u64::from(signature));
        self.name(&mut definition, name)?;
        definition.u8(u8::from(*colocated) | u8::from(*patchable) << 1);
        let number = self.functions.define(handle.index(), definition.bytes());
        self.scratch.push(definition);
        Ok(number)
    }

    /// A name: the front end's own by order of first use, the others as such.
    fn name(
        &mut self,
        definition: &mut StencilWriter,
        name: &ir::ExternalName,
    ) -> Result<(), Uncacheable> {
        match name {
            ir::ExternalName::User(handle) => {
                let number = self.names.get(handle.index()).unwrap_or_else(|| {
                    let number = self.name_order.len() as u32;
                    self.names.set(handle.index(), number);
                    self.name_order.push(handle.as_u32());
                    number
                });
                definition.u8(NAME_USER);
                definition.uleb(u64::from(number));
            }
            ir::ExternalName::LibCall(call) => {
                definition.u8(NAME_LIB_CALL);
                definition.uleb(*call as u64);
            }
            ir::ExternalName::KnownSymbol(symbol) => {
                definition.u8(NAME_KNOWN_SYMBOL);
                definition.uleb(*symbol as u64);
            }
            ir::ExternalName::TestCase(_) => return Err(Uncacheable::TestcaseName),
        }
        Ok(())
    }

    #[inline]
    pub(super) fn mem_flags(&mut self, function: &ir::Function, handle: ir::MemFlags) -> Number {
        match self.mem_flags.numbers.get(handle.index()) {
            Some(number) => Ok(number),
            None => self.new_mem_flags(function, handle),
        }
    }

    fn new_mem_flags(&mut self, function: &ir::Function, handle: ir::MemFlags) -> Number {
        if !function.dfg.mem_flags.is_valid(handle) {
            return Err(Uncacheable::Undefined);
        }
        let flags = function.dfg.mem_flags[handle];
        let region = flags.alias_region().map(|region| {
            self.regions.get(region.index()).unwrap_or_else(|| {
                let number = self.region_count;
                self.regions.set(region.index(), number);
                self.region_count += 1;
                number
            })
        });
        let mut definition = self.scratch();
        let endianness = match flags.explicit_endianness() {
            None => 0,
            Some(ir::Endianness::Little) => 1,
            Some(ir::Endianness::Big) => 2,
        };
        definition.u8(u8::from(flags.aligned())
            | u8::from(flags.readonly()) << 1
            | u8::from(flags.can_move()) << 2
            | endianness << 3);
        definition.u8(flags.trap_code().map_or(0, |code| code.as_raw().get()));
        definition.uleb(region.map_or(0, |region| u64::from(region) + 1));
        let number = self.mem_flags.define(handle.index(), definition.bytes());
        self.scratch.push(definition);
        Ok(number)
    }

    pub(super) fn global_value(
        &mut self,
        function: &ir::Function,
        handle: ir::GlobalValue,
    ) -> Number {
        self.global_value_at(function, handle, GLOBAL_VALUE_DEPTH_MAX)
    }

    fn global_value_at(
        &mut self,
        function: &ir::Function,
        handle: ir::GlobalValue,
        depth: u32,
    ) -> Number {
        if let Some(number) = self.global_values.numbers.get(handle.index()) {
            return Ok(number);
        }
        let depth = depth.checked_sub(1).ok_or(Uncacheable::GlobalValueDepth)?;
        let data = function.global_values.get(handle).ok_or(Uncacheable::Undefined)?;
        let mut definition = self.scratch();
        match data {
            GlobalValueData::VMContext => definition.u8(GLOBAL_VM_CONTEXT),
            GlobalValueData::Load { base, offset, global_type, flags } => {
                let base = self.global_value_at(function, *base, depth)?;
                let flags = self.mem_flags(function, *flags)?;
                definition.u8(GLOBAL_LOAD);
                definition.uleb(u64::from(base));
                definition.sleb(i64::from(*offset));
                definition.uleb(global_type.index() as u64);
                definition.uleb(u64::from(flags));
            }
            GlobalValueData::IAddImm { base, offset, global_type } => {
                let base = self.global_value_at(function, *base, depth)?;
                definition.u8(GLOBAL_IADD_IMM);
                definition.uleb(u64::from(base));
                definition.sleb(offset.bits());
                definition.uleb(global_type.index() as u64);
            }
            GlobalValueData::Symbol { name, offset, colocated, tls } => {
                definition.u8(GLOBAL_SYMBOL);
                self.name(&mut definition, name)?;
                definition.sleb(offset.bits());
                definition.u8(u8::from(*colocated) | u8::from(*tls) << 1);
            }
            GlobalValueData::DynScaleTargetConst { .. } => {
                return Err(Uncacheable::DynamicVectors);
            }
        }
        let number = self.global_values.define(handle.index(), definition.bytes());
        self.scratch.push(definition);
        Ok(number)
    }

    pub(super) fn stack_slot(&mut self, function: &ir::Function, handle: ir::StackSlot) -> Number {
        if let Some(number) = self.stack_slots.numbers.get(handle.index()) {
            return Ok(number);
        }
        let data = function.sized_stack_slots.get(handle).ok_or(Uncacheable::Undefined)?;
        let StackSlotData { kind, size, align_shift, key } = data;
        let mut definition = self.scratch();
        definition.u8(match kind {
            StackSlotKind::ExplicitSlot => 0,
            StackSlotKind::ExplicitDynamicSlot => return Err(Uncacheable::DynamicVectors),
        });
        definition.uleb(u64::from(*size));
        definition.u8(*align_shift);
        definition.bool(key.is_some());
        definition.u64(key.map_or(0, |key| key.bits()));
        let number = self.stack_slots.push(definition.bytes());
        self.scratch.push(definition);
        self.stack_slots.numbers.set(handle.index(), number);
        self.stack_slot_order.push(handle.as_u32());
        Ok(number)
    }

    /// Stack slots that nothing in the layout refers to, but that the front end
    /// has given a key: it will look for them in the frame's layout.
    pub(super) fn keyed_stack_slots(&mut self, function: &ir::Function) {
        for (handle, data) in &function.sized_stack_slots {
            if data.key.is_some() && self.stack_slots.numbers.get(handle.index()).is_none() {
                // Of a kind that is refused only when it is used.
                let _ = self.stack_slot(function, handle);
            }
        }
    }

    pub(super) fn constant(&mut self, function: &ir::Function, handle: ir::Constant) -> Number {
        if let Some(number) = self.constants.numbers.get(handle.index()) {
            return Ok(number);
        }
        if handle.index() >= function.dfg.constants.len() {
            return Err(Uncacheable::Undefined);
        }
        let data = function.dfg.constants.get(handle);
        let mut definition = self.scratch();
        definition.uleb(data.len() as u64);
        definition.raw(data.as_slice());
        let number = self.constants.define(handle.index(), definition.bytes());
        self.scratch.push(definition);
        Ok(number)
    }

    pub(super) fn immediate(&mut self, function: &ir::Function, handle: ir::Immediate) -> Number {
        if let Some(number) = self.immediates.numbers.get(handle.index()) {
            return Ok(number);
        }
        let data = function.dfg.immediates.get(handle).ok_or(Uncacheable::Undefined)?;
        let mut definition = self.scratch();
        definition.uleb(data.len() as u64);
        definition.raw(data.as_slice());
        let number = self.immediates.define(handle.index(), definition.bytes());
        self.scratch.push(definition);
        Ok(number)
    }

    /// All tables.
    pub(super) fn write(&self, stencil: &mut StencilWriter) {
        stencil.uleb(self.name_order.len() as u64);
        stencil.uleb(u64::from(self.region_count));
        self.signatures.write(stencil);
        self.functions.write(stencil);
        self.mem_flags.write(stencil);
        self.global_values.write(stencil);
        self.stack_slots.write(stencil);
        self.constants.write(stencil);
        self.immediates.write(stencil);
    }

    pub(super) fn names(&self, function: &ir::Function) -> Result<Vec<ExternalName>, Uncacheable> {
        let names = function.params.user_named_funcs();
        let name = |handle: &u32| {
            let name = names.get(ir::UserExternalNameRef::from_u32(*handle));
            let ir::UserExternalName { namespace, index } = name.ok_or(Uncacheable::Undefined)?;
            Ok(ExternalName { namespace: *namespace, index: *index })
        };
        self.name_order.iter().map(name).collect()
    }

    pub(super) fn name_refs(&self) -> Vec<u32> {
        self.name_order.clone()
    }

    pub(super) fn stack_slots(&self) -> Vec<u32> {
        self.stack_slot_order.clone()
    }
}

/// A signature: calling convention, parameters, results.
pub(super) fn write_signature(stencil: &mut StencilWriter, signature: &ir::Signature) {
    let ir::Signature { params, returns, call_conv } = signature;
    stencil.u8(*call_conv as u8);
    for list in [params, returns] {
        stencil.uleb(list.len() as u64);
        for AbiParam { value_type, purpose, extension } in list {
            stencil.uleb(value_type.index() as u64);
            stencil.u8(match extension {
                ArgumentExtension::None => 0,
                ArgumentExtension::Uext => 1,
                ArgumentExtension::Sext => 2,
            });
            match purpose {
                ArgumentPurpose::Normal => stencil.u8(0),
                ArgumentPurpose::StructReturn => stencil.u8(1),
                ArgumentPurpose::VMContext => stencil.u8(2),
                ArgumentPurpose::StructArgument(size) => {
                    stencil.u8(3);
                    stencil.uleb(u64::from(*size));
                }
            }
        }
    }
}
