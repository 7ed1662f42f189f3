//! Unwind information -> a frame description entry that can lie anywhere.

use cranelift_codegen::isa::unwind::UnwindInfo;
use gimli::RunTimeEndian;
use gimli::write::{
    Address, CommonInformationEntry, EhFrame, EndianVec, FrameDescriptionEntry, FrameTable,
};
use stencil::StencilBuilder;

/// Where a frame description entry holds its distance to the CIE, in bytes.
pub(crate) const CIE_POINTER_AT: usize = 4;
/// Where it holds `pc_begin`, which is 8 bytes wide on 64-bit targets.
pub(crate) const PC_BEGIN_AT: usize = 8;
/// Where `pc_begin` ends.
pub(crate) const PC_BEGIN_END: usize = 16;

/// The parts of `.eh_frame` that all functions share.
pub(crate) struct FrameTables {
    information: Option<CommonInformationEntry>,
    pub(crate) endian: RunTimeEndian,
    /// The CIE's bytes; the section starts with them.
    pub(crate) information_bytes: Vec<u8>,
}

impl FrameTables {
    pub(crate) fn new(information: Option<CommonInformationEntry>, endian: RunTimeEndian) -> Self {
        let mut tables = Self {
            information: information.map(|mut information| {
                information.fde_address_encoding = gimli::constants::DW_EH_PE_pcrel;
                information
            }),
            endian,
            information_bytes: Vec::new(),
        };
        if let Some((information, _)) =
            tables.write(FrameDescriptionEntry::new(Address::Constant(0), 0))
        {
            tables.information_bytes = information;
        }
        tables
    }

    /// Writes a section of the CIE and one entry; gives the two apart.
    fn write(&self, entry: FrameDescriptionEntry) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut table = FrameTable::default();
        let information = table.add_cie(self.information.clone()?);
        table.add_fde(information, entry);
        let mut section = EhFrame(EndianVec::new(self.endian));
        table.write_eh_frame(&mut section).ok()?;
        let mut information = section.0.into_vec();
        let len: [u8; 4] = *information.first_chunk()?;
        let len = match self.endian {
            RunTimeEndian::Little => u32::from_le_bytes(len),
            RunTimeEndian::Big => u32::from_be_bytes(len),
        };
        let entry = information.split_off(usize::try_from(len).ok()? + 4);
        Some((information, entry))
    }

    /// Gives a stencil its unwind information; false if it is of a kind that
    /// this program does not write.
    pub(crate) fn add(&self, stencil: &mut StencilBuilder, unwind: Option<&UnwindInfo>) -> bool {
        match unwind {
            None => true,
            // Without a CIE there is no section (`write_systemv_unwind_info`).
            Some(UnwindInfo::SystemV(_)) if self.information.is_none() => true,
            Some(UnwindInfo::SystemV(info)) => {
                let Some((_, mut entry)) = self.write(info.to_fde(Address::Constant(0))) else {
                    return false;
                };
                let Some(position) = entry.get_mut(CIE_POINTER_AT..PC_BEGIN_END) else {
                    return false;
                };
                position.fill(0);
                stencil.unwind_systemv(entry);
                true
            }
            Some(_) => false,
        }
    }
}
