//! A relocation whose target is known -> a field with its value.

use crate::image::ImageError;
use crate::image::field::Field;
use crate::parameters::ExternalName;
use cranelift_codegen::binemit::Reloc;

/// Which relocation, to name it in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) function: ExternalName,
    pub(super) offset: u32,
    pub(super) kind: Reloc,
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A position in the image.
    Image(i64),
    /// An address outside.
    Outside(u64),
}

impl Place {
    /// `origin` is the address of position 0.
    fn address(self, origin: i128) -> i128 {
        match self {
            Self::Image(position) => origin + i128::from(position),
            Self::Outside(address) => address.into(),
        }
    }
}

/// A field to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) site: Site,
    pub(super) field: Field,
    /// The field's position.
    pub(super) at: i64,
    pub(super) to: Place,
    pub(super) addend: i128,
    /// What to refer to where `to` is out of reach: a veneer's position, with
    /// the addend of the instruction.
    pub(super) detour: Option<i128>,
}

impl Patch {
    /// Has it to be written anew for each address of the image?
    pub(super) fn depends_on_base(&self) -> bool {
        self.field.depends_on_base(matches!(self.to, Place::Image(_)))
    }

    /// Writes into `bytes`, which start with the field. `origin` is the address
    /// of position 0, a multiple of a page; any will do for what does not
    /// depend on it.
    pub(super) fn write(&self, bytes: &mut [u8], origin: i128) -> Result<(), ImageError> {
        let at = origin + i128::from(self.at);
        let written = self.field.write(bytes, at, self.to.address(origin) + self.addend);
        let written = match (written, self.detour) {
            (Err(_), Some(detour)) => self.field.write(bytes, at, origin + detour),
            (written, _) => written,
        };
        let Site { function, offset, kind } = self.site;
        written.map_err(|value| ImageError::OutOfReach { function, offset, kind, value })
    }
}
