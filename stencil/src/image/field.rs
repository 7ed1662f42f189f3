//! A kind of relocation -> which bits it writes, and what into them.

use crate::image::Architecture;
use cranelift_codegen::binemit::Reloc;

/// The bits that a relocation writes. Writing twice is the same as writing the
/// second value: nothing of the old one is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// An address of 4 bytes, not negative.
    Absolute32,
    /// An address of 8 bytes.
    Absolute64,
    /// A signed distance of 4 bytes from the field itself.
    Relative32,
    /// Bits 0-25: a signed distance in instructions.
    Branch26,
    /// Bits 29-30 and 5-23: a signed distance in pages of 4096 bytes.
    Page21,
    /// Bits 10-21: the place in its page, in bytes.
    Low12,
    /// Bits 10-21: the place in its page, in units of 8 bytes.
    Low12Words,
}

/// How a relocation gets to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The field names the target.
    Direct,
    /// A call or jump: a veneer that jumps on may stand in for the target.
    Call,
    /// The field names a literal that holds the target's address.
    Literal,
}

/// What a kind of relocation does; `None` for those that images do not know.
/// `before` is the byte in front of the field.
///
/// Cranelift gives `X86CallPCRel4` to `lea` too, whose target may be data: only
/// behind the opcode of a call or a jump it is one. In front of the field of
/// `lea` and the like stands a ModRM byte whose mode is 0, which is neither.
pub(super) fn rule(
    architecture: Architecture,
    kind: Reloc,
    before: Option<u8>,
) -> Option<(Field, Access)> {
    const CALL: u8 = 0xe8;
    const JUMP: u8 = 0xe9;
    use Architecture::{Aarch64, X86_64};
    Some(match (architecture, kind) {
        (_, Reloc::Abs4) => (Field::Absolute32, Access::Direct),
        (_, Reloc::Abs8) => (Field::Absolute64, Access::Direct),
        (X86_64, Reloc::X86PCRel4) => (Field::Relative32, Access::Direct),
        (X86_64, Reloc::X86CallPCRel4 | Reloc::X86CallPLTRel4) => match before {
            Some(CALL | JUMP) => (Field::Relative32, Access::Call),
            _ => (Field::Relative32, Access::Direct),
        },
        (X86_64, Reloc::X86GOTPCRel4) => (Field::Relative32, Access::Literal),
        (Aarch64, Reloc::Arm64Call) => (Field::Branch26, Access::Call),
        (Aarch64, Reloc::Aarch64AdrPrelPgHi21) => (Field::Page21, Access::Direct),
        (Aarch64, Reloc::Aarch64AddAbsLo12Nc) => (Field::Low12, Access::Direct),
        (Aarch64, Reloc::Aarch64AdrGotPage21) => (Field::Page21, Access::Literal),
        (Aarch64, Reloc::Aarch64Ld64GotLo12Nc) => (Field::Low12Words, Access::Literal),
        _ => return None,
    })
}

impl Access {
    /// The part of a relocation's addend that makes up for where the
    /// instruction counts from; the rest belongs to the target. x86 counts from
    /// the end of the instruction, which for a call is the end of the field.
    pub(super) fn instruction_addend(self, architecture: Architecture, addend: i64) -> i128 {
        match (architecture, self) {
            (Architecture::X86_64, Self::Call) => -4,
            (Architecture::X86_64, Self::Literal) => addend.into(),
            _ => 0,
        }
    }
}

impl Field {
    /// How many bytes it lies in.
    pub(super) fn bytes(self) -> usize {
        if self == Self::Absolute64 { 8 } else { 4 }
    }

    /// Does it lie in an aarch64 instruction?
    pub(super) fn is_instruction(self) -> bool {
        match self {
            Self::Absolute32 | Self::Absolute64 | Self::Relative32 => false,
            Self::Branch26 | Self::Page21 | Self::Low12 | Self::Low12Words => true,
        }
    }

    /// Does its value change when image and target move apart? `in_image`: is
    /// the target a part of the image, and moves with it? Images lie at
    /// multiples of a page, so that places in pages stay as they are.
    pub(super) fn depends_on_base(self, in_image: bool) -> bool {
        match self {
            Self::Absolute32 | Self::Absolute64 => in_image,
            Self::Relative32 | Self::Branch26 | Self::Page21 => !in_image,
            Self::Low12 | Self::Low12Words => false,
        }
    }

    /// Writes the field that lies at address `at` and refers to `to`.
    ///
    /// # Errors
    ///
    /// The value that it cannot hold; nothing is written then.
    pub(super) fn write(self, field: &mut [u8], at: i128, to: i128) -> Result<(), i128> {
        let distance = to - at;
        match self {
            Self::Absolute32 => put(field, u32::try_from(to).map_err(|_| to)?.to_le_bytes()),
            Self::Absolute64 => put(field, u64::try_from(to).map_err(|_| to)?.to_le_bytes()),
            Self::Relative32 => {
                put(field, i32::try_from(distance).map_err(|_| distance)?.to_le_bytes());
            }
            Self::Branch26 => {
                let bits = whole(distance, 4).and_then(|it| signed(it, 26)).ok_or(distance)?;
                modify(field, 0x03ff_ffff, bits);
            }
            Self::Page21 => {
                let bits = signed((to >> 12) - (at >> 12), 21).ok_or(distance)?;
                modify(field, 0x60ff_ffe0, (bits & 3) << 29 | (bits >> 2) << 5);
            }
            Self::Low12 => modify(field, 0x003f_fc00, low12(to) << 10),
            Self::Low12Words => {
                whole(to, 8).ok_or(to)?;
                modify(field, 0x003f_fc00, (low12(to) >> 3) << 10);
            }
        }
        Ok(())
    }
}

fn whole(value: i128, unit: i128) -> Option<i128> {
    (value % unit == 0).then_some(value / unit)
}

/// The lowest `width` bits, if a signed number of that width has this value.
fn signed(value: i128, width: u32) -> Option<u32> {
    let value = i32::try_from(value).ok()?;
    let unused = 32 - width;
    (value << unused >> unused == value).then_some(value.cast_unsigned() << unused >> unused)
}

fn low12(address: i128) -> u32 {
    (address & 0xfff) as u32
}

fn put<const N: usize>(field: &mut [u8], value: [u8; N]) {
    if let Some(field) = field.first_chunk_mut() {
        *field = value;
    }
}

fn modify(field: &mut [u8], mask: u32, bits: u32) {
    if let Some(field) = field.first_chunk_mut() {
        *field = (u32::from_le_bytes(*field) & !mask | bits).to_le_bytes();
    }
}
