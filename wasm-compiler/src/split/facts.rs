//! A module's entities -> the facts about each that can reach machine code.
//!
//! Invariants:
//! - a fact is resolved: an offset into the VMContext is written as the number
//!   that the code will hold, never as what it is computed from;
//! - structs whose fields are all public are taken apart without `..`, so that a
//!   new field breaks the build and not the cache;
//! - of a type, everything is written as Wasmtime serialises it, with the
//!   interned indices of the types that it names. This is more than exact code
//!   needs (`docs/key-inputs.md`).

use crate::settings::Settings;
use stencil::StencilWriter;
use wasmtime_environ::{
    DataIndex, ElemIndex, EntityRef, FactInlineIntrinsic, FuncIndex, FuncKey, FunctionType, Global,
    GlobalConstValue, GlobalIndex, KnownFunc, Limits, Memory, MemoryIndex, MemoryKind,
    MemoryTunables, Module, ModuleInternedTypeIndex, ModuleTranslation, ModuleTypesBuilder, Table,
    TableIndex, Tag, TagIndex, Tunables, TypeIndex, VMOffsets,
};

/// Alias regions of defined globals are told apart by 18 bits of index, those of
/// modules by 8 bits (`alias_region.rs`, `user_id`); beyond them regions of a
/// component's modules may merge, which no stencil can tell.
const REGION_MODULE_INDEX_MAX: u32 = 0xff;
const REGION_ENTITY_INDEX_MAX: usize = 1 << 18;

/// The facts of one core module.
pub(super) struct ModuleFacts<'a, 'data> {
    pub(super) translation: &'a ModuleTranslation<'data>,
    pub(super) tunables: &'a Tunables,
    offsets: VMOffsets<u8>,
    /// Wasmtime's serialisation of each interned type.
    types: Vec<Vec<u8>>,
    pub(super) cacheable: bool,
}

/// Whether alias regions are told apart, as stencils take for granted.
///
/// Every field of `Module` stands here, so that a new one breaks the build until it is
/// known what of it reaches machine code.
fn region_ids_fit(module: &Module) -> bool {
    let Module {
        module_index,
        // Read by the facts below, entity by entity.
        memories,
        tables,
        globals,
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
            && globals.len() < REGION_ENTITY_INDEX_MAX
            && memories.len() < REGION_ENTITY_INDEX_MAX
            && tables.len() < REGION_ENTITY_INDEX_MAX)
}

/// A value's `serde` form as bytes. The types that are written this way are
/// Wasmtime's own and have no way to fail.
fn postcard_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data can be serialised")
}

impl<'a, 'data> ModuleFacts<'a, 'data> {
    pub(super) fn new(
        translation: &'a ModuleTranslation<'data>,
        types: &'a ModuleTypesBuilder,
        settings: &'a Settings,
        pointer_bytes: u8,
        cacheable: bool,
    ) -> Self {
        Self {
            translation,
            tunables: &settings.tunables,
            offsets: VMOffsets::new(pointer_bytes, &translation.module),
            types: types.wasm_types().map(|(_, ty)| postcard_bytes(ty)).collect(),
            cacheable: cacheable && region_ids_fit(&translation.module),
        }
    }

    pub(super) fn type_count(&self) -> usize {
        self.types.len()
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

    /// How a function is called, apart from its signature. For a function whose
    /// code is called directly, its name.
    pub(super) fn callee(&self, out: &mut StencilWriter, function: FuncIndex) -> Callee {
        let module = &self.translation.module;
        if let Some(defined) = module.defined_func_index(function) {
            out.u8(0);
            return Callee::Direct(FuncKey::DefinedWasmFunction(module.module_index, defined));
        }
        out.u8(1);
        out.u32(self.offsets.vmctx_vmfunction_import_wasm_call(function));
        out.u32(self.offsets.vmctx_vmfunction_import_vmctx(function));
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
    /// [`minimum_matters`](Self::minimum_matters).
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
        match module.defined_memory_index(index) {
            None => {
                out.u8(0);
                out.u32(self.offsets.vmctx_vmmemory_import(index));
                out.u32(self.offsets.vmctx_vmmemory_import_from(index));
            }
            Some(defined) if shared => {
                out.u8(1);
                out.u32(self.offsets.vmctx_vmmemory_pointer(defined));
            }
            Some(defined) => {
                out.u8(2);
                let owned = module.owned_memory_index(defined);
                out.u32(self.offsets.vmctx_vmmemory_definition(owned));
            }
        }
    }

    /// Whether the code of an access at a constant offset may depend on how
    /// large the memory is at first: unless its bounds check is elided for every
    /// index (`bounds_checks.rs`, `can_elide_bounds_check` and after it). An
    /// access is taken to be of 16 bytes, the widest there is.
    pub(super) fn minimum_matters(&self, index: MemoryIndex, offset: u64) -> bool {
        const ACCESS_BYTES_MAX: u64 = 16;
        // The host's page size does not matter: a page size that a wasm memory
        // can have is 1, smaller than any, or 64 KiB, not smaller than any.
        const HOST_PAGE_SIZE_LOG2: u8 = 16;
        let memory = self.translation.module.memories[index];
        let tunables = self.memory_tunables();
        if !memory.can_elide_bounds_check(&tunables, HOST_PAGE_SIZE_LOG2) {
            return true;
        }
        let reach = tunables.reservation().saturating_add(tunables.guard_size());
        let Some(end) = offset.checked_add(ACCESS_BYTES_MAX) else {
            return true;
        };
        reach.checked_sub(end).is_none_or(|rest| rest < u64::from(u32::MAX))
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

    pub(super) fn global(&self, out: &mut StencilWriter, index: GlobalIndex) {
        let module = &self.translation.module;
        let Global { wasm_ty, mutability } = module.globals[index];
        out.raw(&postcard_bytes(&wasm_ty));
        out.bool(mutability);
        if let Some(value) = self.constant(index) {
            out.u8(0);
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
                out.u8(1);
                out.u32(self.offsets.vmctx_vmglobal_definition(defined));
            }
            None => {
                out.u8(2);
                out.u32(self.offsets.vmctx_vmglobal_import_from(index));
            }
        }
        out.bool(module.is_exported_global(index));
    }

    pub(super) fn table(&self, out: &mut StencilWriter, index: TableIndex) {
        let module = &self.translation.module;
        let Table { idx_type, limits: Limits { min, max }, ref_type } = module.tables[index];
        out.uleb(u64::from(index.as_u32()));
        out.raw(&postcard_bytes(&(idx_type, ref_type)));
        // A table that cannot grow has its size in the code, another one has not.
        if max == Some(min) {
            out.u8(1);
            out.u64(min);
        } else {
            out.u8(0);
        }
        out.bool(module.is_exported_table(index));
        match module.defined_table_index(index) {
            Some(defined) => {
                out.u8(0);
                out.uleb(u64::from(defined.as_u32()));
                out.u32(self.offsets.vmctx_vmtable_definition(defined));
            }
            None => {
                out.u8(1);
                out.u32(self.offsets.vmctx_vmtable_import(index));
                out.u32(self.offsets.vmctx_vmtable_from(index));
            }
        }
    }

    /// The types that a tag names.
    pub(super) fn tag_types(&self, index: TagIndex) -> [ModuleInternedTypeIndex; 2] {
        let Tag { signature, exception } = self.translation.module.tags[index];
        [signature.unwrap_module_type_index(), exception.unwrap_module_type_index()]
    }

    pub(super) fn tag(&self, out: &mut StencilWriter, index: TagIndex) {
        out.uleb(u64::from(index.as_u32()));
        match self.translation.module.defined_tag_index(index) {
            Some(defined) => {
                out.u8(0);
                out.uleb(u64::from(defined.as_u32()));
            }
            None => {
                out.u8(1);
                out.u32(self.offsets.vmctx_vmtag_import_vmctx(index));
                out.u32(self.offsets.vmctx_vmtag_import_index(index));
            }
        }
    }

    pub(super) fn data_segment(&self, out: &mut StencilWriter, index: DataIndex) {
        match self.translation.runtime_data_map[index] {
            None => out.u8(0),
            Some(segment) => {
                out.u8(1);
                out.uleb(segment.index() as u64);
                out.u32(self.offsets.vmctx_runtime_data_base(segment));
                out.u32(self.offsets.vmctx_runtime_data_length(segment));
            }
        }
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
