//! Code -> what four bytes of its instructions hold one of the numbers that are looked for.

use super::super::{Code, Unexplained, Word};
use super::graph::Graph;
use super::instruction::{Decoded, Effect, From};
use std::ops::Range;

/// The size of a number, in bytes.
const BYTES: usize = 4;

pub(super) fn words(code: &Code<'_>, values: &Range<u32>) -> Result<Vec<Word>, Unexplained> {
    let mut words = Vec::new();
    for instruction in Graph::decode(code)?.instructions() {
        let start = instruction.at;
        let bytes = &code.bytes[start as usize..instruction.end() as usize];
        for (at, bytes) in bytes.array_windows::<BYTES>().enumerate() {
            let value = u32::from_le_bytes(*bytes);
            if values.contains(&value) {
                let is_added_to_two = is_added_to_two(instruction, at);
                words.push(Word {
                    at: start + at as u32,
                    instruction: start,
                    value,
                    is_added_to_two,
                });
            }
        }
    }
    Ok(words)
}

/// Whether an instruction accesses what two registers and the four bytes at an offset in it
/// are the address of.
fn is_added_to_two(instruction: &Decoded, at: usize) -> bool {
    let Some(memory) = instruction.memory else { return false };
    let (field_at, width) = memory.field;
    (usize::from(field_at), usize::from(width)) == (at, BYTES)
        && matches!(memory.from, From::Register(_))
        && memory.index != 0
        && instruction.effect != Effect::Address
}

#[cfg(test)]
mod tests {
    use super::super::super::{Code, Word};
    use super::super::tests::bytes;

    /// What is found of the numbers from 0x0100_0000 to 0x0100_00ff: offset, instruction,
    /// number, whether an access adds it to two registers.
    fn found(text: &str) -> Vec<(u32, u32, u32, bool)> {
        let bytes = bytes(text);
        let code = Code { bytes: &bytes, relocated: &[], landings: &[], type_ids_at: 0x28 };
        let words = super::words(&code, &(0x0100_0000..0x0100_0100)).expect("it is understood");
        let tuple = |Word { at, instruction, value, is_added_to_two }| {
            (at, instruction, value, is_added_to_two)
        };
        words.into_iter().map(tuple).collect()
    }

    const NUMBER: u32 = 0x0100_0025;

    #[test]
    fn an_access_adds_it_to_two_registers() {
        // mov eax, [rsi+rdx+..]; mov [rsi+rdx*4+..], eax; ret
        assert_eq!(found("8b841625000001 c3"), [(3, 0, NUMBER, true)]);
        assert_eq!(found("90 89849625000001 c3"), [(4, 1, NUMBER, true)]);
        // vmovups xmm0, [rsi+rdx+..]; add eax, [rsi+rdx+..]; ret
        assert_eq!(found("c5f810841625000001 c3"), [(5, 0, NUMBER, true)]);
        assert_eq!(found("03841625000001 c3"), [(3, 0, NUMBER, true)]);
    }

    #[test]
    fn anything_else_is_told_apart() {
        // mov eax, [rsi+..]; mov eax, [rdx*8+..]; lea rax, [rsi+rdx+..]
        assert_eq!(found("8b8625000001 c3"), [(2, 0, NUMBER, false)]);
        assert_eq!(found("8b04d525000001 c3"), [(3, 0, NUMBER, false)]);
        assert_eq!(found("488d841625000001 c3"), [(4, 0, NUMBER, false)]);
        // mov eax, ..; mov rax, ..; add rax, ..; mov dword [rsi+rdx+0x10], ..
        assert_eq!(found("b825000001 c3"), [(1, 0, NUMBER, false)]);
        assert_eq!(found("48b82500000100000000 c3"), [(2, 0, NUMBER, false)]);
        assert_eq!(found("480525000001 c3"), [(2, 0, NUMBER, false)]);
        assert_eq!(found("c744161025000001 c3"), [(4, 0, NUMBER, false)]);
        // Other numbers, and one across two instructions.
        assert_eq!(found("b825000002 b8000000ff 6825000000 01c0 c3"), []);
    }
}
