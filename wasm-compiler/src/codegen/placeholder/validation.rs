//! A module's bytes -> what bodies are validated with that read its placeholders.
//!
//! The sections are validated once more, in a validator of their own, up to the first
//! body; that of the globals has the placeholders behind the module's own.

use super::body::put_leb;
use crate::error::CompileError;
use wasmparser::{
    BinaryReader, BinaryReaderError, GlobalSectionReader, Parser, Payload, Validator,
    ValidatorResources, WasmFeatures,
};
use wasmtime_environ::{Global, ModuleTranslation, WasmValType};

/// What a module's bodies are validated with, as if it had placeholders.
pub(super) fn resources(
    translation: &ModuleTranslation<'_>,
    features: WasmFeatures,
    added: &[Global],
) -> Result<ValidatorResources, CompileError> {
    let wasm = translation.wasm;
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut globals = Globals { added, are_in: false };
    for payload in parser.parse_all(wasm) {
        match payload? {
            Payload::Version { num, encoding, range } => {
                validator.version(num, encoding, &range)?
            }
            Payload::TypeSection(section) => validator.type_section(&section)?,
            Payload::ImportSection(section) => validator.import_section(&section)?,
            Payload::FunctionSection(section) => validator.function_section(&section)?,
            Payload::TableSection(section) => validator.table_section(&section)?,
            Payload::MemorySection(section) => validator.memory_section(&section)?,
            Payload::TagSection(section) => validator.tag_section(&section)?,
            Payload::GlobalSection(section) => {
                globals.add(&mut validator, section.count(), &wasm[section.range()])?;
            }
            Payload::ExportSection(section) => {
                globals.add_none(&mut validator)?;
                validator.export_section(&section)?;
            }
            Payload::StartSection { func, range } => {
                globals.add_none(&mut validator)?;
                validator.start_section(func, &range)?;
            }
            Payload::ElementSection(section) => {
                globals.add_none(&mut validator)?;
                validator.element_section(&section)?;
            }
            Payload::DataCountSection { count, range } => {
                globals.add_none(&mut validator)?;
                validator.data_count_section(count, &range)?;
            }
            Payload::CodeSectionStart { range, .. } => {
                globals.add_none(&mut validator)?;
                validator.code_section_start(&range)?;
            }
            Payload::CodeSectionEntry(body) => {
                return Ok(validator.code_section_entry(&body)?.resources);
            }
            _ => {}
        }
    }
    Err(CompileError::wasmtime("a module with a function has no body"))
}

/// A module's globals on the way into its validator, with placeholders behind them.
struct Globals<'g> {
    added: &'g [Global],
    are_in: bool,
}

impl Globals<'_> {
    /// Adds the globals of a section, given with its count in front.
    fn add(
        &mut self,
        validator: &mut Validator,
        count: u32,
        section: &[u8],
    ) -> Result<(), BinaryReaderError> {
        const I32: [u8; 5] = [0x7f, 0x01, 0x41, 0x00, 0x0b];
        const I64: [u8; 5] = [0x7e, 0x01, 0x42, 0x00, 0x0b];
        let mut own = BinaryReader::new(section, 0);
        own.read_var_u32()?;
        let mut bytes = Vec::with_capacity(section.len() + self.added.len() * I32.len() + 5);
        put_leb(&mut bytes, count + self.added.len() as u32);
        bytes.extend_from_slice(&section[own.original_position()..]);
        for global in self.added {
            bytes.extend(if global.wasm_ty == WasmValType::I32 { I32 } else { I64 });
        }
        self.are_in = true;
        validator.global_section(&GlobalSectionReader::new(BinaryReader::new(&bytes, 0))?)
    }

    /// The next section follows those of globals, of which there may have been none.
    fn add_none(&mut self, validator: &mut Validator) -> Result<(), BinaryReaderError> {
        match self.are_in {
            true => Ok(()),
            false => self.add(validator, 0, &[0]),
        }
    }
}
