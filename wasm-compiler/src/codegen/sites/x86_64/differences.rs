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

#[cfg(test)]
mod tests {
    use super::super::super::{Code, Difference};
    use super::super::tests::bytes;
    use super::differences;

    fn between(one: &str, other: &str) -> Result<Vec<Difference>, &'static str> {
        let one = bytes(one);
        let one = Code { bytes: &one, relocated: &[], landings: &[], type_ids_at: 0x28 };
        differences(&one, &bytes(other)).map_err(|error| error.what)
    }

    #[test]
    fn displacements_and_immediate_operands_of_four_bytes_are_found() {
        // mov eax, [rsi+rdx+..]; add rax, ..; mov dword [rsi+..], ..; ret
        let one = "8b841601000010 480502000010 c78603000010 04000010 c3";
        let other = "8b841601000020 480502000020 c78603000020 04000020 c3";
        let found = between(one, other).expect("they differ in numbers");
        let found: Vec<_> = found.iter().map(|field| (field.at, field.one, field.other)).collect();
        let number = |at: u32, low: u32| (at, 0x1000_0000 | low, 0x2000_0000 | low);
        assert_eq!(found, [number(3, 1), number(9, 2), number(15, 3), number(19, 4)]);
        assert_eq!(between(one, one), Ok(Vec::new()));
    }

    #[test]
    fn any_other_difference_is_refused() {
        let instruction = Err("an instruction that depends on a number");
        // mov eax, [rsi+..]; ret: into ecx, with another base, another operator
        let one = "8b8601000010 c3";
        for other in ["8b8e01000010 c3", "8b8701000010 c3", "038601000010 c3"] {
            assert_eq!(between(one, other), instruction, "{other}");
        }
        // mov al, ..: one byte
        assert_eq!(between("b001 c3", "b002 c3"), instruction);
        // jmp: a distance
        assert_eq!(between("e900000000 c3", "e901000000 c3"), instruction);
        // mov eax, [rip+..]; ret; and what it reads
        let constant = "8b0501000000 c3 11000000";
        assert_eq!(between(constant, "8b0502000000 c3 11000000"), instruction);
        let data = Err("data that depends on a number");
        assert_eq!(between(constant, "8b0501000000 c3 12000000"), data);
        assert_eq!(between(one, "90 c3"), Err("code whose length depends on a number"));
    }
}
