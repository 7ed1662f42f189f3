//! What an image refuses, and why.

use crate::image::Architecture;
use crate::parameters::ExternalName;
use cranelift_codegen::binemit::Reloc;

/// Why an image did not take a fragment, or could not be committed. The image
/// is as it was before the call (a commit may have made room for veneers), and
/// nothing was mapped executable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A fragment without code.
    #[error("function {} has no code", show(.function))]
    Empty {
        /// The function.
        function: ExternalName,
    },
    /// Zero, not a power of two, or more than
    /// [`CodeImage::ALIGNMENT_MAX`](crate::image::CodeImage::ALIGNMENT_MAX).
    #[error(
        "function {} asks for an alignment of {alignment} bytes; give a power of two up to 4096",
        show(.function)
    )]
    Alignment {
        /// The function.
        function: ExternalName,
        /// The alignment asked for, in bytes.
        alignment: u32,
    },
    /// A kind of relocation that this image does not resolve.
    #[error(
        "function {} has a relocation of kind {kind:?} at offset {offset}, \
         which an image for {architecture:?} does not resolve",
        show(.function)
    )]
    UnsupportedRelocation {
        /// The function.
        function: ExternalName,
        /// Byte offset in its code.
        offset: u32,
        /// The relocation's kind.
        kind: Reloc,
        /// The image's architecture.
        architecture: Architecture,
    },
    /// A relocation that would patch bytes outside of its fragment.
    #[error(
        "function {} has {code_bytes} bytes of code and a relocation of kind {kind:?} \
         at offset {offset}, outside of it",
        show(.function)
    )]
    RelocationOutside {
        /// The function.
        function: ExternalName,
        /// Byte offset of the relocation.
        offset: u32,
        /// The relocation's kind.
        kind: Reloc,
        /// Size of the function's code.
        code_bytes: usize,
    },
    /// A relocation of an instruction, not at an instruction's boundary.
    #[error(
        "function {} has a relocation of kind {kind:?} at offset {offset}, \
         which is no multiple of 4",
        show(.function)
    )]
    RelocationMisaligned {
        /// The function.
        function: ExternalName,
        /// Byte offset of the relocation.
        offset: u32,
        /// The relocation's kind.
        kind: Reloc,
    },
    /// Two relocations of the same bytes: which one is last would decide.
    #[error(
        "function {} has relocations at offsets {offset} and {next}, which overlap",
        show(.function)
    )]
    RelocationOverlap {
        /// The function.
        function: ExternalName,
        /// Byte offset of the first.
        offset: u32,
        /// Byte offset of the second.
        next: u32,
    },
    /// A relocation that refers to a place outside of its own fragment.
    #[error(
        "function {} has {code_bytes} bytes of code; its relocation at offset {offset} \
         refers to offset {target} of it",
        show(.function)
    )]
    OwnTargetOutside {
        /// The function.
        function: ExternalName,
        /// Byte offset of the relocation.
        offset: u32,
        /// The offset it refers to.
        target: u32,
        /// Size of the function's code.
        code_bytes: usize,
    },
    /// The name is taken by a function or an address.
    #[error("{} is in the image already; replace it, or remove it first", show(.name))]
    Duplicate {
        /// The name.
        name: ExternalName,
    },
    /// Nothing in the image has this name.
    #[error("{} is not in the image; append it first", show(.name))]
    Unknown {
        /// The name.
        name: ExternalName,
    },
    /// The image would be larger than it may be.
    #[error(
        "the image would have {needed} bytes, more than its limit of {bytes_max}; \
         remove functions, or start another image"
    )]
    TooLarge {
        /// The size it would have, in bytes.
        needed: u64,
        /// The limit, in bytes.
        bytes_max: u64,
    },
    /// A function refers to a name that is neither in the image nor defined.
    #[error(
        "function {} refers to {} at offset {offset}, which is not in the image; \
         append it, or define its address",
        show(.function), show(.target)
    )]
    Undefined {
        /// Who refers.
        function: ExternalName,
        /// Byte offset of the relocation in it.
        offset: u32,
        /// To whom.
        target: ExternalName,
    },
    /// The target is too far away for the relocation, and no veneer can stand
    /// in for it: the reference is not a call.
    #[error(
        "function {} has a relocation of kind {kind:?} at offset {offset} \
         that cannot hold {value}; \
         refer to what is far by an absolute address, \
         or by way of a literal (position-independent code)",
        show(.function)
    )]
    OutOfReach {
        /// The function.
        function: ExternalName,
        /// Byte offset of the relocation.
        offset: u32,
        /// The relocation's kind.
        kind: Reloc,
        /// The address, or the distance in bytes, that it would have to hold.
        value: i128,
    },
    /// Bytes were asked for an address at which they cannot lie.
    #[error(
        "an image of {bytes} bytes cannot lie at {base:#x}; \
         give a multiple of 4096 below the end of the address space"
    )]
    Base {
        /// The address asked for.
        base: u64,
        /// Size of the image.
        bytes: u64,
    },
    /// Code of one machine does not run on another.
    #[error(
        "the image is for {architecture:?}, which this machine does not run; take its bytes instead"
    )]
    Foreign {
        /// The image's architecture.
        architecture: Architecture,
    },
    /// This machine's code is none that images know.
    #[error("this machine is neither x86-64 nor aarch64; images know only those")]
    UnknownHost,
    /// The system did not give the memory, or did not make it executable.
    #[error("cannot map {bytes} bytes of code")]
    Mapping {
        /// Size of the mapping.
        bytes: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

fn show(name: &ExternalName) -> String {
    format!("u{}:{}", name.namespace, name.index)
}
