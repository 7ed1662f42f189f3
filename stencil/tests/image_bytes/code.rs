//! Fragments to put into images, and how to read what became of them.

use cranelift_codegen::binemit::Reloc;
use stencil::ExternalName;
use stencil::image::{CodeImage, Fragment, FragmentRelocation, FragmentTarget, ImageBytes};

pub fn name(index: u32) -> ExternalName {
    ExternalName { namespace: 0, index }
}

pub fn to(index: u32) -> FragmentTarget {
    FragmentTarget::Function(name(index))
}

pub fn plain(code: &[u8]) -> Fragment<'_> {
    Fragment { code, alignment: 16, relocations: vec![] }
}

/// A fragment with one relocation.
pub fn one(
    code: &[u8],
    offset: u32,
    kind: Reloc,
    addend: i64,
    target: FragmentTarget,
) -> Fragment<'_> {
    let relocations = vec![FragmentRelocation { offset, kind, addend, target }];
    Fragment { code, alignment: 16, relocations }
}

/// `call target`, for x86-64.
pub fn call(target: FragmentTarget) -> Fragment<'static> {
    one(&[0xe8, 0, 0, 0, 0, 0xc3], 1, Reloc::X86CallPCRel4, -4, target)
}

/// `bl target`, for aarch64.
pub fn branch(target: FragmentTarget) -> Fragment<'static> {
    one(&[0, 0, 0, 0x94], 0, Reloc::Arm64Call, 0, target)
}

/// An image's bytes at an address.
pub struct Placed {
    pub base: u64,
    pub bytes: ImageBytes,
}

impl Placed {
    #[track_caller]
    pub fn new(image: &mut CodeImage, base: u64) -> Self {
        Self { base, bytes: image.to_bytes(base).unwrap() }
    }

    /// Address of a function.
    #[track_caller]
    pub fn address(&self, function: u32) -> u64 {
        self.base + self.bytes.offset_of(name(function)).unwrap() as u64
    }

    fn at<const N: usize>(&self, address: u64) -> [u8; N] {
        let offset = (address - self.base) as usize;
        self.bytes.bytes()[offset..offset + N].try_into().unwrap()
    }

    pub fn read32(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.at(address))
    }

    pub fn read64(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.at(address))
    }

    /// What the signed 4-byte distance at `address` leads to, if the
    /// instruction ends with it.
    pub fn relative(&self, address: u64) -> u64 {
        let distance = self.read32(address).cast_signed();
        (address + 4).wrapping_add_signed(distance.into())
    }
}
