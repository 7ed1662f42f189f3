//! An instruction set -> what an image needs to know about it.

/// Whose code an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// 64-bit Arm, little-endian.
    Aarch64,
}

impl Architecture {
    /// The machine that this program runs on, if images know it.
    pub const fn host() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The largest image, in bytes: every call within it reaches, so that
    /// none needs a veneer. x86-64 calls reach 2 GiB, aarch64's 128 MiB.
    pub const fn image_bytes_max(self) -> u64 {
        match self {
            Self::X86_64 => (2 << 30) - 4096,
            Self::Aarch64 => (128 << 20) - 4096,
        }
    }

    /// What stands where no function does: instructions of only this byte trap
    /// (`int3`, `udf #0`).
    pub(super) const fn filler(self) -> u8 {
        match self {
            Self::X86_64 => 0xcc,
            Self::Aarch64 => 0,
        }
    }

    /// A jump to the address that stands in the 8 bytes behind it. Aarch64's
    /// calling convention gives x16 to such code.
    pub(super) const fn jump_to_literal(self) -> [u8; 8] {
        match self {
            // jmp [rip + 2]; ud2
            Self::X86_64 => [0xff, 0x25, 2, 0, 0, 0, 0x0f, 0x0b],
            // ldr x16, #8; br x16
            Self::Aarch64 => [0x50, 0, 0, 0x58, 0, 2, 0x1f, 0xd6],
        }
    }
}
