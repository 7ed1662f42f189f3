//! A core module -> the same after an edit that a real build makes, in the binary format.

mod editor;
mod lebs;

use wasm_encoder::SectionId;

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
    /// Static data moves: every constant of an address's size, in code and where
    /// segments begin, is larger by 16.
    MoveData,
    /// All section sizes as five bytes, however small they are.
    LongSectionSizes,
    /// The first local index, global index or callee of each function in one
    /// byte more than it needs.
    LongIndices,
}

impl Edit {
    /// All edits.
    pub const ALL: [Self; 15] = [
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
        Self::MoveData,
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
            Self::LongSectionSizes => lebs::long_section_sizes(wasm),
            Self::LongIndices => lebs::long_indices(wasm),
            _ => editor::apply(self, wasm),
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
            Self::GlobalValue | Self::MoveData | Self::LongSectionSizes | Self::LongIndices => &[],
        }
    }
}
