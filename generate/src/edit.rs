//! A core module -> the same after an edit that a real build makes, in the binary format.

mod constants;
mod editor;
mod lebs;
mod tables;

pub use constants::Constants;
pub use tables::Tables;
use wasm_encoder::SectionId;

/// A smaller constant is hardly the address of anything.
const ADDRESS_MIN: i32 = 1024;

/// A smaller one that is compared, or added to an address, is rather a bound or a distance.
const DISTANCE_END: i32 = 1 << 14;

/// What stands in the place of a function's first offset while its code is generated.
pub const OFFSET_PLACEHOLDER: u64 = 0x0174_5a25;

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
    /// Imported functions in front, so many that nothing behind them in a
    /// `VMContext` is within 128 bytes.
    ImportFunctions,
    /// Other sizes of tables.
    Tables(Tables),
    /// Other constants in functions.
    Constants(Constants),
    /// All accesses have this offset, or the largest that their memory's type has.
    Offsets(u64),
    /// Where an access has a constant address, that and the offset are half of their sum each.
    HalvedAddresses,
    /// Each constant of a function, in its place the difference of two that can be
    /// addresses. All does what it did.
    Differences,
}

impl Edit {
    /// All edits but those of numbers in functions.
    pub const ALL: [Self; 19] = [
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
        Self::ImportFunctions,
        Self::Tables(Tables::Fixed),
        Self::Tables(Tables::Growing),
        Self::Tables(Tables::Longer),
    ];

    /// The edits of numbers in functions: across the borders of what can be an address, or within.
    pub const CONSTANTS: [Self; 27] = [
        Self::Constants(Constants::All(0)),
        Self::Constants(Constants::All(1023)),
        Self::Constants(Constants::All(1024)),
        Self::Constants(Constants::All(0x3fff)),
        Self::Constants(Constants::All(0x4000)),
        Self::Constants(Constants::All(0x7fff_ffff)),
        Self::Constants(Constants::All(0x8000_0000)),
        Self::Constants(Constants::All(-1024)),
        Self::Constants(Constants::PowersOfTwo),
        Self::Constants(Constants::Distinct),
        Self::Constants(Constants::OneAddress),
        Self::Constants(Constants::EverySecond),
        Self::Constants(Constants::Mirrored),
        Self::Constants(Constants::Distances),
        Self::Constants(Constants::All(OFFSET_PLACEHOLDER as i64)),
        Self::Offsets(0),
        Self::Offsets(1023),
        Self::Offsets(1024),
        Self::Offsets(0x1_0000),
        Self::Offsets(1 << 20),
        // Wasmtime's guard region is 32 MiB.
        Self::Offsets((32 << 20) - 17),
        Self::Offsets(32 << 20),
        Self::Offsets(i32::MAX as u64),
        Self::Offsets(u64::MAX),
        Self::Offsets(OFFSET_PLACEHOLDER),
        Self::HalvedAddresses,
        Self::Differences,
    ];

    /// All edits.
    pub fn every() -> Vec<Self> {
        [&Self::ALL[..], &Self::CONSTANTS].concat()
    }

    /// Whether all functions mean what they meant, so that all have to hit.
    pub fn changes_no_function(self) -> bool {
        matches!(self, Self::LongSectionSizes | Self::LongIndices)
    }

    /// The edited module, if the edit applies to it.
    pub fn apply(self, wasm: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::LongSectionSizes => lebs::long_section_sizes(wasm),
            Self::LongIndices => lebs::long_indices(wasm),
            Self::Tables(tables) => tables::apply(tables, wasm),
            Self::Constants(_) | Self::Offsets(_) | Self::HalvedAddresses | Self::Differences => {
                constants::apply(self, wasm)
            }
            _ => editor::apply(self, wasm),
        }
    }

    /// The sections that get something new.
    fn sections(self) -> &'static [SectionId] {
        match self {
            // The new function's type is put behind all others.
            Self::ImportFunction | Self::ImportFunctions => &[SectionId::Type, SectionId::Import],
            Self::ImportGlobal | Self::ImportMemory | Self::ImportTable => &[SectionId::Import],
            Self::Type => &[SectionId::Type],
            Self::Global => &[SectionId::Global],
            Self::Table => &[SectionId::Table],
            Self::Memory => &[SectionId::Memory],
            Self::Function => &[SectionId::Type, SectionId::Function, SectionId::Code],
            Self::ExportFunction | Self::ExportMemory => &[SectionId::Export],
            Self::GlobalValue
            | Self::MoveData
            | Self::LongSectionSizes
            | Self::LongIndices
            | Self::Tables(_)
            | Self::Constants(_)
            | Self::Offsets(_)
            | Self::HalvedAddresses
            | Self::Differences => &[],
        }
    }

    /// How many functions are imported in front.
    fn imported_functions(self) -> u32 {
        match self {
            Self::ImportFunction => 1,
            // Each takes 32 bytes, or half of that on a machine of 32 bits.
            Self::ImportFunctions => 8,
            _ => 0,
        }
    }
}
