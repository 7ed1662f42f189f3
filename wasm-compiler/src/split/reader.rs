//! A stencil's bytes -> the operators that they were written for.
//!
//! What a function is read from is its bytes and the settings, and nothing of its module:
//! whoever reads does the same for the same bytes. So no two functions that differ in
//! what is read are written in the same way. A fact that is written only sometimes, without
//! a word before it that says so, cannot be read.

use super::constants::OFFSET_MAX;
use super::facts::{ModuleFacts, minimum_matters};
use super::function::{ENTITIES_MAX, Splitter};
use crate::compiler::Backend;
use crate::input;
use crate::settings::{Options, Settings, Stencils};
use generate::edit::{Constants, Edit};
use generate::smith::Kind;
use oracle::testdata::{file, text_files};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use wasmtime_environ::{
    EntityRef as _, IndexType, Limits, Memory, MemoryKind, MemoryTunables, ScopeVec, Tunables,
    WasmHeapType, WasmRefType, WasmValType,
};

/// An operator's name, and the names and types of its immediates.
struct Operator {
    name: &'static str,
    immediates: &'static [(&'static str, &'static str)],
}

macro_rules! define_operators {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// In the order of the opcodes.
        const OPERATORS: &[Operator] = &[$(Operator {
            name: stringify!($op),
            immediates: &[$($((stringify!($arg), stringify!($argty))),*)?],
        }),*];
    };
}

wasmparser::for_each_operator!(define_operators);

/// What has been read of a memory.
struct ReadMemory {
    ty: Memory,
    imported: bool,
    layout: bool,
    minimum: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    tunables: &'a Tunables,
    /// Whether stencils are relocatable.
    relocatable: bool,
    /// Whether constants stand behind the operators, and whether their values do.
    enabled: bool,
    in_key: bool,
    constants: usize,
    /// How many distinct offsets have been met.
    offsets: u64,
    /// How many of each have been met.
    types: u64,
    type_ids: u64,
    functions: u64,
    tags: u64,
    segments: u64,
    globals: u64,
    memories: Vec<ReadMemory>,
    /// What elements of the tables are.
    tables: Vec<WasmHeapType>,
    /// The table that the operator names.
    table: usize,
    operator: &'static str,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], settings: &'a Settings) -> Self {
        Self {
            bytes,
            tunables: &settings.tunables,
            relocatable: settings.stencils() == Stencils::Relocatable,
            enabled: false,
            in_key: false,
            constants: 0,
            offsets: 0,
            types: 0,
            type_ids: 0,
            functions: 0,
            tags: 0,
            segments: 0,
            globals: 0,
            memories: Vec::new(),
            tables: Vec::new(),
            table: 0,
            operator: "",
        }
    }

    fn raw(&mut self, len: usize) -> &'a [u8] {
        let (raw, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        raw
    }

    fn u8(&mut self) -> u8 {
        self.raw(1)[0]
    }

    fn bool(&mut self) -> bool {
        match self.u8() {
            0 => false,
            1 => true,
            other => panic!("{other} is no bool"),
        }
    }

    fn uleb(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.u8();
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
        }
        unreachable!()
    }

    /// A value in Wasmtime's own form.
    fn value<T: DeserializeOwned>(&mut self) -> T {
        let (value, rest) = postcard::take_from_bytes(self.bytes).expect("it is a value");
        self.bytes = rest;
        value
    }

    /// An ordinal among so many; `None` for the next one, of which the facts follow.
    fn ordinal(&mut self, count: u64) -> Option<usize> {
        let ordinal = self.uleb().checked_sub(1)?;
        assert!(ordinal < count, "an ordinal that has not been met");
        Some(ordinal as usize)
    }

    /// The whole function: the names of its operators.
    fn read(mut self) -> Vec<&'static str> {
        self.enabled = self.relocatable && self.bool();
        self.type_content();
        for _ in 0..self.uleb() {
            self.uleb();
            self.value_type();
        }
        let mut operators = Vec::new();
        let mut depth = 1;
        while depth != 0 {
            let Operator { name, immediates } = OPERATORS[self.opcode()];
            operators.push(name);
            self.operator = name;
            for (immediate, ty) in immediates {
                self.immediate(immediate, ty);
            }
            self.beyond_immediates();
            match name {
                "Block" | "Loop" | "If" | "TryTable" => depth += 1,
                "End" => depth -= 1,
                _ => {}
            }
        }
        self.numbers();
        assert!(self.bytes.is_empty(), "{} bytes too many", self.bytes.len());
        operators
    }

    /// What stands behind the operators.
    fn numbers(&mut self) {
        let entities = [
            self.functions,
            self.memories.len() as u64,
            self.globals,
            self.tables.len() as u64,
            self.tags,
            self.segments,
        ];
        self.in_key |= self.enabled && entities.into_iter().sum::<u64>() > ENTITIES_MAX.into();
        for _ in 0..self.constants {
            if self.uleb() == 0 {
                self.uleb();
                self.uleb();
            } else {
                assert!(!self.in_key, "a parameter");
            }
        }
        if self.in_key {
            for _ in 0..self.offsets {
                self.raw(4);
            }
            for _ in 0..self.tables.len() {
                self.raw(9);
            }
        }
    }

    fn opcode(&mut self) -> usize {
        const WIDE: usize = 0xf0;
        let first = usize::from(self.u8());
        match first.checked_sub(WIDE) {
            None => first,
            Some(high) => WIDE + (high << 8 | usize::from(self.u8())),
        }
    }

    fn immediate(&mut self, name: &str, ty: &str) {
        match name {
            "blockty" => self.block_type(),
            "relative_depth" | "field_index" | "array_size" | "local_index" => {
                self.uleb();
            }
            "targets" => {
                for _ in 0..=self.uleb() {
                    self.uleb();
                }
            }
            "try_table" => {
                self.block_type();
                for _ in 0..self.uleb() {
                    let kind = self.u8();
                    self.uleb();
                    if kind < 2 {
                        self.tag();
                    }
                }
            }
            "function_index" => self.callee(),
            "type_index" => self.type_content(),
            "struct_type_index"
            | "array_type_index"
            | "array_type_index_src"
            | "array_type_index_dst" => self.type_in_code(),
            "table_index" | "table" | "dst_table" | "src_table" => self.table(),
            "mem" | "dst_mem" | "src_mem" => {
                self.memory();
                self.memory_index();
            }
            "memarg" => self.access(),
            "global_index" => self.global(),
            "tag_index" => self.tag(),
            "data_index" | "array_data_index" => {
                if self.bool() && self.ordinal(self.segments).is_none() {
                    self.segments += 1;
                    self.uleb();
                    self.spans(2);
                }
            }
            "elem_index" | "array_elem_index" => {
                if self.bool() {
                    self.uleb();
                }
            }
            "value" => match ty.rsplit(':').next().unwrap_or(ty).trim() {
                "i32" | "i64" if self.enabled => self.constants += 1,
                "i32" | "i64" => {
                    self.uleb();
                }
                "Ieee32" => {
                    self.raw(4);
                }
                "Ieee64" => {
                    self.raw(8);
                }
                "V128" => {
                    self.raw(16);
                }
                other => panic!("a constant of type {other}"),
            },
            "lane" => {
                self.u8();
            }
            "lanes" => {
                self.raw(16);
            }
            "ty" | "from_ref_type" | "to_ref_type" => self.value_type(),
            "tys" => {
                for _ in 0..self.uleb() {
                    self.value_type();
                }
            }
            "hty" => self.heap_type(),
            other => panic!("an immediate {other}"),
        }
    }

    fn beyond_immediates(&mut self) {
        match self.operator {
            "RefFunc" => {
                self.in_key |= self.enabled;
                self.uleb();
            }
            "MemoryAtomicNotify" | "MemoryAtomicWait32" | "MemoryAtomicWait64" => {
                self.memory_index();
            }
            "CallIndirect" | "ReturnCallIndirect" => {
                if self.tables[self.table] != WasmHeapType::Func {
                    self.type_in_code();
                } else if self.ordinal(self.type_ids).is_none() {
                    self.type_ids += 1;
                    self.spans(1);
                }
            }
            "CallRef" | "ReturnCallRef" => self.type_in_code(),
            "If" | "BrIf" => assert!(self.u8() <= 3, "a hint"),
            _ => {}
        }
    }

    /// Where parts of an entity lie.
    fn spans(&mut self, count: usize) {
        for _ in 0..count {
            match self.u8() {
                // A number, or where it is cut.
                0 | 3 => {
                    self.raw(4);
                }
                1 | 2 => {}
                other => panic!("{other} is no kind of place"),
            }
        }
    }

    fn type_content(&mut self) {
        if self.ordinal(self.types).is_none() {
            self.types += 1;
            let len = self.uleb();
            self.raw(len as usize);
        }
    }

    fn type_in_code(&mut self) {
        self.uleb();
        self.type_content();
    }

    fn block_type(&mut self) {
        match self.u8() {
            0 => {}
            1 => self.value_type(),
            2 => self.type_content(),
            other => panic!("{other} is no kind of block"),
        }
    }

    fn value_type(&mut self) {
        match self.u8() {
            0..=4 => {}
            5 | 6 => self.heap_type(),
            other => panic!("{other} is no value type"),
        }
    }

    fn heap_type(&mut self) {
        match self.u8() {
            0 => {
                self.bool();
                self.u8();
            }
            1 => {
                self.in_key |= self.enabled;
                self.type_in_code();
            }
            other => panic!("{other} is no heap type"),
        }
    }

    fn callee(&mut self) {
        if self.ordinal(self.functions).is_some() {
            return;
        }
        self.functions += 1;
        self.type_content();
        if !self.bool() {
            self.uleb();
            return;
        }
        self.spans(2);
        match self.u8() {
            0 | 3 | 4 => {}
            1 => {
                self.uleb();
            }
            2 => {
                self.raw(8);
            }
            other => panic!("{other} is no kind of import"),
        }
    }

    fn access(&mut self) {
        self.u8();
        let (mut offset, mut matters) = (0, None);
        match if self.enabled { self.u8() } else { 0 } {
            0 => offset = self.uleb(),
            1 => matters = Some(self.bool()),
            2 => {
                let ordinal = self.uleb();
                self.offsets = self.offsets.max(ordinal + 1);
                offset = OFFSET_MAX;
            }
            other => panic!("{other} is no kind of offset"),
        }
        let memory = self.memory();
        let tunables = MemoryTunables::new(self.tunables, MemoryKind::LinearMemory);
        let memory = &mut self.memories[memory];
        let matters = matters.unwrap_or_else(|| minimum_matters(&memory.ty, &tunables, offset));
        if matters && !std::mem::replace(&mut memory.minimum, true) {
            self.raw(8);
        }
    }

    fn memory(&mut self) -> usize {
        let memory = self.ordinal(self.memories.len() as u64).unwrap_or_else(|| {
            let idx_type: IndexType = self.value();
            let (shared, page_size_log2) = (self.bool(), self.u8());
            self.bool();
            self.raw(8);
            let [_, _, _, imported] = std::array::from_fn(|_| self.bool());
            let limits = Limits { min: 0, max: None };
            let ty = Memory { idx_type, limits, shared, page_size_log2 };
            self.memories.push(ReadMemory { ty, imported, layout: false, minimum: false });
            self.memories.len() - 1
        });
        let leaves_it_to_the_runtime =
            ["MemoryGrow", "MemoryAtomicNotify", "MemoryAtomicWait32", "MemoryAtomicWait64"];
        let there = &mut self.memories[memory];
        let is_found = there.imported || !leaves_it_to_the_runtime.contains(&self.operator);
        if is_found && !std::mem::replace(&mut there.layout, true) {
            self.spans(1);
        }
        memory
    }

    fn memory_index(&mut self) {
        self.uleb();
        self.uleb();
        self.raw(8);
    }

    fn global(&mut self) {
        if self.ordinal(self.globals).is_some() {
            return;
        }
        self.globals += 1;
        let ty: WasmValType = self.value();
        self.bool();
        match self.u8() {
            0 => {
                self.raw(match ty {
                    WasmValType::I32 | WasmValType::F32 => 4,
                    WasmValType::I64 | WasmValType::F64 => 8,
                    WasmValType::V128 => 16,
                    WasmValType::Ref(_) => panic!("a constant reference"),
                });
            }
            1 | 2 => {
                self.bool();
                self.spans(1);
            }
            other => panic!("{other} is no kind of global"),
        }
    }

    fn table(&mut self) {
        let table = self.ordinal(self.tables.len() as u64).unwrap_or_else(|| {
            self.uleb();
            let (_, elements): (IndexType, WasmRefType) = self.value();
            if self.bool() {
                self.raw(8);
            }
            self.bool();
            if !self.bool() {
                self.uleb();
            }
            self.spans(1);
            self.tables.push(elements.heap_type);
            self.tables.len() - 1
        });
        self.table = table;
    }

    fn tag(&mut self) {
        if self.ordinal(self.tags).is_some() {
            return;
        }
        self.tags += 1;
        self.uleb();
        if self.bool() {
            self.spans(2);
        } else {
            self.uleb();
        }
        self.type_in_code();
        self.type_in_code();
    }
}

/// The names of a body's operators.
fn operators(body: &wasmparser::FunctionBody<'_>) -> Vec<&'static str> {
    macro_rules! name_of {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            |operator| match operator {
                $(wasmparser::Operator::$op { .. } => stringify!($op),)*
                _ => panic!("an operator without a name"),
            }
        };
    }
    let name = wasmparser::for_each_operator!(name_of);
    let reader = body.get_operators_reader().expect("it is valid");
    reader.into_iter().map(|operator| name(operator.expect("it is valid"))).collect()
}

/// Reads all functions that have a stencil; how many they are.
fn check(name: &str, wasm: &[u8], backend: &Backend) -> usize {
    let adapters = ScopeVec::new();
    let settings = &backend.settings;
    let page_size_align = backend.compiler.page_size_align();
    let Ok(input) = input::read(wasm, settings, page_size_align, &adapters) else { return 0 };
    let splitting = super::Splitting::new(&input, backend);
    let mut count = 0;
    for (module, bodies) in &input.bodies {
        let facts: &ModuleFacts<'_, '_> = &splitting.facts[module.index()];
        let mut splitter = Splitter::new(facts);
        for (function, data) in bodies {
            let Ok(split) = splitter.split(function, data) else { return count };
            let Some(stencil) = split.stencil else { continue };
            let read = Reader::new(stencil.bytes(), settings).read();
            assert_eq!(read, operators(&data.body), "{name}: function {function:?}");
            count += 1;
        }
    }
    count
}

#[test]
fn every_stencil_can_be_read_back() {
    let mut modules = text_files("wat");
    modules.extend(text_files("components"));
    modules.push(("ledger".to_owned(), file("wasm/ledger.wasm")));
    let kinds = Kind::ALL.into_iter().cycle();
    modules.extend((0..300).zip(kinds).filter_map(|(seed, kind)| {
        Some((format!("{kind:?} module of seed {seed}"), kind.module(seed)?))
    }));
    let edits = [Edit::Differences, Edit::Constants(Constants::Distinct), Edit::Offsets(1 << 26)];
    let edited: Vec<_> = modules
        .iter()
        .flat_map(|(name, wasm)| {
            let edited = edits.map(|edit| Some((format!("{name}, {edit:?}"), edit.apply(wasm)?)));
            edited.into_iter().flatten()
        })
        .collect();
    modules.extend(edited);
    let kinds = [
        ("x86_64-unknown-linux-gnu", Stencils::Exact),
        ("x86_64-unknown-linux-gnu", Stencils::Relocatable),
        ("aarch64-unknown-linux-gnu", Stencils::Exact),
    ];
    for (target, stencils) in kinds {
        let options = Options { target: Some(target.to_owned()), ..Options::default() };
        let settings = Settings::from_options(&options).expect("it is a target");
        let backend = Backend::new(settings.with_stencils(stencils)).expect("it is a target");
        let counts = modules.par_iter().map(|(name, wasm)| check(name, wasm, &backend));
        let count: usize = counts.sum();
        println!("{target}, {stencils:?}: {count} functions");
        assert!(count > 5_000, "{target}, {stencils:?}: only {count} functions");
    }
}
