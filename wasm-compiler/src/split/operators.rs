//! One operator -> its canonical encoding: an opcode, then every immediate by
//! its *name* in wasmparser's list of operators.
//!
//! Invariant: exhaustive by construction. Each name of an immediate is a method
//! of [`Encoder`]; an operator with an immediate of a new name, or of a known
//! name and another type, does not compile. So no index can pass for a number.

use super::constants::{ConstantType, Role};
use super::function::Encoder;
use wasmparser::{
    BlockType, BrTable, Catch, FrameKind, FrameStack, FuncValidator, HeapType, Ieee32, Ieee64,
    MemArg, Ordering, RefType, ResumeTable, TryTable, V128, ValType, ValidatorResources,
    VisitOperator, VisitSimdOperator,
};
use wasmtime_environ::{
    DataIndex, ElemIndex, FuncIndex, GlobalIndex, MemoryIndex, TableIndex, TagIndex, TypeIndex,
};

macro_rules! define_opcodes {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// Operators by their place in wasmparser's list, which is a part of the
        /// fingerprint by wasmparser's version.
        #[derive(Clone, Copy)]
        #[repr(u16)]
        enum Opcode { $($op),* }
    };
}

wasmparser::for_each_operator!(define_opcodes);

/// Validates each operator as it is read, and writes it.
pub(super) struct Visitor<'v, 'e, 'a> {
    pub(super) validator: &'v mut FuncValidator<ValidatorResources>,
    pub(super) encoder: &'v mut Encoder<'e, 'a>,
    /// Where the operator stands in the input.
    pub(super) offset: usize,
}

impl FrameStack for Visitor<'_, '_, '_> {
    fn current_frame(&self) -> Option<FrameKind> {
        self.validator.get_control_frame(0).map(|frame| frame.kind)
    }
}

macro_rules! define_visits {
    ($validator:ident; $(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
            self.validator.$validator(self.offset).$visit($($($arg.clone()),*)?)?;
            let encoder = &mut *self.encoder;
            encoder.opcode(Opcode::$op as u16);
            encoder.accesses_memory = accesses_memory!($op);
            encoder.at = self.offset;
            encoder.is_plain_access = is_plain_access(Opcode::$op);
            operands!(encoder, $op, $($ann)*);
            $($(encoder.$arg($arg.clone());)*)?
            not_covered_proposal!(encoder, $proposal);
            beyond_immediates!(self, $op $($(, $arg)*)?);
            results!(self, $($ann)*);
            Ok(())
        })*
    };
}

/// Proposals whose operators' code is not covered by the facts.
macro_rules! not_covered_proposal {
    ($encoder:ident, stack_switching) => {
        $encoder.not_covered()
    };
    ($encoder:ident, shared_everything_threads) => {
        $encoder.not_covered()
    };
    ($encoder:ident, legacy_exceptions) => {
        $encoder.not_covered()
    };
    ($encoder:ident, custom_descriptors) => {
        $encoder.not_covered()
    };
    ($encoder:ident, $covered:ident) => {};
}

/// The operands that an operator takes.
macro_rules! operands {
    // See below.
    ($encoder:ident, Call, arity custom) => {};
    ($encoder:ident, CallIndirect, arity custom) => {};
    ($encoder:ident, $op:ident, arity custom) => {
        $encoder.other_operands()
    };
    ($encoder:ident, $op:ident, arity $taken:literal -> $given:literal) => {
        $encoder.operands($taken, role(Opcode::$op))
    };
}

/// Those that it gives.
macro_rules! results {
    ($self:ident, arity custom) => {};
    ($self:ident, arity $taken:literal -> $given:literal) => {
        $self.encoder.results($given)
    };
}

/// What a constant can be that is an operand.
const fn role(opcode: Opcode) -> Role {
    use Opcode::{
        I32Add, I32And, I32DivS, I32DivU, I32Eq, I32GeS, I32GeU, I32GtS, I32GtU, I32LeS, I32LeU,
        I32LtS, I32LtU, I32Mul, I32Ne, I32Or, I32RemS, I32RemU, I32Rotl, I32Rotr, I32Shl, I32ShrS,
        I32ShrU, I32Xor, I64Add, I64And, I64DivS, I64DivU, I64Eq, I64GeS, I64GeU, I64GtS, I64GtU,
        I64LeS, I64LeU, I64LtS, I64LtU, I64Mul, I64Ne, I64Or, I64RemS, I64RemU, I64Rotl, I64Rotr,
        I64Shl, I64ShrS, I64ShrU, I64Xor,
    };
    match opcode {
        I32Mul | I32DivS | I32DivU | I32RemS | I32RemU | I32And | I32Or | I32Xor | I32Shl
        | I32ShrS | I32ShrU | I32Rotl | I32Rotr | I64Mul | I64DivS | I64DivU | I64RemS
        | I64RemU | I64And | I64Or | I64Xor | I64Shl | I64ShrS | I64ShrU | I64Rotl | I64Rotr => {
            Role::Number
        }
        I32Add | I64Add => Role::Summand,
        I32Eq | I32Ne | I32LtS | I32LtU | I32GtS | I32GtU | I32LeS | I32LeU | I32GeS | I32GeU
        | I64Eq | I64Ne | I64LtS | I64LtU | I64GtS | I64GtU | I64LeS | I64LeU | I64GeS | I64GeU => {
            Role::Compared
        }
        _ => Role::Address,
    }
}

/// The loads and stores of WebAssembly's first version, whose opcode is one byte.
const fn is_plain_access(opcode: Opcode) -> bool {
    let opcode = opcode as u16;
    Opcode::I32Load as u16 <= opcode && opcode <= Opcode::I64Store32 as u16
}

/// Whether the code of an operator accesses the memory that it names. These leave it
/// to the runtime, which they hand the memory's index.
macro_rules! accesses_memory {
    (MemoryGrow) => {
        false
    };
    (MemoryAtomicNotify) => {
        false
    };
    (MemoryAtomicWait32) => {
        false
    };
    (MemoryAtomicWait64) => {
        false
    };
    ($other:ident) => {
        true
    };
}

/// Facts that an operator uses and that the names of its immediates do not tell.
macro_rules! beyond_immediates {
    // The runtime is handed the function's index.
    ($self:ident, RefFunc, $function:ident) => {
        $self.encoder.keep_constants();
        $self.encoder.raw($function)
    };
    // The runtime is handed the memory's index.
    ($self:ident, MemoryAtomicNotify, $memarg:ident) => {
        $self.encoder.memory_handed_over(MemoryIndex::from_u32($memarg.memory))
    };
    ($self:ident, MemoryAtomicWait32, $memarg:ident) => {
        $self.encoder.memory_handed_over(MemoryIndex::from_u32($memarg.memory))
    };
    ($self:ident, MemoryAtomicWait64, $memarg:ident) => {
        $self.encoder.memory_handed_over(MemoryIndex::from_u32($memarg.memory))
    };
    // The callee's type is checked.
    ($self:ident, CallIndirect, $ty:ident, $table:ident) => {
        let ty = TypeIndex::from_u32($ty);
        $self.encoder.checked_type(ty, TableIndex::from_u32($table));
        $self.encoder.call_operands($self.encoder.facts.interned(ty), 1)
    };
    ($self:ident, ReturnCallIndirect, $ty:ident, $table:ident) => {
        $self.encoder.checked_type(TypeIndex::from_u32($ty), TableIndex::from_u32($table))
    };
    ($self:ident, CallRef, $ty:ident) => {
        $self.encoder.type_in_code($self.encoder.facts.interned(TypeIndex::from_u32($ty)))
    };
    ($self:ident, ReturnCallRef, $ty:ident) => {
        $self.encoder.type_in_code($self.encoder.facts.interned(TypeIndex::from_u32($ty)))
    };
    ($self:ident, Call, $function:ident) => {
        let signature = $self.encoder.facts.signature(FuncIndex::from_u32($function));
        $self.encoder.call_operands(signature, 0)
    };
    ($self:ident, LocalGet, $local:ident) => {
        $self.encoder.local_given($local)
    };
    ($self:ident, LocalTee, $local:ident) => {
        $self.encoder.local_given($local)
    };
    // What they cost depends on an operand.
    ($self:ident, MemoryGrow, $mem:ident) => {
        $self.encoder.bulk_operator(|cost| cost.memory_grow_per_page)
    };
    ($self:ident, MemoryCopy, $dst:ident, $src:ident) => {
        $self.encoder.bulk_operator(|cost| cost.memory_copy_per_byte)
    };
    ($self:ident, MemoryFill, $mem:ident) => {
        $self.encoder.bulk_operator(|cost| cost.memory_fill_per_byte)
    };
    ($self:ident, MemoryInit, $data:ident, $mem:ident) => {
        $self.encoder.bulk_operator(|cost| cost.memory_init_per_byte)
    };
    ($self:ident, TableGrow, $table:ident) => {
        $self.encoder.bulk_operator(|cost| cost.table_grow_per_element)
    };
    ($self:ident, TableCopy, $dst:ident, $src:ident) => {
        $self.encoder.bulk_operator(|cost| cost.table_copy_per_element)
    };
    ($self:ident, TableFill, $table:ident) => {
        $self.encoder.bulk_operator(|cost| cost.table_fill_per_element)
    };
    ($self:ident, TableInit, $elements:ident, $table:ident) => {
        $self.encoder.bulk_operator(|cost| cost.table_init_per_element)
    };
    // The branches that may have a hint.
    ($self:ident, If, $blockty:ident) => {
        $self.encoder.branch_hint($self.offset)
    };
    ($self:ident, BrIf, $depth:ident) => {
        $self.encoder.branch_hint($self.offset)
    };
    ($self:ident, $other:ident $(, $arg:ident)*) => {};
}

macro_rules! define_core_visits {
    ($($operators:tt)*) => { define_visits!(visitor; $($operators)*); };
}

macro_rules! define_simd_visits {
    ($($operators:tt)*) => { define_visits!(simd_visitor; $($operators)*); };
}

impl<'a> VisitOperator<'a> for Visitor<'_, '_, '_> {
    type Output = wasmparser::Result<()>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(define_core_visits);
}

impl<'a> VisitSimdOperator<'a> for Visitor<'_, '_, '_> {
    wasmparser::for_each_visit_simd_operator!(define_simd_visits);
}

/// The methods are named after the immediates.
impl Encoder<'_, '_> {
    fn blockty(&mut self, ty: BlockType) {
        match ty {
            BlockType::Empty => self.out.u8(0),
            BlockType::Type(ty) => {
                self.out.u8(1);
                self.value_type(ty);
            }
            BlockType::FuncType(ty) => {
                self.out.u8(2);
                let ty = self.facts.interned(TypeIndex::from_u32(ty));
                self.type_content(ty);
            }
        }
    }

    fn relative_depth(&mut self, depth: u32) {
        self.raw(depth);
    }

    fn targets(&mut self, targets: BrTable<'_>) {
        self.raw(targets.len());
        self.raw(targets.default());
        for target in targets.targets() {
            match target {
                Ok(target) => self.raw(target),
                // The validator has read them before.
                Err(_) => self.not_covered(),
            }
        }
    }

    fn try_table(&mut self, table: TryTable) {
        let TryTable { ty, catches } = table;
        self.blockty(ty);
        self.out.uleb(catches.len() as u64);
        for catch in catches {
            match catch {
                Catch::One { tag, label } => self.catch(0, Some(tag), label),
                Catch::OneRef { tag, label } => self.catch(1, Some(tag), label),
                Catch::All { label } => self.catch(2, None, label),
                Catch::AllRef { label } => self.catch(3, None, label),
            }
        }
    }

    fn catch(&mut self, kind: u8, tag: Option<u32>, label: u32) {
        self.out.u8(kind);
        self.raw(label);
        if let Some(tag) = tag {
            self.tag_index(tag);
        }
    }

    fn resume_table(&mut self, _: ResumeTable) {
        self.not_covered();
    }

    fn function_index(&mut self, index: u32) {
        self.callee(FuncIndex::from_u32(index));
    }

    /// A callee's type; what the code may hold of it besides is beyond the immediate.
    fn type_index(&mut self, index: u32) {
        let ty = self.facts.interned(TypeIndex::from_u32(index));
        self.type_content(ty);
    }

    /// The runtime may be handed the type's index.
    fn struct_type_index(&mut self, index: u32) {
        let ty = self.facts.interned(TypeIndex::from_u32(index));
        self.type_in_code(ty);
    }

    fn array_type_index(&mut self, index: u32) {
        self.struct_type_index(index);
    }

    fn array_type_index_src(&mut self, index: u32) {
        self.struct_type_index(index);
    }

    fn array_type_index_dst(&mut self, index: u32) {
        self.struct_type_index(index);
    }

    fn cont_type_index(&mut self, _: u32) {
        self.not_covered();
    }

    fn argument_index(&mut self, _: u32) {
        self.not_covered();
    }

    fn result_index(&mut self, _: u32) {
        self.not_covered();
    }

    fn field_index(&mut self, index: u32) {
        self.raw(index);
    }

    fn array_size(&mut self, size: u32) {
        self.raw(size);
    }

    fn table_index(&mut self, index: u32) {
        self.table_use(TableIndex::from_u32(index));
    }

    fn table(&mut self, index: u32) {
        self.table_index(index);
    }

    fn dst_table(&mut self, index: u32) {
        self.table_index(index);
    }

    fn src_table(&mut self, index: u32) {
        self.table_index(index);
    }

    fn mem(&mut self, index: u32) {
        let index = MemoryIndex::from_u32(index);
        self.memory_use(index);
        self.memory_handed_over(index);
    }

    fn dst_mem(&mut self, index: u32) {
        self.mem(index);
    }

    fn src_mem(&mut self, index: u32) {
        self.mem(index);
    }

    fn memarg(&mut self, memarg: MemArg) {
        let MemArg { align, max_align: _, offset, memory } = memarg;
        self.out.u8(align);
        let memory = MemoryIndex::from_u32(memory);
        let offset = self.access_offset(offset, memory);
        self.memory_use(memory);
        self.memory_access(memory, offset);
    }

    fn global_index(&mut self, index: u32) {
        self.global_use(GlobalIndex::from_u32(index));
    }

    fn tag_index(&mut self, index: u32) {
        self.tag_use(TagIndex::from_u32(index));
    }

    fn data_index(&mut self, index: u32) {
        self.data_segment_use(DataIndex::from_u32(index));
    }

    fn array_data_index(&mut self, index: u32) {
        self.data_index(index);
    }

    fn elem_index(&mut self, index: u32) {
        self.facts.element_segment(self.out, ElemIndex::from_u32(index));
    }

    fn array_elem_index(&mut self, index: u32) {
        self.elem_index(index);
    }

    fn local_index(&mut self, index: u32) {
        self.raw(index);
    }

    fn value(&mut self, value: impl Constant) {
        value.encode(self);
    }

    fn lane(&mut self, lane: u8) {
        self.out.u8(lane);
    }

    fn lanes(&mut self, lanes: [u8; 16]) {
        self.out.raw(&lanes);
    }

    fn ordering(&mut self, _: Ordering) {
        self.not_covered();
    }

    fn ty(&mut self, ty: ValType) {
        self.value_type(ty);
    }

    fn tys(&mut self, types: Vec<ValType>) {
        self.out.uleb(types.len() as u64);
        for ty in types {
            self.value_type(ty);
        }
    }

    fn hty(&mut self, ty: HeapType) {
        self.heap_type(ty);
    }

    #[expect(clippy::wrong_self_convention, reason = "named as the operators' immediates are")]
    fn from_ref_type(&mut self, ty: RefType) {
        self.value_type(ValType::Ref(ty));
    }

    #[expect(clippy::wrong_self_convention, reason = "named as the operators' immediates are")]
    fn to_ref_type(&mut self, ty: RefType) {
        self.value_type(ValType::Ref(ty));
    }

    /// A number that reaches the code as it is.
    pub(super) fn raw(&mut self, number: u32) {
        self.out.uleb(u64::from(number));
    }
}

/// The immediates of the constant operators, which all have one name.
trait Constant {
    fn encode(self, encoder: &mut Encoder<'_, '_>);
}

impl Constant for i32 {
    fn encode(self, encoder: &mut Encoder<'_, '_>) {
        encoder.constant(ConstantType::I32, i64::from(self));
    }
}

impl Constant for i64 {
    fn encode(self, encoder: &mut Encoder<'_, '_>) {
        encoder.constant(ConstantType::I64, self);
    }
}

impl Constant for Ieee32 {
    fn encode(self, encoder: &mut Encoder<'_, '_>) {
        encoder.out.u32(self.bits());
    }
}

impl Constant for Ieee64 {
    fn encode(self, encoder: &mut Encoder<'_, '_>) {
        encoder.out.u64(self.bits());
    }
}

impl Constant for V128 {
    fn encode(self, encoder: &mut Encoder<'_, '_>) {
        encoder.out.raw(self.bytes());
    }
}
