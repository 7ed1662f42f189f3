//! Two codes of one function, from bodies that differ in numbers -> the fields that hold
//! these numbers.
//!
//! Invariant: each difference lies in a displacement or an immediate operand of four bytes
//! of an instruction that is otherwise the same, and what is no instruction is the same.

use super::super::{Code, Difference, Unexplained};
use super::graph::Graph;
use iced_x86::{Decoder, DecoderOptions, Instruction};

/// The size of a field, in bytes.
const FIELD_BYTES: usize = 4;

pub(super) fn differences(one: &Code<'_>, other: &[u8]) -> Result<Vec<Difference>, Unexplained> {
    let unexplained = |at, what| Unexplained { at, what };
    if one.bytes.len() != other.len() {
        return Err(unexplained(0, "code whose length depends on a number"));
    }
    // What has not been accounted for yet.
    let mut rest = other.to_vec();
    let mut found = Vec::new();
    for instruction in Graph::decode(one)?.instructions() {
        let at = instruction.at as usize;
        let place = at..instruction.end() as usize;
        if one.bytes[place.clone()] == other[place.clone()] {
            continue;
        }
        for field in fields(one.bytes, other, at) {
            let number = |code: &[u8]| code.get(field..)?.first_chunk().copied();
            let (Some(of_one), Some(of_other)) = (number(one.bytes), number(other)) else {
                return Err(unexplained(instruction.at, "an instruction out of the code"));
            };
            if of_one != of_other {
                rest[field..field + FIELD_BYTES].copy_from_slice(&of_one);
                found.push(Difference {
                    at: field as u32,
                    one: u32::from_le_bytes(of_one),
                    other: u32::from_le_bytes(of_other),
                });
            }
        }
        if one.bytes[place.clone()] != rest[place] {
            return Err(unexplained(instruction.at, "an instruction that depends on a number"));
        }
    }
    if one.bytes != rest {
        return Err(unexplained(0, "data that depends on a number"));
    }
    found.sort_unstable_by_key(|difference| difference.at);
    Ok(found)
}

/// The fields of four bytes that the instruction at an offset has in both codes.
fn fields(one: &[u8], other: &[u8], at: usize) -> Vec<usize> {
    let (one, other) = (fields_of(one, at), fields_of(other, at));
    if one == other { one.map_or(Vec::new(), |(_, fields)| fields) } else { Vec::new() }
}

/// An instruction's length, and its fields of four bytes.
fn fields_of(code: &[u8], at: usize) -> Option<(usize, Vec<usize>)> {
    let mut decoder = Decoder::with_ip(64, code.get(at..)?, at as u64, DecoderOptions::NONE);
    let instruction: Instruction = decoder.decode();
    let offsets = decoder.get_constant_offsets(&instruction);
    let mut fields = Vec::new();
    if offsets.displacement_size() == FIELD_BYTES && !instruction.is_ip_rel_memory_operand() {
        fields.push(at + offsets.displacement_offset());
    }
    let is_branch = instruction.is_jmp_short_or_near()
        || instruction.is_jcc_short_or_near()
        || instruction.is_call_near();
    if offsets.immediate_size() == FIELD_BYTES && !is_branch {
        fields.push(at + offsets.immediate_offset());
    }
    (!instruction.is_invalid()).then_some((instruction.len(), fields))
}
