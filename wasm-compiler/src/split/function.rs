//! One WebAssembly function -> its stencil and parameters, in one pass that also
//! validates the body.

use super::constants::{
    CONSTANTS_MAX, ConstantType, Constants, OFFSET_MAX, Offset, Role, Uses, offset_at,
};
use super::facts::{Callee, ModuleFacts, Sink};
use super::operators;
use crate::error::CompileError;
use crate::input::validator;
use crate::layout::Layout;
use crate::pieces::external_name;
use stencil::{FunctionParameters, FunctionStencil, SourceLocations, StencilKind, StencilWriter};
use wasmparser::{BranchHint, FuncValidatorAllocations, HeapType, UnpackedIndex, ValType};
use wasmtime_environ::{
    DataIndex, DefinedFuncIndex, EntityRef, FuncIndex, FunctionBodyData, GlobalIndex, MemoryIndex,
    ModuleInternedTypeIndex, TableIndex, TagIndex, TypeIndex, VariableOperatorCost, WasmHeapType,
};

/// Splits the functions of one module, one after another.
pub(super) struct Splitter<'a> {
    facts: &'a ModuleFacts<'a, 'a>,
    writer: StencilWriter,
    allocations: Option<FuncValidatorAllocations>,
    ordinals: LocalOrdinals,
    constants: Constants,
}

/// A split function.
pub(super) struct Split<'a> {
    /// `None` if the facts do not cover what the function does.
    pub(super) stencil: Option<FunctionStencil<'a>>,
    pub(super) parameters: FunctionParameters,
    pub(super) layout: Layout,
    /// What of the body is a parameter.
    pub(super) uses: Uses,
}

impl<'a> Splitter<'a> {
    pub(super) fn new(facts: &'a ModuleFacts<'a, 'a>) -> Self {
        Self {
            facts,
            writer: StencilWriter::new(),
            allocations: None,
            ordinals: LocalOrdinals::new(facts),
            constants: Constants::default(),
        }
    }

    /// Validates one body and splits it.
    pub(super) fn split(
        &mut self,
        function: DefinedFuncIndex,
        data: &FunctionBodyData<'_>,
    ) -> Result<Split<'_>, CompileError> {
        let facts = self.facts;
        let body = &data.body;
        let allocations = self.allocations.take().unwrap_or_default();
        let mut validator = validator(data).into_validator(allocations);
        self.writer.clear();
        self.ordinals.start();
        let index = facts.translation.module.func_index(function);
        self.constants.start(facts.constants_are_parameters(index));
        let mut reader = body.get_binary_reader();
        let base = reader.original_position();
        let mut encoder = Encoder {
            facts,
            out: &mut self.writer,
            ordinals: &mut self.ordinals,
            constants: &mut self.constants,
            parameters: FunctionParameters::default(),
            layout: Layout::default(),
            covered: facts.cacheable,
            accesses_memory: true,
            at: 0,
            is_plain_access: false,
            has_references: false,
            values: 0,
            hints: BranchHints::of(facts, index),
            body: body.as_bytes(),
            base,
        };
        let signature = facts.signature(index);
        encoder.kind_of_constants();
        encoder.type_content(signature);
        if facts.may_return_through_memory(signature) {
            encoder.layout.make_opaque();
        }

        let at = |offset: usize| u32::try_from(offset).map_err(CompileError::wasmtime);
        let mut source = SourceLocations::starting_at(at(base)?, reader.bytes_remaining());
        // A function's locals are declared in groups, each of which is zeroed by
        // one instruction of its own: the groups are a part of the stencil.
        let groups = reader.read_var_u32()?;
        encoder.raw(groups);
        for _ in 0..groups {
            let offset = reader.original_position();
            source.push(at(offset)?);
            let count = reader.read_var_u32()?;
            encoder.values = encoder.values.saturating_add(count as usize);
            let ty: ValType = reader.read()?;
            validator.define_locals(offset, count, ty)?;
            encoder.raw(count);
            encoder.value_type(ty);
        }

        let mut visitor =
            operators::Visitor { validator: &mut validator, encoder: &mut encoder, offset: base };
        while !reader.eof() {
            let offset = reader.original_position();
            source.push(at(offset)?);
            visitor.offset = offset;
            visitor.encoder.values += 1;
            reader.visit_operator(&mut visitor)??;
        }
        reader.finish_expression(&visitor)?;

        source.shrink_to_fit();
        let too_many_values = encoder.has_references && encoder.values > REFERENCES_MAX;
        if encoder.ordinals.entities() > ENTITIES_MAX || too_many_values {
            encoder.keep_constants();
        }
        let Encoder { mut parameters, layout, covered, .. } = encoder;
        let uses = self.constants.finish(&mut self.writer, &mut parameters.numbers);
        self.allocations = Some(validator.into_allocations());
        parameters.source = source;
        Ok(Split {
            stencil: covered.then(|| self.writer.stencil(StencilKind::WasmFunction)),
            parameters,
            layout,
            uses,
        })
    }
}

/// Writes one function's stencil and notes its parameters.
pub(super) struct Encoder<'e, 'a> {
    pub(super) facts: &'a ModuleFacts<'a, 'a>,
    pub(super) out: &'e mut StencilWriter,
    ordinals: &'e mut LocalOrdinals,
    constants: &'e mut Constants,
    parameters: FunctionParameters,
    layout: Layout,
    covered: bool,
    /// Whether the operator that is being written accesses the memory that it names.
    pub(super) accesses_memory: bool,
    /// Whether it is a load or a store of WebAssembly's first version.
    pub(super) is_plain_access: bool,
    /// Whether values may be references that are collected.
    has_references: bool,
    /// Not less than there are values: a local has one at a time, and an operator gives what its
    /// types name, or one.
    values: usize,
    /// Where the operator stands that is being written, in the input.
    pub(super) at: usize,
    hints: BranchHints<'a>,
    /// The body, and where it starts in the input.
    body: &'e [u8],
    base: usize,
}

/// The constants of a function that uses more entities or types are in the key. Cranelift tells
/// 2^16 - 1 regions of memory apart in one function; an entity is at most four of them, and each
/// placeholder one.
pub(super) const ENTITIES_MAX: u32 = 1 << 13;

/// So are those of a function that has collected references, if it has more values than these
/// at once: each has a region where it is while a call is made.
const REFERENCES_MAX: usize = 1 << 13;

// Some are left for what every function has.
const _: () = assert!(4 * ENTITIES_MAX as usize + REFERENCES_MAX + CONSTANTS_MAX < 60_000);

/// The first of the opcodes that take two bytes.
const WIDE_OPCODES: u16 = 0xf0;

impl Encoder<'_, '_> {
    /// The facts do not cover what this function does: it is compiled afresh.
    pub(super) fn not_covered(&mut self) {
        self.covered = false;
    }

    /// Writes whether constants stand behind the operators, if that is not the same for
    /// all functions of a configuration.
    fn kind_of_constants(&mut self) {
        if self.facts.is_relocatable {
            self.out.bool(self.constants.is_enabled());
        }
    }

    /// Where the operator that is being written stands in the body. A body has at most
    /// 7,654,321 bytes (wasmparser's limit).
    fn at_in_body(&self) -> u32 {
        (self.at - self.base) as u32
    }

    /// The operator takes so many operands; what constants among them can be.
    pub(super) fn operands(&mut self, taken: usize, role: Role) {
        if self.constants.is_enabled() {
            self.constants.take(taken, role);
        }
    }

    /// The operator gives what a local holds.
    pub(super) fn local_given(&mut self, local: u32) {
        if self.constants.is_enabled() {
            self.constants.local(local);
        }
    }

    /// The operator has been written, and gives so many operands.
    pub(super) fn results(&mut self, given: usize) {
        if self.constants.is_enabled() {
            self.constants.give(given);
        }
    }

    /// The operator does something else to the operands.
    pub(super) fn other_operands(&mut self) {
        if self.constants.is_enabled() {
            self.constants.forget_operands();
        }
    }

    /// A call takes its function's parameters, and gives its results.
    pub(super) fn call_operands(&mut self, ty: ModuleInternedTypeIndex, callee: usize) {
        if self.constants.is_enabled() {
            let (parameters, results) = self.facts.arity(ty);
            self.values += results;
            self.constants.take(callee + parameters, Role::Address);
            self.constants.give(results);
        }
    }

    /// An operand has a type that is known by the number that it has in the module's
    /// validator. A body with parameters for constants is validated by another one.
    pub(super) fn keep_constants(&mut self) {
        self.constants.keep();
    }

    /// An operator whose cost depends on an operand.
    pub(super) fn bulk_operator(&mut self, cost: fn(&VariableOperatorCost) -> u8) {
        if self.facts.constants_decide_checks(cost) {
            self.keep_constants();
        }
    }

    /// A constant, which stands here or behind the operators.
    pub(super) fn constant(&mut self, ty: ConstantType, value: i64) {
        if self.constants.is_enabled() {
            // Its operator is one byte.
            let named = self.facts.names(|| self.at + 1);
            self.constants.constant(self.at_in_body(), (ty, value), named);
        } else {
            self.out.sleb(value);
        }
    }

    /// The offset of an access of a memory; gives the largest that it may be where code is
    /// generated, with placeholders or without.
    pub(super) fn access_offset(&mut self, offset: u64, memory: MemoryIndex) -> u64 {
        const IN_KEY: u8 = 0;
        const IN_CONSTANT: u8 = 1;
        const PARAMETER: u8 = 2;
        if !self.constants.is_enabled() {
            self.out.uleb(offset);
            return offset;
        }
        let at = self.at_in_body();
        let place = || offset_at(self.body, at).map_or(0, |(place, _)| place.start);
        let named = self.is_plain_access && self.facts.names(|| self.base + place());
        if !named {
            self.constants.accessed(offset);
        }
        let use_of_offset = match self.is_plain_access {
            true => {
                let is_free = self.facts.offsets_are_free(memory);
                let can_fold = self.facts.can_be_in_bounds(memory, offset);
                self.constants.access(at, (offset, named), can_fold, is_free)
            }
            false => Offset::InKey,
        };
        match use_of_offset {
            Offset::InKey => {
                self.constants.keep_offset(offset);
                self.out.u8(IN_KEY);
                self.out.uleb(offset);
                offset
            }
            Offset::InConstant => {
                self.out.u8(IN_CONSTANT);
                // Tells what the offset would tell: whether the size follows.
                self.out.bool(self.facts.minimum_matters(memory, offset));
                offset
            }
            Offset::Parameter(ordinal) => {
                self.out.u8(PARAMETER);
                self.out.uleb(u64::from(ordinal));
                OFFSET_MAX
            }
        }
    }

    /// Writes the hint of the branch at an offset in the input.
    pub(super) fn branch_hint(&mut self, offset: usize) {
        let hint = self.hints.take(offset - self.base);
        self.out.u8(hint);
    }

    pub(super) fn opcode(&mut self, opcode: u16) {
        if opcode < WIDE_OPCODES {
            self.out.u8(opcode as u8);
        } else {
            let wide = opcode - WIDE_OPCODES;
            self.out.u8(WIDE_OPCODES as u8 | (wide >> 8) as u8);
            self.out.u8(wide as u8);
        }
    }

    /// Writes an entity's local ordinal; true at its first use, when its facts
    /// are to follow.
    fn ordinal(&mut self, class: Class, index: usize) -> bool {
        let (ordinal, first) = self.ordinals.of(class, index);
        if first {
            self.out.u8(0);
        } else {
            self.out.uleb(u64::from(ordinal) + 1);
        }
        first
    }

    /// A type of which the code holds at most the content.
    pub(super) fn type_content(&mut self, ty: ModuleInternedTypeIndex) {
        // What they decide is whether constants are parameters.
        if self.constants.is_enabled() {
            let (values, has_references) = self.facts.values_named(ty);
            self.values += values;
            self.has_references |= has_references;
        }
        if self.ordinal(Class::Type, ty.index()) {
            self.facts.type_content(self.out, ty);
        }
    }

    /// A type whose interned index the code may hold in any form.
    pub(super) fn type_in_code(&mut self, ty: ModuleInternedTypeIndex) {
        self.raw(ty.as_u32());
        self.type_content(ty);
        if self.ordinals.of(Class::TypeInCode, ty.index()).1 {
            self.layout.add_known(self.facts.type_id_span(ty));
        }
    }

    /// The type that a table's functions are called with. Where the table says
    /// nothing about its functions' types, the code loads the type's id.
    pub(super) fn checked_type(&mut self, ty: TypeIndex, table: TableIndex) {
        let ty = self.facts.interned(ty);
        let elements = self.facts.translation.module.tables[table].ref_type.heap_type;
        if elements != WasmHeapType::Func {
            self.type_in_code(ty);
        } else if self.ordinal(Class::TypeId, ty.index()) {
            self.facts.type_id(&mut self.sink(), ty);
        }
    }

    fn sink(&mut self) -> Sink<'_> {
        Sink { out: self.out, layout: &mut self.layout, values: &mut self.parameters.numbers }
    }

    pub(super) fn value_type(&mut self, ty: ValType) {
        match ty {
            ValType::I32 => self.out.u8(0),
            ValType::I64 => self.out.u8(1),
            ValType::F32 => self.out.u8(2),
            ValType::F64 => self.out.u8(3),
            ValType::V128 => self.out.u8(4),
            ValType::Ref(ty) => {
                self.out.u8(if ty.is_nullable() { 5 } else { 6 });
                self.heap_type(ty.heap_type());
            }
        }
    }

    pub(super) fn heap_type(&mut self, ty: HeapType) {
        self.has_references = true;
        match ty {
            HeapType::Abstract { shared, ty } => {
                self.out.u8(0);
                self.out.bool(shared);
                self.out.u8(ty as u8);
            }
            HeapType::Concrete(UnpackedIndex::Module(index)) => {
                self.keep_constants();
                self.out.u8(1);
                let ty = self.facts.interned(TypeIndex::from_u32(index));
                self.type_in_code(ty);
            }
            _ => self.not_covered(),
        }
    }

    pub(super) fn callee(&mut self, function: FuncIndex) {
        if !self.ordinal(Class::Function, function.index()) {
            return;
        }
        let signature = self.facts.signature(function);
        self.type_content(signature);
        if let Callee::Direct(key) = self.facts.callee(&mut self.sink(), function) {
            // Two imports of a component's module may be the same function.
            let name = external_name(key);
            let callees = &mut self.parameters.callees;
            let known = if function.index() < self.facts.translation.module.num_imported_funcs {
                callees.iter().position(|callee| *callee == name)
            } else {
                None
            };
            let at = known.unwrap_or_else(|| {
                callees.push(name);
                callees.len() - 1
            });
            self.raw(at as u32);
        }
    }

    pub(super) fn memory_use(&mut self, memory: MemoryIndex) {
        if self.ordinal(Class::Memory, memory.index()) {
            self.facts.memory(self.out, memory);
        }
        // What an import is has to be loaded even to grow it.
        let is_found = self.accesses_memory || self.facts.is_imported_memory(memory);
        if is_found && self.ordinals.of(Class::MemoryLayout, memory.index()).1 {
            self.facts.memory_layout(&mut self.sink(), memory);
        }
    }

    /// An access at a constant offset from an index.
    pub(super) fn memory_access(&mut self, memory: MemoryIndex, offset: u64) {
        if self.facts.minimum_matters(memory, offset)
            && self.ordinals.of(Class::MemoryMinimum, memory.index()).1
        {
            self.facts.memory_minimum(self.out, memory);
        }
    }

    pub(super) fn memory_handed_over(&mut self, memory: MemoryIndex) {
        self.facts.memory_index(self.out, memory);
    }

    pub(super) fn global_use(&mut self, global: GlobalIndex) {
        let ty = self.facts.translation.module.globals[global].wasm_ty;
        self.has_references |= ty.is_vmgcref_type();
        if self.ordinal(Class::Global, global.index()) {
            self.facts.global(&mut self.sink(), global);
        }
    }

    pub(super) fn data_segment_use(&mut self, segment: DataIndex) {
        let Some(segment) = self.facts.translation.runtime_data_map[segment] else {
            self.out.u8(0);
            return;
        };
        self.out.u8(1);
        if self.ordinal(Class::RuntimeData, segment.index()) {
            self.facts.runtime_data(&mut self.sink(), segment);
        }
    }

    pub(super) fn table_use(&mut self, table: TableIndex) {
        let ty = self.facts.translation.module.tables[table].ref_type;
        self.has_references |= ty.is_vmgcref_type();
        if self.ordinal(Class::Table, table.index()) {
            let loads_size = self.constants.is_enabled();
            if loads_size {
                self.constants.table(self.facts.fixed_table_size(table));
            }
            self.facts.table(&mut self.sink(), table, loads_size);
        }
    }

    pub(super) fn tag_use(&mut self, tag: TagIndex) {
        if self.ordinal(Class::Tag, tag.index()) {
            self.facts.tag(&mut self.sink(), tag);
            for ty in self.facts.tag_types(tag) {
                self.type_in_code(ty);
            }
        }
    }
}

/// What ordinals are counted for, each kind by itself.
#[derive(Clone, Copy)]
enum Class {
    Type,
    TypeId,
    TypeInCode,
    Function,
    Memory,
    MemoryLayout,
    MemoryMinimum,
    Global,
    Table,
    Tag,
    RuntimeData,
}

const CLASSES: usize = 11;

/// The order of first use of a function's entities. A function's ordinals are
/// forgotten by counting up, not by clearing.
struct LocalOrdinals {
    function: u32,
    next: [u32; CLASSES],
    /// For each entity: the function that used it last, and its ordinal there.
    seen: [Vec<(u32, u32)>; CLASSES],
}

impl LocalOrdinals {
    fn new(facts: &ModuleFacts<'_, '_>) -> Self {
        let module = &facts.translation.module;
        let sizes: [usize; CLASSES] = [
            facts.type_count(),
            facts.type_count(),
            facts.type_count(),
            module.functions.len(),
            module.memories.len(),
            module.memories.len(),
            module.memories.len(),
            module.globals.len(),
            module.tables.len(),
            module.tags.len(),
            module.runtime_data.len(),
        ];
        Self { function: 0, next: [0; CLASSES], seen: sizes.map(|size| vec![(0, 0); size]) }
    }

    fn start(&mut self) {
        self.function += 1;
        self.next = [0; CLASSES];
    }

    /// How many entities the function has used, and types.
    fn entities(&self) -> u32 {
        let classes = [
            Class::Type,
            Class::Function,
            Class::Memory,
            Class::Global,
            Class::Table,
            Class::Tag,
            Class::RuntimeData,
        ];
        classes.into_iter().map(|class| self.next[class as usize]).sum()
    }

    /// An entity's ordinal, and whether this is its first use.
    fn of(&mut self, class: Class, index: usize) -> (u32, bool) {
        let class = class as usize;
        let seen = &mut self.seen[class][index];
        if seen.0 == self.function {
            return (seen.1, false);
        }
        *seen = (self.function, self.next[class]);
        self.next[class] += 1;
        (seen.1, true)
    }
}

/// The hints of one function, in the order in which Wasmtime takes them
/// (`func_environ.rs`, `take_branch_hint`).
struct BranchHints<'a> {
    hints: Option<std::iter::Peekable<wasmparser::SectionLimitedIntoIter<'a, BranchHint>>>,
}

impl<'a> BranchHints<'a> {
    fn of(facts: &ModuleFacts<'_, 'a>, function: FuncIndex) -> Self {
        let hints = facts.translation.branch_hints(function);
        Self { hints: hints.map(|hints| hints.into_iter().peekable()) }
    }

    /// The hint for the branch at an offset in the body: 0 none, 1 not taken, 2
    /// taken, 3 one that cannot be read.
    fn take(&mut self, offset: usize) -> u8 {
        let Some(hints) = &mut self.hints else {
            return 0;
        };
        loop {
            match hints.peek() {
                None => return 0,
                Some(Err(_)) => {
                    self.hints = None;
                    return 3;
                }
                Some(Ok(hint)) => {
                    let BranchHint { func_offset, taken } = *hint;
                    let at = func_offset as usize;
                    if at > offset {
                        return 0;
                    }
                    hints.next();
                    if at == offset {
                        return 1 + u8::from(taken);
                    }
                }
            }
        }
    }
}
