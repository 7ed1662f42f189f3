//! Edits of core modules, in the binary format.

use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, ImportSection, Instruction, MemorySection, MemoryType, Module,
    RefType, SectionId, TableSection, TableType, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, ConstExpr as ParsedConstExpr, ExportSectionReader, FunctionSectionReader,
    Global, GlobalSectionReader, ImportSectionReader, MemorySectionReader, Operator, Parser,
    Payload, TableSectionReader, TypeRef, TypeSectionReader,
};

/// One edit. What is put in front of an index space shifts all of its indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edit {
    /// An imported function in front.
    ImportFunction,
    /// An imported global in front.
    ImportGlobal,
    /// An imported memory in front.
    ImportMemory,
    /// An imported table in front.
    ImportTable,
    /// A type in front.
    Type,
    /// A global in front of the module's own.
    Global,
    /// A table in front of the module's own.
    Table,
    /// A memory in front of the module's own.
    Memory,
    /// A function in front of the module's own.
    Function,
    /// One more export, of the last function.
    ExportFunction,
    /// One more export, of the last memory.
    ExportMemory,
    /// Another value for the first global with a constant value.
    GlobalValue,
    /// All section sizes as five bytes, however small they are.
    LongSectionSizes,
    /// The first local index, global index or callee of each function in one
    /// byte more than it needs.
    LongIndices,
}

type Result<T> = std::result::Result<T, Error<Infallible>>;

impl Edit {
    /// All edits.
    pub const ALL: [Self; 14] = [
        Self::ImportFunction,
        Self::ImportGlobal,
        Self::ImportMemory,
        Self::ImportTable,
        Self::Type,
        Self::Global,
        Self::Table,
        Self::Memory,
        Self::Function,
        Self::ExportFunction,
        Self::ExportMemory,
        Self::GlobalValue,
        Self::LongSectionSizes,
        Self::LongIndices,
    ];

    /// Whether all functions mean what they meant, so that all have to hit.
    pub fn changes_no_function(self) -> bool {
        matches!(self, Self::LongSectionSizes | Self::LongIndices)
    }

    /// The edited module, if the edit applies to it.
    pub fn apply(self, wasm: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::LongSectionSizes => long_section_sizes(wasm),
            Self::LongIndices => long_indices(wasm),
            _ => {
                let mut editor = Editor::new(self, wasm);
                let mut module = Module::new();
                if editor.has_nothing_to_export() {
                    return None;
                }
                editor.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
                assert!(editor.pending.is_empty(), "the encoder has left sections out");
                (self != Self::GlobalValue || editor.value_changed).then(|| module.finish())
            }
        }
    }

    /// The sections that get something new.
    fn sections(self) -> &'static [SectionId] {
        match self {
            // The new function's type is put behind all others.
            Self::ImportFunction => &[SectionId::Type, SectionId::Import],
            Self::ImportGlobal | Self::ImportMemory | Self::ImportTable => &[SectionId::Import],
            Self::Type => &[SectionId::Type],
            Self::Global => &[SectionId::Global],
            Self::Table => &[SectionId::Table],
            Self::Memory => &[SectionId::Memory],
            Self::Function => &[SectionId::Type, SectionId::Function, SectionId::Code],
            Self::ExportFunction | Self::ExportMemory => &[SectionId::Export],
            Self::GlobalValue | Self::LongSectionSizes | Self::LongIndices => &[],
        }
    }
}

/// How many a module has of a thing, imported and all.
#[derive(Clone, Copy, Default)]
struct Count {
    imported: u32,
    all: u32,
}

struct Editor {
    edit: Edit,
    types: u32,
    functions: Count,
    tables: Count,
    memories: Count,
    globals: Count,
    /// Sections that have not got their new item yet.
    pending: Vec<SectionId>,
    value_changed: bool,
}

impl Editor {
    fn new(edit: Edit, wasm: &[u8]) -> Self {
        let mut editor = Self {
            edit,
            types: 0,
            functions: Count::default(),
            tables: Count::default(),
            memories: Count::default(),
            globals: Count::default(),
            pending: edit.sections().to_vec(),
            value_changed: false,
        };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.expect("the base is valid") {
                Payload::TypeSection(groups) => {
                    for group in groups {
                        editor.types += group.expect("the base is valid").types().len() as u32;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let count = match import.expect("the base is valid").ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => &mut editor.functions,
                            TypeRef::Table(_) => &mut editor.tables,
                            TypeRef::Memory(_) => &mut editor.memories,
                            TypeRef::Global(_) => &mut editor.globals,
                            TypeRef::Tag(_) => continue,
                        };
                        count.imported += 1;
                        count.all += 1;
                    }
                }
                Payload::FunctionSection(section) => editor.functions.all += section.count(),
                Payload::TableSection(section) => editor.tables.all += section.count(),
                Payload::MemorySection(section) => editor.memories.all += section.count(),
                Payload::GlobalSection(section) => editor.globals.all += section.count(),
                _ => {}
            }
        }
        editor
    }

    fn has_nothing_to_export(&self) -> bool {
        match self.edit {
            Edit::ExportFunction => self.functions.all == 0,
            Edit::ExportMemory => self.memories.all == 0,
            _ => false,
        }
    }

    /// An index after the edit, if `imported` or `own` put something in front.
    fn shifted(&self, index: u32, count: Count, imported: Edit, own: Edit) -> u32 {
        let shifts = self.edit == imported || (self.edit == own && index >= count.imported);
        index + u32::from(shifts)
    }

    /// Takes a section from those that are to get something new.
    fn take(&mut self, section: SectionId) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| *pending != section);
        before != self.pending.len()
    }

    fn new_imports(&self, imports: &mut ImportSection) {
        let ty: EntityType = match self.edit {
            Edit::ImportFunction => EntityType::Function(self.types),
            Edit::ImportGlobal => EntityType::Global(global_type()),
            Edit::ImportMemory => EntityType::Memory(memory_type()),
            _ => EntityType::Table(table_type()),
        };
        imports.import("edit", "new", ty);
    }

    fn new_export(&self, exports: &mut ExportSection) {
        // No other export may have the name.
        let name = "the edit's new export";
        match self.edit {
            Edit::ExportMemory => exports.export(name, ExportKind::Memory, self.memories.all - 1),
            _ => exports.export(name, ExportKind::Func, self.functions.all - 1),
        };
    }

    /// Adds a section that the base does not have.
    fn new_section(&mut self, module: &mut Module, section: SectionId) {
        match section {
            SectionId::Type => {
                let mut types = TypeSection::new();
                new_type(&mut types, self.edit);
                module.section(&types);
            }
            SectionId::Import => {
                let mut imports = ImportSection::new();
                self.new_imports(&mut imports);
                module.section(&imports);
            }
            SectionId::Function => {
                let mut functions = FunctionSection::new();
                functions.function(self.types);
                module.section(&functions);
            }
            SectionId::Table => {
                let mut tables = TableSection::new();
                tables.table(table_type());
                module.section(&tables);
            }
            SectionId::Memory => {
                let mut memories = MemorySection::new();
                memories.memory(memory_type());
                module.section(&memories);
            }
            SectionId::Global => {
                let mut globals = GlobalSection::new();
                globals.global(global_type(), &ConstExpr::i32_const(11));
                module.section(&globals);
            }
            SectionId::Export => {
                let mut exports = ExportSection::new();
                self.new_export(&mut exports);
                module.section(&exports);
            }
            _ => {
                let mut code = CodeSection::new();
                code.function(&new_function());
                module.section(&code);
            }
        }
    }
}

fn global_type() -> GlobalType {
    GlobalType { val_type: ValType::I32, mutable: false, shared: false }
}

fn memory_type() -> MemoryType {
    MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

fn table_type() -> TableType {
    TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: 64,
        maximum: None,
        shared: false,
    }
}

/// The type of a new function takes and gives nothing; a type that is new for
/// its own sake is one that is unlikely to be there.
fn new_type(types: &mut TypeSection, edit: Edit) {
    if edit == Edit::Type {
        types.ty().function([ValType::F32, ValType::I64, ValType::F32], [ValType::F64]);
    } else {
        types.ty().function([], []);
    }
}

fn new_function() -> Function {
    let mut function = Function::new([]);
    function.instruction(&Instruction::I32Const(7));
    function.instruction(&Instruction::Drop);
    function.instruction(&Instruction::End);
    function
}

/// Where a section stands in a module.
fn rank(section: SectionId) -> u8 {
    const ORDER: [SectionId; 13] = [
        SectionId::Type,
        SectionId::Import,
        SectionId::Function,
        SectionId::Table,
        SectionId::Memory,
        SectionId::Tag,
        SectionId::Global,
        SectionId::Export,
        SectionId::Start,
        SectionId::Element,
        SectionId::DataCount,
        SectionId::Code,
        SectionId::Data,
    ];
    ORDER.iter().position(|other| *other as u8 == section as u8).map_or(u8::MAX, |at| at as u8)
}

impl Reencode for Editor {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32> {
        Ok(self.shifted(index, self.functions, Edit::ImportFunction, Edit::Function))
    }

    fn global_index(&mut self, index: u32) -> Result<u32> {
        Ok(self.shifted(index, self.globals, Edit::ImportGlobal, Edit::Global))
    }

    fn memory_index(&mut self, index: u32) -> Result<u32> {
        Ok(self.shifted(index, self.memories, Edit::ImportMemory, Edit::Memory))
    }

    fn table_index(&mut self, index: u32) -> Result<u32> {
        Ok(self.shifted(index, self.tables, Edit::ImportTable, Edit::Table))
    }

    fn type_index(&mut self, index: u32) -> Result<u32> {
        Ok(index + u32::from(self.edit == Edit::Type))
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<()> {
        for section in self.pending.clone() {
            if before.is_none_or(|before| rank(section) < rank(before)) && self.take(section) {
                self.new_section(module, section);
            }
        }
        Ok(())
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<()> {
        let new = self.take(SectionId::Type);
        if new && self.edit == Edit::Type {
            new_type(types, self.edit);
        }
        utils::parse_type_section(self, types, section)?;
        if new && self.edit != Edit::Type {
            new_type(types, self.edit);
        }
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<()> {
        if self.take(SectionId::Import) {
            self.new_imports(imports);
        }
        utils::parse_import_section(self, imports, section)
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<()> {
        if self.take(SectionId::Function) {
            functions.function(self.types);
        }
        utils::parse_function_section(self, functions, section)
    }

    fn parse_table_section(
        &mut self,
        tables: &mut TableSection,
        section: TableSectionReader<'_>,
    ) -> Result<()> {
        if self.take(SectionId::Table) {
            tables.table(table_type());
        }
        utils::parse_table_section(self, tables, section)
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<()> {
        if self.take(SectionId::Memory) {
            memories.memory(memory_type());
        }
        utils::parse_memory_section(self, memories, section)
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<()> {
        if self.take(SectionId::Global) {
            globals.global(global_type(), &ConstExpr::i32_const(11));
        }
        utils::parse_global_section(self, globals, section)
    }

    fn parse_global(&mut self, globals: &mut GlobalSection, global: Global<'_>) -> Result<()> {
        if self.edit == Edit::GlobalValue
            && !self.value_changed
            && let Some(other) = other_value(&global.init_expr)
        {
            self.value_changed = true;
            globals.global(self.global_type(global.ty)?, &other);
            return Ok(());
        }
        utils::parse_global(self, globals, global)
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<()> {
        if self.take(SectionId::Export) {
            self.new_export(exports);
        }
        utils::parse_export_section(self, exports, section)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<()> {
        if self.take(SectionId::Code) {
            code.function(&new_function());
        }
        utils::parse_code_section(self, code, section)
    }
}

/// An expression with another value, if it is a constant integer.
fn other_value(expression: &ParsedConstExpr<'_>) -> Option<ConstExpr> {
    let mut operators = expression.get_operators_reader();
    let first = operators.read().ok()?;
    match (first, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) => Some(ConstExpr::i32_const(value ^ 0x500)),
        (Operator::I64Const { value }, Operator::End) => Some(ConstExpr::i64_const(value ^ 0x500)),
        _ => None,
    }
}

/// A number in exactly five bytes.
fn long_leb(value: usize) -> [u8; 5] {
    let mut bytes = [0; 5];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (value >> (7 * at)) as u8 & 0x7f | if at < 4 { 0x80 } else { 0 };
    }
    bytes
}

fn read_leb(bytes: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Rewrites each section's contents, and writes its size as five bytes.
fn map_sections(wasm: &[u8], mut contents: impl FnMut(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let (header, _) = wasm.split_at(8);
    let mut edited = header.to_vec();
    let mut at = header.len();
    while at < wasm.len() {
        let id = wasm[at];
        at += 1;
        let size = read_leb(wasm, &mut at);
        let contents = contents(id, &wasm[at..at + size]);
        edited.push(id);
        edited.extend(long_leb(contents.len()));
        edited.extend(contents);
        at += size;
    }
    edited
}

fn long_section_sizes(wasm: &[u8]) -> Option<Vec<u8>> {
    let edited = map_sections(wasm, |_, contents| contents.to_vec());
    // An empty module has no sections.
    (edited != wasm).then_some(edited)
}

/// One index in each function gets a needless byte, so that all that comes after
/// it has another place. Hints are given by place, so they are dropped.
fn long_indices(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                let mut grown = wasm[range.clone()].to_vec();
                if let Some(last) = last_byte_of_an_index(&body, wasm) {
                    let last = last - range.start;
                    grown[last] |= 0x80;
                    grown.insert(last + 1, 0);
                }
                bodies.push(grown);
            }
            Payload::CustomSection(section) if section.name() == "metadata.code.branch_hint" => {
                return None;
            }
            _ => {}
        }
    }
    if bodies.is_empty() {
        return None;
    }
    let code = SectionId::Code as u8;
    Some(map_sections(wasm, |id, contents| {
        if id != code {
            return contents.to_vec();
        }
        let mut section = long_leb(bodies.len()).to_vec();
        for body in &bodies {
            section.extend(long_leb(body.len()));
            section.extend(body);
        }
        section
    }))
}

/// Where the first operand of the kind ends that is an index below 128 or so.
fn last_byte_of_an_index(body: &wasmparser::FunctionBody<'_>, wasm: &[u8]) -> Option<usize> {
    let mut operators = body.get_operators_reader().ok()?;
    while !operators.eof() {
        let (operator, start) = operators.read_with_offset().ok()?;
        if let Operator::LocalGet { .. }
        | Operator::LocalSet { .. }
        | Operator::GlobalGet { .. }
        | Operator::Call { .. } = operator
        {
            // The opcode is one byte; five bytes are all that an index may have.
            let start = start + 1;
            let len = wasm[start..].iter().position(|byte| byte & 0x80 == 0)? + 1;
            if len < 5 {
                return Some(start + len - 1);
            }
        }
    }
    None
}
