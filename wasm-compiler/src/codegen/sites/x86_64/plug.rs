//! Reads of placeholders -> the constants themselves.
//!
//! Of an operator with a memory operand there is, for most, one of the same length with
//! an immediate operand in its place: the field of four bytes that was a displacement
//! becomes a constant. Any other operator reads the constant from behind the code,
//! relative to the instruction pointer; the field is then a distance, and the constant
//! stands in a pool.
//!
//! Invariant: no instruction moves. Where one gets shorter, a no-op follows it.

use super::super::{Read, Unexplained};
use iced_x86::{
    Code, ConstantOffsets, Decoder, DecoderOptions, EncodingKind, Instruction,
    InstructionInfoFactory, InstructionInfoOptions, OpAccess, OpKind,
};
use std::collections::BTreeMap;
use stencil::NumberIndex;
use stencil::compiled::{FieldKind, StencilField};

/// The pool starts at a multiple of this, in bytes, as its widest constants need.
const POOL_ALIGNMENT: usize = 8;

/// What fills gaps: a breakpoint between code and pool, no operation in the code.
const BREAKPOINT: u8 = 0xcc;
const NO_OPERATION: &[&[u8]] = &[&[], &[0x90], &[0x66, 0x90]];

const DISPLACEMENT_BYTES: usize = 4;

/// The bits of a REX prefix.
const REX: u8 = 0x40;
const REX_W: u8 = 0x08;
const REX_R: u8 = 0x04;
const REX_B: u8 = 0x01;

/// Puts constants in the place of reads; gives the fields that they stand in.
pub(super) fn plug(code: &mut Vec<u8>, reads: &[Read]) -> Result<Vec<StencilField>, Unexplained> {
    let mut fields = Vec::new();
    let mut pooled = Vec::new();
    let mut factory = InstructionInfoFactory::new();
    for read in reads {
        let instruction = Located::decode(code, read, &mut factory)?;
        match instruction.immediate_form() {
            Some(form) => fields.push(field(instruction.put_immediate(code, form), read.number)),
            None => pooled.push((instruction.put_relative(code), read)),
        }
    }
    pool(code, &pooled, &mut fields)?;
    fields.sort_unstable_by_key(|field| field.offset);
    Ok(fields)
}

fn field(offset: usize, number: NumberIndex) -> StencilField {
    StencilField { offset: offset as u32, kind: FieldKind::Word, number }
}

/// A displacement that is relative to the end of its instruction.
#[derive(Clone, Copy)]
struct Relative {
    field: usize,
    end: usize,
}

/// Appends the constants, each once, and points the displacements to them.
fn pool(
    code: &mut Vec<u8>,
    pooled: &[(Relative, &Read)],
    fields: &mut Vec<StencilField>,
) -> Result<(), Unexplained> {
    if pooled.is_empty() {
        return Ok(());
    }
    code.resize(code.len().next_multiple_of(POOL_ALIGNMENT), BREAKPOINT);
    // The wide ones first, so that all are aligned.
    let mut places = BTreeMap::new();
    for (_, read) in pooled {
        places.insert((std::cmp::Reverse(read.bytes), read.number), 0);
    }
    for ((bytes, number), place) in &mut places {
        *place = code.len();
        fields.push(field(*place, *number));
        // A wide constant is below 2^31 as well: its upper half is 0.
        code.resize(code.len() + usize::from(bytes.0), 0);
    }
    for (relative, read) in pooled {
        let place = places[&(std::cmp::Reverse(read.bytes), read.number)];
        let distance = i32::try_from(place - relative.end).map_err(|_| Unexplained {
            at: read.site.instruction,
            what: "a constant too far from its use",
        })?;
        let displacement = &mut code[relative.field..relative.field + DISPLACEMENT_BYTES];
        displacement.copy_from_slice(&distance.to_le_bytes());
    }
    Ok(())
}

/// An operator with an immediate operand.
#[derive(Clone, Copy)]
enum Form {
    /// `opcode /extension id` of the register operand.
    Group { opcode: u8, extension: u8 },
    /// `69 /r id`, into and of the register operand.
    Multiply,
}

/// A read's instruction, and where its parts are.
struct Located {
    instruction: Instruction,
    at: usize,
    /// The ModRM byte.
    modrm: usize,
    has_sib: bool,
    displacement: usize,
}

impl Located {
    fn decode(
        code: &[u8],
        read: &Read,
        factory: &mut InstructionInfoFactory,
    ) -> Result<Self, Unexplained> {
        let unexplained = |what| Unexplained { at: read.site.instruction, what };
        let at = read.site.instruction as usize;
        let bytes = code.get(at..).unwrap_or_default();
        let mut decoder = Decoder::with_ip(64, bytes, at as u64, DecoderOptions::NONE);
        let instruction = decoder.decode();
        let offsets: ConstantOffsets = decoder.get_constant_offsets(&instruction);
        let displacement = at + offsets.displacement_offset();
        if instruction.is_invalid()
            || offsets.displacement_size() != DISPLACEMENT_BYTES
            || displacement != read.site.at as usize
        {
            return Err(unexplained("a placeholder in an unknown encoding"));
        }
        let operand = (0..instruction.op_count())
            .find(|operand| instruction.op_kind(*operand) == OpKind::Memory);
        let info = factory.info_options(&instruction, InstructionInfoOptions::NO_REGISTER_USAGE);
        let is_read = operand.is_some_and(|operand| info.op_access(operand) == OpAccess::Read);
        if !is_read || instruction.memory_size().size() > usize::from(read.bytes) {
            return Err(unexplained("a placeholder that is not only read"));
        }
        // mod = 10: a base and four bytes. rm = 100: a SIB byte.
        const BASE_AND_FOUR: u8 = 0b10 << 6;
        let is_modrm = |at: usize, rm: fn(u8) -> bool| {
            code[at] & 0b11 << 6 == BASE_AND_FOUR && rm(code[at] & 0b111)
        };
        let base = instruction.memory_base();
        let has_sib = base == iced_x86::Register::RSP || base == iced_x86::Register::R12;
        let modrm = displacement - 1 - usize::from(has_sib);
        let fits = match has_sib {
            true => is_modrm(modrm, |rm| rm == 0b100),
            false => is_modrm(modrm, |rm| rm != 0b100),
        };
        if modrm <= at || !fits {
            return Err(unexplained("a placeholder in an unknown encoding"));
        }
        Ok(Self { instruction, at, modrm, has_sib, displacement })
    }

    /// The form with an immediate operand, if there is one.
    fn immediate_form(&self) -> Option<Form> {
        let group = |opcode, extension| Some(Form::Group { opcode, extension });
        if self.instruction.encoding() != EncodingKind::Legacy {
            return None;
        }
        // An immediate of four bytes is extended by its sign to eight, and no constant has
        // that bit; `movsxd` extends the constant in the same way.
        match self.instruction.code() {
            Code::Mov_r32_rm32 | Code::Mov_r64_rm64 | Code::Movsxd_r64_rm32 => group(0xc7, 0),
            Code::Add_r32_rm32 | Code::Add_r64_rm64 => group(0x81, 0),
            Code::Or_r32_rm32 | Code::Or_r64_rm64 => group(0x81, 1),
            Code::Adc_r32_rm32 | Code::Adc_r64_rm64 => group(0x81, 2),
            Code::Sbb_r32_rm32 | Code::Sbb_r64_rm64 => group(0x81, 3),
            Code::And_r32_rm32 | Code::And_r64_rm64 => group(0x81, 4),
            Code::Sub_r32_rm32 | Code::Sub_r64_rm64 => group(0x81, 5),
            Code::Xor_r32_rm32 | Code::Xor_r64_rm64 => group(0x81, 6),
            Code::Cmp_r32_rm32 | Code::Cmp_r64_rm64 => group(0x81, 7),
            Code::Test_rm32_r32 | Code::Test_rm64_r64 => group(0xf7, 0),
            Code::Imul_r32_rm32 | Code::Imul_r64_rm64 => Some(Form::Multiply),
            _ => None,
        }
        // Nothing stands in front of the opcode but a REX prefix.
        .filter(|form| self.modrm - self.at <= 1 + form.replaced_opcode_bytes())
    }

    /// Writes the instruction with an immediate operand; gives where that is.
    fn put_immediate(&self, code: &mut [u8], form: Form) -> usize {
        const REGISTERS: u8 = 0b11 << 6;
        let register = code[self.modrm] >> 3 & 0b111;
        let (opcode, extension, both) = match form {
            Form::Group { opcode, extension } => (opcode, extension, false),
            Form::Multiply => (0x69, register, true),
        };
        let mut bytes = Vec::with_capacity(self.instruction.len());
        if self.modrm - self.at > form.replaced_opcode_bytes() {
            // The register was the first operand of two, and is now also or only the other.
            let rex = code[self.at];
            let is_high = rex & REX_R != 0;
            let registers = match (is_high, both) {
                (false, _) => 0,
                (true, false) => REX_B,
                (true, true) => REX_R | REX_B,
            };
            bytes.push(REX | rex & REX_W | registers);
        }
        bytes.extend([opcode, REGISTERS | extension << 3 | register]);
        let field = self.at + bytes.len();
        bytes.extend([0; DISPLACEMENT_BYTES]);
        self.put(code, &bytes);
        field
    }

    /// Writes the instruction with an operand relative to its end.
    fn put_relative(&self, code: &mut [u8]) -> Relative {
        // mod = 00, rm = 101: the instruction pointer and four bytes, whatever the prefix
        // says about the base.
        const REGISTER: u8 = 0b111 << 3;
        const RELATIVE: u8 = 0b101;
        let end = self.at + self.instruction.len();
        let mut bytes = code[self.at..end].to_vec();
        let modrm = self.modrm - self.at;
        bytes[modrm] = bytes[modrm] & REGISTER | RELATIVE;
        if self.has_sib {
            bytes.remove(modrm + 1);
        }
        self.put(code, &bytes);
        let sib = usize::from(self.has_sib);
        Relative { field: self.displacement - sib, end: end - sib }
    }

    /// Writes an instruction in the place of this one.
    fn put(&self, code: &mut [u8], bytes: &[u8]) {
        let gap = NO_OPERATION[self.instruction.len() - bytes.len()];
        let place = &mut code[self.at..self.at + self.instruction.len()];
        let (instruction, rest) = place.split_at_mut(bytes.len());
        instruction.copy_from_slice(bytes);
        rest.copy_from_slice(gap);
    }
}

impl Form {
    /// The opcode's size, in bytes, of the operators with a memory operand.
    const fn replaced_opcode_bytes(self) -> usize {
        match self {
            Self::Group { .. } => 1,
            Self::Multiply => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Base, Code as Function, Read, Site};
    use super::super::find;
    use super::super::tests::bytes;
    use super::plug;
    use stencil::NumberIndex;

    /// All accesses of the `VMContext` are reads, of the constant whose number is the
    /// second byte of the displacement.
    fn reads(code: &[u8], width: u8) -> Vec<Read> {
        let function = Function { bytes: code, relocated: &[], landings: &[], type_ids_at: 0x28 };
        let read = |site: Site| {
            assert_eq!(site.base, Base::VmContext);
            Read { site, number: NumberIndex(site.displacement >> 8 & 0xff), bytes: width }
        };
        find(&function).expect("it is understood").into_iter().map(read).collect()
    }

    /// `fields` are (offset, number).
    #[track_caller]
    fn check(width: u8, code: &str, expected: &str, fields: &[(u32, u32)]) {
        let mut code = bytes(code);
        let reads = reads(&code, width);
        let found = plug(&mut code, &reads).expect("it is only read");
        let found: Vec<_> = found.iter().map(|field| (field.offset, field.number.0)).collect();
        let text =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        assert_eq!((text(&code), found), (text(&bytes(expected)), fields.to_vec()));
    }

    #[track_caller]
    fn check_refused(width: u8, code: &str) {
        let mut code = bytes(code);
        let reads = reads(&code, width);
        plug(&mut code, &reads).expect_err("it is not only a read");
    }

    #[test]
    fn an_operator_gets_an_immediate_of_the_same_length() {
        // mov eax, [rdi+0x20100]; mov r9d, [rdi+0x20200]; ret
        let moves = "8b8700010200 448b8f00020200 c3";
        check(4, moves, "c7c000000000 41c7c100000000 c3", &[(2, 1), (9, 2)]);
        // movsxd rax, [rdi+..]; mov r10, [rdi+..]; ret
        let wide = "48638700010200 4c8b9700020200 c3";
        check(8, wide, "48c7c000000000 49c7c200000000 c3", &[(3, 1), (10, 2)]);
        // add, or, adc, sbb, and, sub, xor, cmp ecx, [rdi+..]; ret
        let all = "038f00010200 0b8f00010200 138f00010200 1b8f00010200 \
                   238f00010200 2b8f00010200 338f00010200 3b8f00010200 c3";
        let immediates = "81c100000000 81c900000000 81d100000000 81d900000000 \
                          81e100000000 81e900000000 81f100000000 81f900000000 c3";
        let fields: Vec<_> = (0..8).map(|at| (at * 6 + 2, 1)).collect();
        check(4, all, immediates, &fields);
        // test [rdi+..], r8d; ret
        check(4, "44858700010200 c3", "41f7c000000000 c3", &[(3, 1)]);
    }

    #[test]
    fn what_gets_shorter_is_followed_by_a_no_op() {
        // imul r9d, [rdi+..]; imul rcx, [rdi+..]; ret
        let multiply = "440faf8f00010200 480faf8f00020200 c3";
        check(8, multiply, "4569c90000000090 4869c90000000090 c3", &[(3, 1), (11, 2)]);
        // mov r12, rdi; mov eax, [r12+..]; cmovb eax, [r12+..]; ret
        let sib = "4989fc 418b842400010200 410f42842400020200 c3";
        let expected = "4989fc 40c7c00000000090 410f420505000000 90 c3 cccccc 00000000";
        check(4, sib, expected, &[(6, 1), (24, 2)]);
    }

    #[test]
    fn any_other_operator_reads_from_behind_the_code() {
        // cmp [rdi+0x20100], eax; cmp [rdi+0x20200], 7; cmp [rdi+0x20100], ecx; ret
        let code = "398700010200 83bf0002020007 398f00010200 c3";
        // The distances are those from the ends of the instructions: a constant stands
        // there once, however often it is read.
        let expected = "390512000000 833d0f00000007 390d05000000 c3 cccccccc 00000000 00000000";
        check(4, code, expected, &[(24, 1), (28, 2)]);
        // add [rdi+..] as a second operand of a vector's: vpaddd xmm0, xmm0, [rdi+..] is wider
        check_refused(8, "c5f9fe8700010200 c3");
        // vpinsrd xmm0, xmm0, [rdi+..], 1; ret
        let vector = "c4e379228700010200 01 c3";
        check(4, vector, "c4e379220506000000 01 c3 cccccccccc 00000000", &[(16, 1)]);
    }

    #[test]
    fn wide_constants_stand_first_and_are_aligned() {
        // cmp [rdi+0x20100], rax; ret
        let code = "48398700010200 c3";
        check(8, code, "48390501000000 c3 0000000000000000", &[(8, 1)]);
    }

    #[test]
    fn what_is_not_only_read_is_refused() {
        check_refused(4, "898700010200 c3"); // mov [rdi+..], eax
        check_refused(4, "018700010200 c3"); // add [rdi+..], eax
        check_refused(4, "488b8700010200 c3"); // mov rax, [rdi+..]: eight bytes of four
        check_refused(4, "ff9700010200 c3"); // call [rdi+..]
        check_refused(4, "8b4750 c3"); // mov eax, [rdi+0x50]: a displacement of one byte
    }
}
