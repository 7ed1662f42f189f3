//! A module's entities -> the facts about each that can reach machine code.
//!
//! Invariants:
//! - a fact is resolved: an offset into the VMContext is the number that the code will
//!   hold, never what it is computed from; where code is understood it is a parameter, and
//!   its size is written;
//! - what is written can be read back: whether something follows is said by what stands
//!   before it, and never by what is a parameter;
//! - structs whose fields are all public are taken apart without `..`, so that a
//!   new field breaks the build and not the cache;
//! - of a type, everything is written as Wasmtime serialises it, with the
//!   interned indices of the types that it names. This is more than exact code
//!   needs (`docs/key-inputs.md`).

use super::constants::{OFFSET_MAX, VALUE_MIN};
use super::relocations::Relocations;
use crate::codegen::sites::Base;
use crate::layout::Layout;
use crate::settings::{Settings, Stencils};
use stencil::StencilWriter;
use wasmparser::Operator;
use wasmtime_environ::PtrSize as _;
use wasmtime_environ::{
    ElemIndex, EntityRef, FactInlineIntrinsic, FuncIndex, FuncKey, FunctionType, Global,
    GlobalConstValue, GlobalIndex, KnownFunc, Limits, Memory, MemoryIndex, MemoryKind,
    MemoryTunables, Module, ModuleInternedTypeIndex, ModuleTranslation, ModuleTypesBuilder,
    RuntimeDataIndex, Table, TableIndex, Tag, TagIndex, Tunables, TypeIndex, TypeTrace, VMOffsets,
    VariableOperatorCost, WasmCompositeInnerType, WasmSubType, WasmValType,
};

/// Alias regions of globals, memories and tables are told apart by 18 bits of index, those of
/// modules by 8 bits (`alias_region.rs`, `user_id`); beyond them regions of a
/// component's modules may merge, which no stencil can tell.
const REGION_MODULE_INDEX_MAX: u32 = 0xff;
const REGION_ENTITY_INDEX_MAX: usize = 1 << 18;

/// Regions of the `VMContext` are told apart by 26 bits of offset.
const REGION_OFFSET_MAX: u32 = 1 << 26;

/// The facts of one core module.
pub(super) struct ModuleFacts<'a, 'data> {
    pub(super) translation: &'a ModuleTranslation<'data>,
    pub(super) tunables: &'a Tunables,
    offsets: VMOffsets<u8>,
    interned: &'a ModuleTypesBuilder,
    /// Wasmtime's serialisation of each interned type.
    types: Vec<Vec<u8>>,
    pub(super) cacheable: bool,
    /// Whether the layout is a parameter, and not in the key.
    layout_is_parameter: bool,
    /// Whether stencils are relocatable: constants may be parameters.
    pub(super) is_relocatable: bool,
    /// What the linker has named as addresses, if it has left that.
    relocations: Option<Relocations>,
    /// Whether a constant uses as much fuel as what is in its place.
    constants_cost_as_reads: bool,
    /// Whether operands have types that any validator knows.
    types_are_plain: bool,
    has_room_for_placeholders: bool,
}

/// No operator accesses more bytes at once.
const ACCESS_BYTES_MAX: u64 = 16;

/// Where facts go to: the key, and the parameters.
pub(super) struct Sink<'s> {
    pub(super) out: &'s mut StencilWriter,
    pub(super) layout: &'s mut Layout,
    pub(super) values: &'s mut Vec<u32>,
}

/// Whether alias regions are told apart, as stencils take for granted.
///
/// `globals_len` is what counts for its globals. Every field of `Module` stands here, so that
/// a new one breaks the build until it is known what of it reaches machine code.
fn region_ids_fit(module: &Module, globals_len: usize) -> bool {
    let Module {
        module_index,
        // Read by the facts below, entity by entity.
        memories,
        tables,
        globals: _,
        global_initializers: _,
        functions: _,
        tags: _,
        types: _,
        exports: _,
        // The counts are in the VMContext's offsets, and tell what is imported.
        num_imported_funcs: _,
        num_imported_tables: _,
        num_imported_memories: _,
        num_imported_globals: _,
        num_imported_tags: _,
        num_escaped_funcs: _,
        runtime_data: _,
        // In the offsets as well, by whether there is one; the function itself is never
        // cached.
        startup: _,
        // Names are a part of symbols and of the artifact's tables.
        strings: _,
        name: _,
        initializers: _,
        // What the runtime and the startup function fill in; no other function reads it.
        table_initialization: _,
        memory_initialization: _,
        passive_elements: _,
        // Comes out of code generation, and is a part of entries.
        needs_gc_heap: _,
    } = module;
    module_index.as_u32() == 0
        || (module_index.as_u32() <= REGION_MODULE_INDEX_MAX
            && globals_len < REGION_ENTITY_INDEX_MAX
            && memories.len() < REGION_ENTITY_INDEX_MAX
            && tables.len() < REGION_ENTITY_INDEX_MAX)
}

/// A module has at most so many globals (wasmparser's limit).
const GLOBALS_MAX: usize = 1_000_000;

/// And gets at most so many more while functions with constants are compiled.
pub(crate) const GLOBALS_ADDED_MAX: usize = 100_000;

/// Whether a module has room for them. That it has decides whether constants are parameters, and
/// not how many of them there are in what is compiled now.
fn has_room_for_placeholders(module: &Module, offsets: &VMOffsets<u8>) -> bool {
    let globals_len = module.globals.len() + GLOBALS_ADDED_MAX;
    let added = GLOBALS_ADDED_MAX as u32 * u32::from(offsets.ptr.vm_global_definition().size());
    globals_len <= GLOBALS_MAX
        && region_ids_fit(module, globals_len)
        && offsets.size_of_vmctx() < REGION_OFFSET_MAX - added
}

/// Whether a constant uses as much fuel as the read of a global.
fn constants_cost_as_reads(tunables: &Tunables) -> bool {
    let cost = |operator| tunables.operator_cost.cost(&operator);
    let read = cost(Operator::GlobalGet { global_index: 0 });
    !tunables.consume_fuel
        || cost(Operator::I32Const { value: 0 }) == read
            && cost(Operator::I64Const { value: 0 }) == read
}

/// Whether no type that is declared outside of bodies is anything but one of a function,
/// or names another one. Then operands have such a type only where the body names it.
fn types_are_plain(module: &Module, types: &ModuleTypesBuilder) -> bool {
    fn names_none(ty: &impl TypeTrace) -> bool {
        ty.trace(&mut |_| Err(())).is_ok()
    }
    let is_plain = |ty: &WasmSubType| {
        matches!(ty.composite_type.inner, WasmCompositeInnerType::Func(_)) && names_none(ty)
    };
    module.types.values().all(|ty| is_plain(&types[ty.unwrap_module_type_index()]))
        && module.tables.values().all(names_none)
        && module.globals.values().all(names_none)
}

/// Whether the code of an access at a constant offset may depend on how
/// large the memory is at first: unless its bounds check is elided for every
/// index (`bounds_checks.rs`, `can_elide_bounds_check` and after it). An
/// access is taken to be of 16 bytes, the widest there is.
pub(super) fn minimum_matters(memory: &Memory, tunables: &MemoryTunables<'_>, offset: u64) -> bool {
    // The host's page size does not matter: a page size that a wasm memory
    // can have is 1, smaller than any, or 64 KiB, not smaller than any.
    const HOST_PAGE_SIZE_LOG2: u8 = 16;
    if !memory.can_elide_bounds_check(tunables, HOST_PAGE_SIZE_LOG2) {
        return true;
    }
    let reach = tunables.reservation().saturating_add(tunables.guard_size());
    let Some(end) = offset.checked_add(ACCESS_BYTES_MAX) else {
        return true;
    };
    reach.checked_sub(end).is_none_or(|rest| rest < u64::from(u32::MAX))
}

/// A value's `serde` form as bytes. The types that are written this way are
/// Wasmtime's own and have no way to fail.
fn postcard_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data can be serialised")
}

impl<'a, 'data> ModuleFacts<'a, 'data> {
    pub(super) fn new(
        (translation, first_body, has_placeholders): (
            &'a ModuleTranslation<'data>,
            Option<usize>,
            bool,
        ),
        types: &'a ModuleTypesBuilder,
        settings: &'a Settings,
        (pointer_bytes, layout_is_parameter): (u8, bool),
        cacheable: bool,
    ) -> Self {
        let is_relocatable = settings.stencils() == Stencils::Relocatable;
        let offsets = VMOffsets::new(pointer_bytes, &translation.module);
        let relocations = first_body
            .filter(|_| is_relocatable)
            .and_then(|first_body| Relocations::of(translation.wasm, first_body));
        Self {
            translation,
            tunables: &settings.tunables,
            interned: types,
            types: types.wasm_types().map(|(_, ty)| postcard_bytes(ty)).collect(),
            cacheable: cacheable
                && region_ids_fit(&translation.module, translation.module.globals.len())
                && offsets.size_of_vmctx() < REGION_OFFSET_MAX,
            // A module that has them had room.
            has_room_for_placeholders: has_placeholders
                || has_room_for_placeholders(&translation.module, &offsets),
            offsets,
            layout_is_parameter,
            is_relocatable,
            relocations,
            constants_cost_as_reads: constants_cost_as_reads(&settings.tunables),
            types_are_plain: types_are_plain(&translation.module, types),
        }
    }

    /// Whether a function's constants are parameters. Not where hints are found by
    /// their place in the body, which is another one for the body that is compiled.
    pub(super) fn constants_are_parameters(&self, function: FuncIndex) -> bool {
        self.is_relocatable
            && self.constants_cost_as_reads
            && self.types_are_plain
            && self.has_room_for_placeholders
            && self.translation.branch_hints(function).is_none()
    }

    /// Whether a constant operand of an operator decides more than what it says: one that costs
    /// little by its size, where fuel or epochs are looked at, and is known to, is not looked at
    /// in front of (`func_environ.rs`, `pre_translate_bulk_op`). No parameter costs little but where
    /// any number costs nothing, or the linker has named small ones.
    pub(super) fn constants_decide_checks(&self, cost: fn(&VariableOperatorCost) -> u8) -> bool {
        const _: () =
            assert!(VALUE_MIN > 128, "a parameter's cost could be below Wasmtime's limit");
        let Tunables { consume_fuel, epoch_interruption, operator_cost, .. } = self.tunables;
        (*consume_fuel || *epoch_interruption)
            && (cost(operator_cost.variable()) == 0 || self.relocations.is_some())
    }

    /// Whether the linker has named the number that stands at an offset of the input.
    pub(super) fn names(&self, at: impl FnOnce() -> usize) -> bool {
        self.relocations.as_ref().is_some_and(|relocations| relocations.contain(at()))
    }

    /// How many values a type names, and whether there may be collected references among them.
    pub(super) fn values_named(&self, ty: ModuleInternedTypeIndex) -> (usize, bool) {
        let WasmCompositeInnerType::Func(ty) = &self.interned[ty].composite_type.inner else {
            return (0, true);
        };
        let values = [ty.params(), ty.results()];
        let has_references =
            values.iter().any(|types| types.iter().any(|ty| matches!(ty, WasmValType::Ref(_))));
        (values.iter().map(|types| types.len()).sum(), has_references)
    }

    /// How many parameters and results a function type has.
    pub(super) fn arity(&self, ty: ModuleInternedTypeIndex) -> (usize, usize) {
        let ty = self.interned[ty].unwrap_func();
        (ty.params().len(), ty.results().len())
    }

    pub(super) fn type_count(&self) -> usize {
        self.types.len()
    }

    /// An entity's parts in the `VMContext`, each of so many bytes at an offset.
    fn in_vmctx<const PARTS: usize>(&self, sink: &mut Sink<'_>, parts: [(u32, u8); PARTS]) {
        let Sink { out, layout, values } = sink;
        let parts = parts.map(|(start, len)| (Base::VmContext, start, u32::from(len)));
        layout.add(out, values, &parts, self.layout_is_parameter);
    }

    /// A type's entry in the array of type ids.
    pub(super) fn type_id(&self, sink: &mut Sink<'_>, ty: ModuleInternedTypeIndex) {
        let Sink { out, layout, values } = sink;
        layout.add(out, values, &[self.type_id_span(ty)], self.layout_is_parameter);
    }

    /// Where a type's entry is in the array of type ids. A module has at most a
    /// million types (wasmparser's limit).
    pub(super) fn type_id_span(&self, ty: ModuleInternedTypeIndex) -> (Base, u32, u32) {
        let size = u32::from(self.offsets.ptr.size_of_vmshared_type_index());
        (Base::TypeIds, ty.as_u32().saturating_mul(size), size)
    }

    /// The interned index behind a module's type index.
    pub(super) fn interned(&self, ty: TypeIndex) -> ModuleInternedTypeIndex {
        self.translation.module.types[ty].unwrap_module_type_index()
    }

    /// A type's own content.
    pub(super) fn type_content(&self, out: &mut StencilWriter, ty: ModuleInternedTypeIndex) {
        let content = &self.types[ty.index()];
        out.uleb(content.len() as u64);
        out.raw(content);
    }

    pub(super) fn signature(&self, function: FuncIndex) -> ModuleInternedTypeIndex {
        // Where its `VMFuncRef` lies is asked of the runtime.
        let FunctionType { signature, func_ref: _ } = &self.translation.module.functions[function];
        signature.unwrap_module_type_index()
    }

    /// Whether a function of this type may return through memory, of which the
    /// address is its first argument then, in front of the `VMContext`
    /// (`isa/x64/abi.rs`, `compute_arg_locs`). There are eight registers for integers,
    /// and as many for floats and vectors (`get_intreg_for_retval`); a reference may
    /// take two.
    pub(super) fn may_return_through_memory(&self, ty: ModuleInternedTypeIndex) -> bool {
        const RESULTS_IN_REGISTERS: usize = 8;
        let registers = |ty: &WasmValType| if let WasmValType::Ref(_) = ty { 2 } else { 1 };
        let results = self.interned[ty].unwrap_func().results();
        results.iter().map(registers).sum::<usize>() > RESULTS_IN_REGISTERS
    }

    /// How a function is called, apart from its signature. For a function whose
    /// code is called directly, its name.
    pub(super) fn callee(&self, sink: &mut Sink<'_>, function: FuncIndex) -> Callee {
        let module = &self.translation.module;
        if let Some(defined) = module.defined_func_index(function) {
            sink.out.u8(0);
            return Callee::Direct(FuncKey::DefinedWasmFunction(module.module_index, defined));
        }
        sink.out.u8(1);
        let pointer = self.offsets.ptr.size();
        let code = self.offsets.vmctx_vmfunction_import_wasm_call(function);
        let vmctx = self.offsets.vmctx_vmfunction_import_vmctx(function);
        self.in_vmctx(sink, [(code, pointer), (vmctx, pointer)]);
        let out = &mut *sink.out;
        match &self.translation.known_imported_functions[function] {
            None => {
                out.u8(0);
                Callee::Indirect
            }
            Some(KnownFunc::FuncKey(key @ FuncKey::DefinedWasmFunction(..))) => {
                out.u8(1);
                Callee::Direct(*key)
            }
            Some(KnownFunc::FuncKey(key)) => {
                out.u8(2);
                let (namespace, index) = key.into_raw_parts();
                out.u32(namespace);
                out.u32(index);
                Callee::Indirect
            }
            Some(KnownFunc::FactIntrinsic(intrinsic)) => {
                out.u8(match intrinsic {
                    FactInlineIntrinsic::EnterSyncCall => 3,
                    FactInlineIntrinsic::ExitSyncCall => 4,
                });
                Callee::Indirect
            }
        }
    }

    fn memory_tunables(&self) -> MemoryTunables<'a> {
        MemoryTunables::new(self.tunables, MemoryKind::LinearMemory)
    }

    /// A memory as loads and stores see it; its minimum is apart, see
    /// [`minimum_matters`](Self::minimum_matters), and where it lies, too.
    pub(super) fn memory(&self, out: &mut StencilWriter, index: MemoryIndex) {
        let module = &self.translation.module;
        let memory = module.memories[index];
        let Memory { idx_type, limits: Limits { min: _, max }, shared, page_size_log2 } = memory;
        out.raw(&postcard_bytes(&idx_type));
        out.bool(shared);
        out.u8(page_size_log2);
        out.bool(max.is_some());
        out.u64(memory.maximum_byte_size().unwrap_or(u64::MAX));
        out.bool(memory.static_heap_size().is_some());
        out.bool(memory.memory_may_move(&self.memory_tunables()));
        out.bool(module.is_exported_memory(index));
        out.bool(self.is_imported_memory(index));
    }

    pub(super) fn is_imported_memory(&self, index: MemoryIndex) -> bool {
        self.translation.module.defined_memory_index(index).is_none()
    }

    /// Where a memory lies.
    pub(super) fn memory_layout(&self, sink: &mut Sink<'_>, index: MemoryIndex) {
        let module = &self.translation.module;
        let ptr = &self.offsets.ptr;
        let (start, len) = match module.defined_memory_index(index) {
            None => (self.offsets.vmctx_vmmemory_import(index), ptr.vm_memory_import().size()),
            Some(defined) if module.memories[index].shared => {
                (self.offsets.vmctx_vmmemory_pointer(defined), ptr.size_of_vmmemory_pointer())
            }
            Some(defined) => {
                let owned = module.owned_memory_index(defined);
                let start = self.offsets.vmctx_vmmemory_definition(owned);
                (start, ptr.vm_memory_definition().size())
            }
        };
        self.in_vmctx(sink, [(start, len)]);
    }

    /// Whether a memory's first size may matter to an access at an offset.
    pub(super) fn minimum_matters(&self, index: MemoryIndex, offset: u64) -> bool {
        let memory = &self.translation.module.memories[index];
        minimum_matters(memory, &self.memory_tunables(), offset)
    }

    /// Whether an access at an offset can be in bounds. One that cannot be traps whatever its
    /// address is, and what fuel is left is noted before that and not after it
    /// (`func_environ.rs`, `before_unconditionally_trapping_memory_access`). What this follows from
    /// is in the key.
    pub(super) fn can_be_in_bounds(&self, index: MemoryIndex, offset: u64) -> bool {
        let memory = &self.translation.module.memories[index];
        let end = offset.checked_add(ACCESS_BYTES_MAX);
        end.is_some_and(|end| end <= memory.maximum_byte_size().unwrap_or(u64::MAX))
    }

    /// Whether no offset of an access up to [`OFFSET_MAX`] matters to code but as what is
    /// added to the address: the access is not checked, and it is not known to trap
    /// (`bounds_checks.rs`, `bounds_check_field_access`). What this follows from is in the
    /// key.
    pub(super) fn offsets_are_free(&self, index: MemoryIndex) -> bool {
        let memory = &self.translation.module.memories[index];
        let end_max = OFFSET_MAX + ACCESS_BYTES_MAX;
        !self.minimum_matters(index, OFFSET_MAX)
            && memory.maximum_byte_size().unwrap_or(u64::MAX) >= end_max
    }

    pub(super) fn memory_minimum(&self, out: &mut StencilWriter, index: MemoryIndex) {
        out.u64(self.translation.module.memories[index].limits.min);
    }

    /// A memory as operators see it that hand its index to the runtime.
    pub(super) fn memory_index(&self, out: &mut StencilWriter, index: MemoryIndex) {
        out.uleb(u64::from(index.as_u32()));
        let defined = self.translation.module.defined_memory_index(index);
        out.uleb(defined.map_or(0, |defined| u64::from(defined.as_u32()) + 1));
        self.memory_minimum(out, index);
    }

    /// The value of a global that the compiler takes for a constant
    /// (`func_environ.rs`, `get_const_value_for_global`).
    fn constant(&self, index: GlobalIndex) -> Option<GlobalConstValue> {
        let module = &self.translation.module;
        let Global { wasm_ty, mutability } = module.globals[index];
        if mutability || wasm_ty.is_vmgcref_type() {
            return None;
        }
        let defined = module.defined_global_index(index)?;
        let values = &module.global_initializers;
        let at = values.binary_search_by_key(&defined, |(index, _)| *index).ok()?;
        Some(values[at].1)
    }

    pub(super) fn global(&self, sink: &mut Sink<'_>, index: GlobalIndex) {
        const CONSTANT: u8 = 0;
        const DEFINED: u8 = 1;
        const IMPORTED: u8 = 2;
        let module = &self.translation.module;
        let Global { wasm_ty, mutability } = module.globals[index];
        let out = &mut *sink.out;
        out.raw(&postcard_bytes(&wasm_ty));
        out.bool(mutability);
        if let Some(value) = self.constant(index) {
            out.u8(CONSTANT);
            match value {
                GlobalConstValue::I32(value) => out.u32(value as u32),
                GlobalConstValue::I64(value) => out.u64(value as u64),
                GlobalConstValue::F32(bits) => out.u32(bits),
                GlobalConstValue::F64(bits) => out.u64(bits),
                GlobalConstValue::V128(bits) => out.raw(&bits.to_le_bytes()),
            }
            return;
        }
        match module.defined_global_index(index) {
            Some(defined) => {
                out.u8(DEFINED);
                out.bool(module.is_exported_global(index));
                let start = self.offsets.vmctx_vmglobal_definition(defined);
                let len = self.offsets.ptr.vm_global_definition().size();
                // To the address of a collected reference its offset is added, as a
                // constant that is one value with the function's own that equal it
                // (`func_environ.rs`, `translate_global_get`).
                let is_parameter = self.layout_is_parameter && !wasm_ty.is_vmgcref_type();
                let span = (Base::VmContext, start, u32::from(len));
                let Sink { out, layout, values } = sink;
                layout.add(out, values, &[span], is_parameter);
            }
            None => {
                out.u8(IMPORTED);
                out.bool(module.is_exported_global(index));
                let start = self.offsets.vmctx_vmglobal_import_from(index);
                self.in_vmctx(sink, [(start, self.offsets.ptr.size())]);
            }
        }
    }

    /// The size of a table that cannot grow.
    pub(super) fn fixed_table_size(&self, index: TableIndex) -> Option<u64> {
        let Limits { min, max } = self.translation.module.tables[index].limits;
        (max == Some(min)).then_some(min)
    }

    /// A table, without its size if code is generated that loads it.
    pub(super) fn table(&self, sink: &mut Sink<'_>, index: TableIndex, loads_size: bool) {
        let module = &self.translation.module;
        let out = &mut *sink.out;
        let Table { idx_type, limits: Limits { min: _, max: _ }, ref_type } = module.tables[index];
        out.uleb(u64::from(index.as_u32()));
        out.raw(&postcard_bytes(&(idx_type, ref_type)));
        // A table that cannot grow has its size in the code, another one has not.
        match self.fixed_table_size(index).filter(|_| !loads_size) {
            Some(size) => {
                out.u8(1);
                out.u64(size);
            }
            None => out.u8(0),
        }
        out.bool(module.is_exported_table(index));
        match module.defined_table_index(index) {
            Some(defined) => {
                out.u8(0);
                out.uleb(u64::from(defined.as_u32()));
                let start = self.offsets.vmctx_vmtable_definition(defined);
                self.in_vmctx(sink, [(start, self.offsets.ptr.vm_table_definition().size())]);
            }
            None => {
                out.u8(1);
                let start = self.offsets.vmctx_vmtable_import(index);
                self.in_vmctx(sink, [(start, self.offsets.ptr.vm_table_import().size())]);
            }
        }
    }

    /// The types that a tag names.
    pub(super) fn tag_types(&self, index: TagIndex) -> [ModuleInternedTypeIndex; 2] {
        let Tag { signature, exception } = self.translation.module.tags[index];
        [signature.unwrap_module_type_index(), exception.unwrap_module_type_index()]
    }

    pub(super) fn tag(&self, sink: &mut Sink<'_>, index: TagIndex) {
        let out = &mut *sink.out;
        out.uleb(u64::from(index.as_u32()));
        match self.translation.module.defined_tag_index(index) {
            Some(defined) => {
                out.u8(0);
                out.uleb(u64::from(defined.as_u32()));
            }
            None => {
                out.u8(1);
                let size = self.offsets.ptr.size();
                let vmctx = self.offsets.vmctx_vmtag_import_vmctx(index);
                let in_vmctx = self.offsets.vmctx_vmtag_import_index(index);
                self.in_vmctx(sink, [(vmctx, size), (in_vmctx, 4)]);
            }
        }
    }

    pub(super) fn runtime_data(&self, sink: &mut Sink<'_>, segment: RuntimeDataIndex) {
        sink.out.uleb(segment.index() as u64);
        let size = self.offsets.ptr.size();
        let base = self.offsets.vmctx_runtime_data_base(segment);
        let length = self.offsets.vmctx_runtime_data_length(segment);
        self.in_vmctx(sink, [(base, size), (length, 4)]);
    }

    pub(super) fn element_segment(&self, out: &mut StencilWriter, index: ElemIndex) {
        match self.translation.passive_elem_map[index] {
            None => out.u8(0),
            Some(segment) => {
                out.u8(1);
                out.uleb(segment.index() as u64);
            }
        }
    }
}

/// Whether calling a function names it.
pub(super) enum Callee {
    Direct(FuncKey),
    Indirect,
}
