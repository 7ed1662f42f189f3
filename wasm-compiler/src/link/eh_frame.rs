//! Frame description entries of all functions -> `.eh_frame`.
//!
//! The section follows the text; `pc_begin` is relative to its own field, so
//! the two can be mapped anywhere together (`obj.rs`,
//! `write_systemv_unwind_info`).

use super::{LinkedFunction, Place};
use crate::codegen::{CIE_POINTER_AT, FrameTables, PC_BEGIN_AT, PC_BEGIN_END};
use gimli::RunTimeEndian;
use stencil::compiled::Unwind;

/// Encodes the section; `None` if no function has an entry.
pub(super) fn encode(
    functions: &[LinkedFunction<'_>],
    places: &[Place],
    text_len: usize,
    frames: &FrameTables,
) -> Option<Vec<u8>> {
    let mut section = Vec::new();
    for (function, place) in functions.iter().zip(places) {
        let Unwind::SystemV(entry) = function.function.stencil().unwind() else {
            continue;
        };
        if section.is_empty() {
            section.extend_from_slice(&frames.information_bytes);
        }
        let at = section.len();
        section.extend_from_slice(entry);
        let cie_pointer = (at + CIE_POINTER_AT) as u32;
        let field = (at + PC_BEGIN_AT) as i64;
        let pc_begin = i64::from(place.start) - text_len as i64 - field;
        let (cie_pointer, pc_begin) = match frames.endian {
            RunTimeEndian::Little => (cie_pointer.to_le_bytes(), pc_begin.to_le_bytes()),
            RunTimeEndian::Big => (cie_pointer.to_be_bytes(), pc_begin.to_be_bytes()),
        };
        section[at + CIE_POINTER_AT..at + PC_BEGIN_AT].copy_from_slice(&cie_pointer);
        section[at + PC_BEGIN_AT..at + PC_BEGIN_END].copy_from_slice(&pc_begin);
    }
    if section.is_empty() {
        return None;
    }
    section.extend_from_slice(&[0; 4]);
    Some(section)
}
