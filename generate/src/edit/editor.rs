//! One edit -> every index and section of a module as it is after that.

use super::{ADDRESS_MIN, Edit};
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

type Result<T> = std::result::Result<T, Error<Infallible>>;

/// The edited module; `None` if there is nothing to edit.
pub(super) fn apply(edit: Edit, wasm: &[u8]) -> Option<Vec<u8>> {
    let mut editor = Editor::new(edit, wasm);
    let mut module = Module::new();
    if editor.has_nothing_to_export() {
        return None;
    }
    editor.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    assert!(editor.pending.is_empty(), "the encoder has left sections out");
    let applied = editor.value_changed || !matches!(edit, Edit::GlobalValue | Edit::MoveData);
    applied.then(|| module.finish())
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
            Edit::ImportFunction | Edit::ImportFunctions => EntityType::Function(self.types),
            Edit::ImportGlobal => EntityType::Global(global_type()),
            Edit::ImportMemory => EntityType::Memory(memory_type()),
            _ => EntityType::Table(table_type()),
        };
        for _ in 0..self.edit.imported_functions().max(1) {
            imports.import("edit", "new", ty);
        }
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
        let own = self.edit == Edit::Function && index >= self.functions.imported;
        Ok(index + self.edit.imported_functions() + u32::from(own))
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

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>> {
        match operator {
            Operator::I32Const { value } if self.edit == Edit::MoveData && value >= ADDRESS_MIN => {
                self.value_changed = true;
                Ok(Instruction::I32Const(value.saturating_add(16)))
            }
            operator => utils::instruction(self, operator),
        }
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
