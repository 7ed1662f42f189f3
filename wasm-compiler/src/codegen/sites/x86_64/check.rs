//! Final code and the code that it was made of -> whether each instruction is the same,
//! but for the numbers that are expected.
//!
//! Invariant: of what puts the numbers there it has the sites and the decoder, and nothing else.

use super::super::{Code, Expected, Site, Unexplained};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};

pub(super) fn check(
    template: &Code<'_>,
    final_code: &[u8],
    expected: &[Expected],
) -> Result<(), Unexplained> {
    let unexplained = |at, what| Unexplained { at, what };
    // The final code with everything undone that is as expected.
    let mut undone = final_code.to_vec();
    for expectation in expected {
        let (start, end, what) = match *expectation {
            Expected::Displacement { site, number } => {
                let width = usize::from(site.width);
                let field = site.at as usize..site.at as usize + width;
                let limit = [1, 0x80, 0, 0, 1 << 31].get(width).copied().unwrap_or(0);
                let holds = final_code.get(field.clone()) == number.to_le_bytes().get(..width)
                    && number < limit;
                (field.start, field.end, (!holds).then_some("another displacement"))
            }
            Expected::Field { at, number } => {
                let field = at as usize..at as usize + 4;
                let holds = final_code.get(field.clone()) == Some(&number.to_le_bytes());
                (field.start, field.end, (!holds).then_some("another offset"))
            }
            Expected::Constant { site, value, bytes } => {
                let constant = Constant { template, final_code, site, value, bytes };
                let (start, end) = constant.instruction()?;
                (start, end, constant.difference())
            }
        };
        if let Some(what) = what {
            return Err(unexplained(start as u32, what));
        }
        let (Some(place), Some(original)) =
            (undone.get_mut(start..end), template.bytes.get(start..end))
        else {
            return Err(unexplained(start as u32, "a place out of the code"));
        };
        place.copy_from_slice(original);
    }
    let at = undone.iter().zip(template.bytes).position(|(one, other)| one != other);
    match at {
        Some(at) => Err(unexplained(at as u32, "a byte that should be the same")),
        None if undone.len() < template.bytes.len() => Err(unexplained(0, "missing code")),
        None => Ok(()),
    }
}

fn decode(code: &[u8], at: usize) -> Option<Instruction> {
    let mut decoder = Decoder::with_ip(64, code.get(at..)?, at as u64, DecoderOptions::NONE);
    Some(decoder.decode()).filter(|instruction| !instruction.is_invalid())
}

/// A constant where a placeholder was read.
struct Constant<'c> {
    template: &'c Code<'c>,
    final_code: &'c [u8],
    site: Site,
    value: u32,
    /// The constant's size.
    bytes: u8,
}

impl Constant<'_> {
    /// Where the reading instruction is.
    fn instruction(&self) -> Result<(usize, usize), Unexplained> {
        let at = self.site.instruction;
        let read = decode(self.template.bytes, at as usize);
        let read = read.ok_or(Unexplained { at, what: "bytes that are no instruction" })?;
        Ok((at as usize, at as usize + read.len()))
    }

    /// What is wrong with the instruction in its place.
    fn difference(&self) -> Option<&'static str> {
        let at = self.site.instruction as usize;
        let (Some(read), Some(found)) =
            (decode(self.template.bytes, at), decode(self.final_code, at))
        else {
            return Some("bytes that are no instruction");
        };
        let is_same = match found.is_ip_rel_memory_operand() {
            true => self.reads_the_same(&read, &found),
            false => self.has_the_same(&read, &found),
        };
        let mut rest = at + found.len();
        while rest < at + read.len() {
            match decode(self.final_code, rest) {
                Some(gap) if gap.mnemonic() == Mnemonic::Nop => rest += gap.len(),
                _ => return Some("a gap that is not empty"),
            }
        }
        let fits = rest == at + read.len();
        (!is_same || !fits).then_some("an instruction with another constant")
    }

    /// Whether one reads from memory what the other has as an immediate operand.
    fn has_the_same(&self, read: &Instruction, found: &Instruction) -> bool {
        // A move that extends the sign of a constant is one of the extended constant.
        let mnemonic = match read.mnemonic() {
            Mnemonic::Movsxd => Mnemonic::Mov,
            mnemonic => mnemonic,
        };
        // The product of all of a register, and that of three operands, are none of two.
        let &[register] = &*operands(read, OpKind::Register) else { return false };
        let found_registers = operands(found, OpKind::Register);
        let last = found.op_count().saturating_sub(1);
        let constant = match found.op_kind(last) {
            OpKind::Immediate32 => u64::from(found.immediate32()),
            OpKind::Immediate32to64 => found.immediate32to64() as u64,
            _ => return false,
        };
        // The register is the first operand of both; of a test it does not matter.
        let in_order = read.op_kind(0) == OpKind::Register || matches!(mnemonic, Mnemonic::Test);
        let registers_fit = match mnemonic {
            Mnemonic::Imul => found_registers == [register, register],
            _ => found_registers == [register],
        };
        found.mnemonic() == mnemonic
            && is_binary(mnemonic)
            && read.op_count() == 2
            && in_order
            && registers_fit
            && operands(found, OpKind::Memory).is_empty()
            && constant == u64::from(self.value)
    }

    /// Whether both read, the one a placeholder and the other the constant.
    fn reads_the_same(&self, read: &Instruction, found: &Instruction) -> bool {
        let place = found.ip_rel_memory_address() as usize;
        let bytes = usize::from(self.bytes);
        let mut expected = u64::from(self.value).to_le_bytes();
        expected[bytes..].fill(0);
        let immediates = |instruction: &Instruction| {
            let is_immediate = |operand: &u32| instruction.try_immediate(*operand).is_ok();
            let operands = (0..instruction.op_count()).filter(is_immediate);
            operands.map(|operand| instruction.immediate(operand)).collect::<Vec<_>>()
        };
        found.code() == read.code()
            && operands(found, OpKind::Register) == operands(read, OpKind::Register)
            && immediates(found) == immediates(read)
            && found.memory_size().size() <= bytes
            && place >= self.template.bytes.len()
            && place.is_multiple_of(bytes)
            && self.final_code.get(place..place + bytes) == expected.get(..bytes)
    }
}

/// Operators of two operands, the second of which may be an immediate one.
fn is_binary(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Mov
            | Mnemonic::Add
            | Mnemonic::Or
            | Mnemonic::Adc
            | Mnemonic::Sbb
            | Mnemonic::And
            | Mnemonic::Sub
            | Mnemonic::Xor
            | Mnemonic::Cmp
            | Mnemonic::Test
            | Mnemonic::Imul
    )
}

/// An instruction's operands of a kind: their registers, if that is the kind.
fn operands(instruction: &Instruction, kind: OpKind) -> Vec<iced_x86::Register> {
    let of_kind = (0..instruction.op_count()).filter(|at| instruction.op_kind(*at) == kind);
    of_kind.map(|at| instruction.op_register(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::{Base, Code, Expected, Site};
    use super::super::find;
    use super::super::tests::bytes;
    use super::{Unexplained, check as check_code};

    /// Accesses at 0x20100 and above are reads of the constant 0x12345, of so many bytes;
    /// others have to be 0x10 bytes further.
    fn expected(code: &Code<'_>, width: u8) -> Vec<Expected> {
        let expected = |site: Site| {
            assert_eq!(site.base, Base::VmContext);
            match site.displacement {
                0x20100.. => Expected::Constant { site, value: 0x12345, bytes: width },
                number => Expected::Displacement { site, number: number + 0x10 },
            }
        };
        find(code).expect("it is understood").into_iter().map(expected).collect()
    }

    /// What is wrong, if anything is.
    fn wrong(width: u8, template: &str, final_code: &str) -> Option<&'static str> {
        let template = bytes(template);
        let template = Code { bytes: &template, relocated: &[], landings: &[], type_ids_at: 0x28 };
        let expected = expected(&template, width);
        check_code(&template, &bytes(final_code), &expected).err().map(|error| error.what)
    }

    /// Right, and wrong in each of the other ways.
    #[track_caller]
    fn check(width: u8, template: &str, right: &str, others: &[(&str, &str)]) {
        assert_eq!(wrong(width, template, right), None);
        for (other, what) in others {
            assert_eq!(wrong(width, template, other), Some(*what), "{other}");
        }
    }

    const CONSTANT: &str = "an instruction with another constant";

    #[test]
    fn an_immediate_operand_is_the_constant() {
        // mov ecx, [rdi+0x20100]; ret
        check(
            4,
            "8b8f00010200 c3",
            "c7c145230100 c3",
            &[
                ("c7c146230100 c3", CONSTANT), // another constant
                ("c7c245230100 c3", CONSTANT), // into edx
                ("81c145230100 c3", CONSTANT), // add
                ("8b8f00010200 c3", CONSTANT), // the read itself
                ("c7c145230100 90", "a byte that should be the same"), // no ret
                ("c7c145230100", "missing code"), // none at all
                ("b94523010040 c3", "a gap that is not empty"), // a shorter move
                ("ffffffffffff c3", "bytes that are no instruction"),
            ],
        );
        // test [rdi+..], edx; imul r9d, [rdi+..]; movsxd rax, [rdi+..]; ret
        let template = "859700010200 440faf8f00010200 48638700010200 c3";
        let right = "f7c245230100 4569c94523010090 48c7c045230100 c3";
        let of_another = right.replace("4569c9", "4569c8");
        check(4, template, right, &[(&of_another, CONSTANT)]);
        // imul eax, [rdi+..], 7; ret
        let right = "690502000000 07000000 c3 cc 45230100";
        let of_two = "69c045230100 90909090 c3";
        check(4, "698700010200 07000000 c3", right, &[(of_two, CONSTANT)]);
        // imul dword [rdi+..]; ret
        check(
            4,
            "f7af00010200 c3",
            "f72d02000000 c3 cc 45230100",
            &[("69c045230100 c3", CONSTANT)],
        );
    }

    #[test]
    fn operands_are_not_swapped() {
        // cmp rax, [rdi+0x20100]; ret, and cmp [rdi+0x20100], rax; ret
        let right = "483d45230100 90 c3";
        assert_eq!(wrong(8, "483b8700010200 c3", right), None);
        assert_eq!(wrong(8, "48398700010200 c3", right), Some(CONSTANT));
    }

    #[test]
    fn an_operand_behind_the_code_is_the_constant() {
        // cmp [rdi+0x20100], rax; ret
        check(
            8,
            "48398700010200 c3",
            "48390501000000 c3 4523010000000000",
            &[
                ("48390501000000 c3 4623010000000000", CONSTANT), // another constant
                ("48390501000000 c3 4523010001000000", CONSTANT), // in its upper half
                ("48390502000000 c3 cc4523010000000000", CONSTANT), // not aligned
                ("48390501000000 c3 45230100", CONSTANT),         // not all of it
                ("483905f9ffffff c3 4523010000000000", CONSTANT), // in the code
                ("48390d01000000 c3 4523010000000000", CONSTANT), // with rcx
            ],
        );
    }

    #[test]
    fn a_displacement_is_the_entitys() {
        // mov eax, [rdi+0x50]; mov eax, [rdi+0x150]; ret
        let template = "8b4750 8b8750010000 c3";
        let other = "another displacement";
        let others = [("8b4750 8b8760010000 c3", other), ("8b4760 8b8750010000 c3", other)];
        check(4, template, "8b4760 8b8760010000 c3", &others);
    }

    /// mov eax, [rdi+0x20100]; cmovb ecx, [rdi+0x20200]; mov edx, [rdi+0x50];
    /// add ecx, [rsi+0x1000025]; ret
    const TEMPLATE: &str = "8b8700010200 0f428f00020200 8b5750 038e25000001 c3";

    /// mov eax, 0x111b1; cmovb ecx, [rip+11]; mov edx, [rdi+0x58]; add ecx, [rsi+0x11170];
    /// ret; then a gap, and 0x13880.
    const FINAL: &str = "c7c0b1110100 0f420d0b000000 8b5758 038e70110100 c3 cc 80380100";

    const GAP: usize = 23;

    /// Checks code of [`TEMPLATE`] with two constants, a displacement and an offset.
    fn check_final(final_code: &[u8], constants: [u32; 2]) -> Result<(), Unexplained> {
        let template = bytes(TEMPLATE);
        let code = Code { bytes: &template, relocated: &[], landings: &[], type_ids_at: 0x28 };
        let expected = |site: Site| match site.displacement {
            0x20100 => Expected::Constant { site, value: constants[0], bytes: 4 },
            0x20200 => Expected::Constant { site, value: constants[1], bytes: 4 },
            _ => Expected::Displacement { site, number: 0x58 },
        };
        let sites = find(&code).expect("it is understood");
        let mut expected: Vec<Expected> = sites.into_iter().map(expected).collect();
        assert_eq!(expected.len(), 3);
        expected.push(Expected::Field { at: 18, number: 0x11170 });
        check_code(&code, final_code, &expected)
    }

    const CONSTANTS: [u32; 2] = [0x111b1, 0x13880];

    #[test]
    fn every_changed_bit_is_found() {
        let right = bytes(FINAL);
        check_final(&right, CONSTANTS).expect("nothing is wrong");
        for bit in 0..right.len() * 8 {
            let mut wrong = right.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let is_found = check_final(&wrong, CONSTANTS).is_err();
            assert_eq!(is_found, bit / 8 != GAP, "bit {} of byte {}", bit % 8, bit / 8);
        }
    }

    #[test]
    fn another_constant_is_found() {
        let [one, other] = CONSTANTS;
        let right = bytes(FINAL);
        for wrong in [[other, one], [one, one], [other, other], [one, other + 1]] {
            check_final(&right, wrong).expect_err("it has other constants");
        }
    }

    #[test]
    fn what_still_reads_a_placeholder_is_found() {
        let (template, right) = (bytes(TEMPLATE), bytes(FINAL));
        for place in [0..6, 6..13, 13..16, 16..22] {
            let mut wrong = right.clone();
            wrong[place.clone()].copy_from_slice(&template[place]);
            check_final(&wrong, CONSTANTS).expect_err("a place was left out");
        }
        check_final(&right[..GAP - 1], CONSTANTS).expect_err("the end is missing");
    }
}
