//! A module's `reloc.CODE` section -> which numbers in its bodies are addresses.
//!
//! `wasm-ld --emit-relocs` leaves it: for each number that it has filled in, where that is, as
//! an offset from the start of the code section, and of what kind it is
//! (<https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md>). A number that it does
//! not name is told by its value, as without it: line numbers and sizes change from one release to
//! the next as addresses do.
//!
//! What the section says decides what is found again, and not whether code is right: whether a
//! number is a parameter is in the key, and code for one value is code for all. So a section
//! that cannot be read is as good as none.

use wasmparser::{BinaryReader, BinaryReaderError, RelocSectionReader, RelocationType};

/// The numbers of a module's bodies that are addresses in a memory or places in a table.
pub(super) struct Relocations {
    /// Where they stand in the input, in ascending order.
    places: Vec<usize>,
}

impl Relocations {
    /// The section that a module has, if it does. The module's first body starts at an offset
    /// of the input, which is not that of the module where the module is a component's.
    pub(super) fn of(module: &[u8], first_body: usize) -> Option<Self> {
        read(module, first_body).ok().flatten()
    }

    /// Whether one stands at an offset of the input.
    pub(super) fn contain(&self, place: usize) -> bool {
        self.places.binary_search(&place).is_ok()
    }
}

fn read(module: &[u8], first_body: usize) -> Result<Option<Relocations>, BinaryReaderError> {
    /// The magic number and the version.
    const HEADER_BYTES: usize = 8;
    const CUSTOM: u8 = 0;
    const CODE: u8 = 10;
    let mut reader = BinaryReader::new(module, 0);
    reader.read_bytes(HEADER_BYTES)?;
    let mut sections = 0;
    // Which of the sections the code is, and where it starts in the input.
    let mut code = None;
    while !reader.eof() {
        let id = reader.read_u8()?;
        let len = reader.read_var_u32()? as usize;
        let start = reader.original_position();
        let mut section = BinaryReader::new(reader.read_bytes(len)?, start);
        if id == CODE {
            // The count, and the first body's length.
            section.read_var_u32()?;
            section.read_var_u32()?;
            let header_len = section.original_position() - start;
            code = first_body.checked_sub(header_len).map(|start| (sections, start));
        }
        if id == CUSTOM
            && section.read_string()? == "reloc.CODE"
            && let Some((index, start)) = code
        {
            let relocations = RelocSectionReader::new(section)?;
            if relocations.section_index() == index {
                return places(&relocations, start).map(Some);
            }
        }
        sections += 1;
    }
    Ok(None)
}

fn places(
    relocations: &RelocSectionReader<'_>,
    code: usize,
) -> Result<Relocations, BinaryReaderError> {
    let mut places = Vec::new();
    for relocation in relocations.entries() {
        let relocation = relocation?;
        if is_address(relocation.ty) {
            places.push(code + relocation.offset as usize);
        }
    }
    places.sort_unstable();
    Ok(Relocations { places })
}

/// Whether the number that a relocation fills in is an address, or relative to one that is
/// known when the program is loaded.
fn is_address(ty: RelocationType) -> bool {
    use RelocationType::*;
    matches!(
        ty,
        MemoryAddrLeb
            | MemoryAddrSleb
            | MemoryAddrRelSleb
            | MemoryAddrTlsSleb
            | MemoryAddrLeb64
            | MemoryAddrSleb64
            | MemoryAddrRelSleb64
            | MemoryAddrTlsSleb64
            | TableIndexSleb
            | TableIndexRelSleb
            | TableIndexSleb64
            | TableIndexRelSleb64
    )
}
