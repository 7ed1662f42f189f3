//! The tables of a stencil -> declarations of a function.

use super::Reader;
use crate::clif::numbers::{call_conv_of, known_symbol_of, lib_call_of};
use crate::clif::{
    GLOBAL_IADD_IMM, GLOBAL_LOAD, GLOBAL_SYMBOL, GLOBAL_VM_CONTEXT, NAME_KNOWN_SYMBOL,
    NAME_LIB_CALL, NAME_USER,
};
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{
    self, AbiParam, ArgumentExtension, ArgumentPurpose, ConstantData, Endianness, ExtFuncData,
    GlobalValueData, MemFlagsData, StackSlotData, StackSlotKey, StackSlotKind, TrapCode,
};
use std::num::NonZeroU8;

/// What each number stands for. Kinds that the function keeps in the order in
/// which they are declared need their count alone.
pub(super) struct Entities {
    names: Vec<ir::UserExternalNameRef>,
    regions: Vec<ir::AliasRegion>,
    signatures: u32,
    functions: u32,
    mem_flags: Vec<ir::MemFlags>,
    global_values: u32,
    stack_slots: u32,
    constants: Vec<ir::Constant>,
    immediates: u32,
}

impl Entities {
    pub(super) fn read(reader: &mut Reader<'_>, function: &mut ir::Function) -> Option<Self> {
        let mut entities = Self {
            names: Vec::new(),
            regions: Vec::new(),
            signatures: 0,
            functions: 0,
            mem_flags: Vec::new(),
            global_values: 0,
            stack_slots: 0,
            constants: Vec::new(),
            immediates: 0,
        };
        let (names, regions) = (reader.entities()?, reader.entities()?);
        for index in 0..names {
            let name = ir::UserExternalName::new(0, index);
            entities.names.push(function.declare_imported_user_function(name));
        }
        for user_id in 0..regions {
            let region = ir::AliasRegionData { user_id, description: "".into() };
            entities.regions.push(function.dfg.alias_regions.insert(region));
        }
        for _ in 0..reader.entities()? {
            let signature = reader.signature()?;
            function.import_signature(signature);
            entities.signatures += 1;
        }
        for _ in 0..reader.entities()? {
            let data = entities.ext_func(reader)?;
            function.import_function(data);
            entities.functions += 1;
        }
        for _ in 0..reader.entities()? {
            let flags = entities.flags(reader)?;
            entities.mem_flags.push(function.dfg.mem_flags.insert(flags).ok()?);
        }
        for _ in 0..reader.entities()? {
            let data = entities.global_value_data(reader)?;
            function.create_global_value(data);
            entities.global_values += 1;
        }
        for _ in 0..reader.entities()? {
            let data = stack_slot_data(reader)?;
            function.create_sized_stack_slot(data);
            entities.stack_slots += 1;
        }
        for _ in 0..reader.entities()? {
            let data = ConstantData::from(reader.counted()?);
            entities.constants.push(function.dfg.constants.insert(data));
        }
        for _ in 0..reader.entities()? {
            function.dfg.immediates.push(ConstantData::from(reader.counted()?));
            entities.immediates += 1;
        }
        Some(entities)
    }

    fn name(&self, reader: &mut Reader<'_>) -> Option<ir::ExternalName> {
        let kind = reader.u8()?;
        let number = reader.uleb32()?;
        Some(match kind {
            NAME_USER => ir::ExternalName::user(*self.names.get(number as usize)?),
            NAME_LIB_CALL => ir::ExternalName::LibCall(lib_call_of(number)?),
            NAME_KNOWN_SYMBOL => ir::ExternalName::KnownSymbol(known_symbol_of(number)?),
            _ => return None,
        })
    }

    fn ext_func(&self, reader: &mut Reader<'_>) -> Option<ExtFuncData> {
        let signature = ir::SigRef::from_u32(reader.below(self.signatures)?);
        let name = self.name(reader)?;
        let flags = reader.u8().filter(|flags| *flags < 4)?;
        Some(ExtFuncData { name, signature, colocated: flags & 1 != 0, patchable: flags & 2 != 0 })
    }

    fn flags(&self, reader: &mut Reader<'_>) -> Option<MemFlagsData> {
        let bits = reader.u8()?;
        let trap_code = NonZeroU8::new(reader.u8()?).map(TrapCode::from_raw);
        let region = match reader.uleb32()? {
            0 => None,
            region => Some(*self.regions.get(region as usize - 1)?),
        };
        let mut flags = MemFlagsData::new().with_trap_code(trap_code).with_alias_region(region);
        if bits & 1 != 0 {
            flags.set_aligned();
        }
        if bits & 2 != 0 {
            flags.set_readonly();
        }
        if bits & 4 != 0 {
            flags = flags.with_can_move();
        }
        match bits >> 3 {
            0 => {}
            1 => flags.set_endianness(Endianness::Little),
            2 => flags.set_endianness(Endianness::Big),
            _ => return None,
        }
        Some(flags)
    }

    fn global_value_data(&self, reader: &mut Reader<'_>) -> Option<GlobalValueData> {
        Some(match reader.u8()? {
            GLOBAL_VM_CONTEXT => GlobalValueData::VMContext,
            GLOBAL_LOAD => {
                let base = reader.uleb32()?;
                GlobalValueData::Load {
                    base: self.global_value(base)?,
                    offset: reader.sleb32()?.into(),
                    global_type: reader.ty()?,
                    flags: self.mem_flags(reader)?,
                }
            }
            GLOBAL_IADD_IMM => {
                let base = reader.uleb32()?;
                GlobalValueData::IAddImm {
                    base: self.global_value(base)?,
                    offset: reader.sleb()?.into(),
                    global_type: reader.ty()?,
                }
            }
            GLOBAL_SYMBOL => {
                let name = self.name(reader)?;
                let offset = reader.sleb()?.into();
                let flags = reader.u8().filter(|flags| *flags < 4)?;
                GlobalValueData::Symbol {
                    name,
                    offset,
                    colocated: flags & 1 != 0,
                    tls: flags & 2 != 0,
                }
            }
            _ => return None,
        })
    }

    pub(super) fn global_value(&self, number: u32) -> Option<ir::GlobalValue> {
        (number < self.global_values).then(|| ir::GlobalValue::from_u32(number))
    }

    pub(super) fn function(&self, reader: &mut Reader<'_>) -> Option<ir::FuncRef> {
        reader.below(self.functions).map(ir::FuncRef::from_u32)
    }

    pub(super) fn signature(&self, reader: &mut Reader<'_>) -> Option<ir::SigRef> {
        reader.below(self.signatures).map(ir::SigRef::from_u32)
    }

    pub(super) fn mem_flags(&self, reader: &mut Reader<'_>) -> Option<ir::MemFlags> {
        self.mem_flags.get(reader.uleb32()? as usize).copied()
    }

    pub(super) fn stack_slot(&self, number: u32) -> Option<ir::StackSlot> {
        (number < self.stack_slots).then(|| ir::StackSlot::from_u32(number))
    }

    pub(super) fn constant(&self, reader: &mut Reader<'_>) -> Option<ir::Constant> {
        self.constants.get(reader.uleb32()? as usize).copied()
    }

    pub(super) fn immediate(&self, reader: &mut Reader<'_>) -> Option<ir::Immediate> {
        reader.below(self.immediates).map(|number| ir::Immediate::new(number as usize))
    }
}

fn stack_slot_data(reader: &mut Reader<'_>) -> Option<StackSlotData> {
    if reader.u8()? != 0 {
        return None;
    }
    let (size, align_shift) = (reader.uleb32()?, reader.u8()?);
    let has_key = reader.bool()?;
    let key = u64::from_le_bytes(reader.raw()?);
    let mut data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, align_shift);
    data.key = has_key.then(|| StackSlotKey::new(key));
    Some(data)
}

impl Reader<'_> {
    /// How many follow: never more than there are bytes left, but for names and
    /// regions, which have none and are bounded all the same.
    fn entities(&mut self) -> Option<u32> {
        self.uleb32().filter(|count| *count as usize <= self.bytes.len())
    }

    pub(super) fn signature(&mut self) -> Option<ir::Signature> {
        let mut signature = ir::Signature::new(call_conv_of(self.u8()?)?);
        for _ in 0..self.entities()? {
            signature.params.push(self.abi_param()?);
        }
        for _ in 0..self.entities()? {
            signature.returns.push(self.abi_param()?);
        }
        Some(signature)
    }

    fn abi_param(&mut self) -> Option<AbiParam> {
        let value_type = self.ty()?;
        let extension = match self.u8()? {
            0 => ArgumentExtension::None,
            1 => ArgumentExtension::Uext,
            2 => ArgumentExtension::Sext,
            _ => return None,
        };
        let purpose = match self.u8()? {
            0 => ArgumentPurpose::Normal,
            1 => ArgumentPurpose::StructReturn,
            2 => ArgumentPurpose::VMContext,
            3 => ArgumentPurpose::StructArgument(self.uleb32()?),
            _ => return None,
        };
        Some(AbiParam { value_type, purpose, extension })
    }
}
