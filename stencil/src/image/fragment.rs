//! What a compiler hands in for one function, and the check of it.

use crate::image::field::rule;
use crate::image::{Architecture, CodeImage, ImageError};
use crate::parameters::ExternalName;
use cranelift_codegen::binemit::Reloc;

/// The code of one function before it has an address.
#[derive(Clone, Debug, Default)]
pub struct Fragment<'a> {
    /// The code; fields of relocations are overwritten.
    pub code: &'a [u8],
    /// What its address has to be a multiple of, in bytes: a power of two up to
    /// [`CodeImage::ALIGNMENT_MAX`].
    pub alignment: u32,
    /// The places in the code that refer to something, in any order.
    pub relocations: Vec<FragmentRelocation>,
}

/// A place in a fragment that refers to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentRelocation {
    /// Byte offset in the fragment's code.
    pub offset: u32,
    /// How it refers.
    pub kind: Reloc,
    /// Added to the target's address.
    pub addend: i64,
    /// To what.
    pub target: FragmentTarget,
}

/// What a relocation refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentTarget {
    /// A function of the image, or what [`CodeImage::define`] gave an address.
    Function(ExternalName),
    /// A byte offset in the fragment itself, up to its end.
    Own(u32),
    /// An address outside of the image: data, or a function of the host.
    Address(u64),
}

/// Refuses what could not be placed, or could patch others' bytes.
pub(super) fn check(
    architecture: Architecture,
    function: ExternalName,
    fragment: &Fragment<'_>,
) -> Result<(), ImageError> {
    if fragment.code.is_empty() {
        return Err(ImageError::Empty { function });
    }
    let alignment = fragment.alignment;
    if !alignment.is_power_of_two() || alignment > CodeImage::ALIGNMENT_MAX {
        return Err(ImageError::Alignment { function, alignment });
    }
    let mut fields = Vec::with_capacity(fragment.relocations.len());
    for relocation in &fragment.relocations {
        let bytes = check_one(architecture, function, fragment.code, relocation)?;
        fields.push((relocation.offset, bytes));
    }
    fields.sort_unstable();
    for pair in fields.windows(2) {
        if let &[(offset, bytes), (next, _)] = pair
            && ((next - offset) as usize) < bytes
        {
            return Err(ImageError::RelocationOverlap { function, offset, next });
        }
    }
    Ok(())
}

/// How many bytes the relocation patches.
fn check_one(
    architecture: Architecture,
    function: ExternalName,
    code: &[u8],
    relocation: &FragmentRelocation,
) -> Result<usize, ImageError> {
    let &FragmentRelocation { offset, kind, target, .. } = relocation;
    let code_bytes = code.len();
    let before = (offset as usize).checked_sub(1).and_then(|it| code.get(it)).copied();
    let Some((field, _)) = rule(architecture, kind, before) else {
        return Err(ImageError::UnsupportedRelocation { function, offset, kind, architecture });
    };
    if (offset as usize).checked_add(field.bytes()).is_none_or(|end| end > code_bytes) {
        return Err(ImageError::RelocationOutside { function, offset, kind, code_bytes });
    }
    if field.is_instruction() && offset % 4 != 0 {
        return Err(ImageError::RelocationMisaligned { function, offset, kind });
    }
    if let FragmentTarget::Own(target) = target
        && target as usize > code_bytes
    {
        return Err(ImageError::OwnTargetOutside { function, offset, target, code_bytes });
    }
    Ok(field.bytes())
}
