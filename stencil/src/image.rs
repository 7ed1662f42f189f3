//! Finalized functions -> one image of code that can be changed (feature `image`).
//!
//! A [`CodeImage`] is for JITs that do not want a new module for each change.
//! Functions come as [`Fragment`]s: code, and the places in it that refer to
//! something. They are put in front or at the back ([`append`], [`prepend`]),
//! [`replace`]d and [`remove`]d; relocations stay relative to their fragment
//! until [`commit`], so that callers may come before those they call, and code
//! may be produced backwards.
//!
//! ```
//! use stencil::ExternalName;
//! use stencil::image::{CodeImage, Fragment, FragmentRelocation, FragmentTarget};
//! use cranelift_codegen::binemit::Reloc;
//!
//! # if !cfg!(all(target_arch = "x86_64", unix)) { return Ok(()); }
//! let caller = ExternalName { namespace: 0, index: 0 };
//! let callee = ExternalName { namespace: 0, index: 1 };
//! let mut image = CodeImage::for_host()?;
//! // call callee; add eax, 2; ret
//! let code = [0xe8, 0, 0, 0, 0, 0x83, 0xc0, 2, 0xc3];
//! let call = FragmentRelocation {
//!     offset: 1,
//!     kind: Reloc::X86CallPCRel4,
//!     addend: -4,
//!     target: FragmentTarget::Function(callee),
//! };
//! image.append(caller, Fragment { code: &code, alignment: 16, relocations: vec![call] })?;
//! // mov eax, 40; ret
//! let code = [0xb8, 40, 0, 0, 0, 0xc3];
//! image.append(callee, Fragment { code: &code, alignment: 16, relocations: vec![] })?;
//!
//! let generation = image.commit()?;
//! let address = generation.address_of(caller).ok_or("just appended")?;
//! // SAFETY: the code above is a function of this type, and `generation` lives.
//! let answer = unsafe { std::mem::transmute::<*const u8, extern "C" fn() -> i32>(address)() };
//! assert_eq!(answer, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Generations.** A commit copies the image into new memory, which is
//! writable while it is filled and executable after, never both. What was
//! committed before does not change, and is unmapped when the last handle of
//! its [`Generation`] is dropped: a thread that runs old code goes on with it.
//!
//! **Cost.** A change resolves the relocations of the changed function and, if
//! it has moved, of those that refer to it. A commit copies the whole image and
//! writes what depends on its address (absolute addresses of what is in it,
//! distances to what is not): change much, commit once.
//!
//! **Reach.** An image is no larger than calls within it reach
//! ([`Architecture::image_bytes_max`]). Calls to what is outside go by way of a
//! veneer in the image where they do not reach. Other references by distance
//! that do not reach are an error that names them.
//!
//! **Trust.** Fragments are checked: none can make the image patch bytes outside
//! of the fragment, panic, or take memory beyond its own size. Their code
//! is not looked at: whoever makes it decides what the program does. An entry
//! from a cache has to have come through [`crate::entry::open`], and from
//! someone who may run code here.
//!
//! [`Fragment::of`] makes a fragment of a function that came through a cache.
//!
//! [`append`]: CodeImage::append
//! [`prepend`]: CodeImage::prepend
//! [`replace`]: CodeImage::replace
//! [`remove`]: CodeImage::remove
//! [`commit`]: CodeImage::commit

#![deny(unsafe_code)]

mod architecture;
mod error;
mod field;
mod finalized;
mod fragment;
#[expect(unsafe_code, reason = "the instruction cache is told of new code")]
mod generation;
mod offsets;
mod patch;
mod references;
mod resolve;
mod slots;
mod text;
mod veneers;

use crate::parameters::ExternalName;
pub use architecture::Architecture;
pub use error::ImageError;
pub use finalized::{Builtin, FragmentError};
pub use fragment::{Fragment, FragmentRelocation, FragmentTarget};
pub use generation::Generation;
pub use offsets::ImageBytes;
use offsets::Offsets;
use patch::Patch;
use references::References;
use slots::{End, PAGE};
use std::collections::{BTreeMap, BTreeSet};
use text::{Slot, Text};
use veneers::{VeneerTarget, Veneers};

/// Functions in one piece of memory-to-be. See the [module](self).
#[derive(Debug)]
pub struct CodeImage {
    architecture: Architecture,
    text: Text,
    functions: BTreeMap<ExternalName, Function>,
    /// Names outside of the image. No name is in both maps.
    symbols: BTreeMap<ExternalName, u64>,
    references: References,
    veneers: Veneers,
    resolved_functions: u64,
}

/// A function that has its place.
#[derive(Debug)]
struct Function {
    slot: Slot,
    relocations: Box<[FragmentRelocation]>,
    /// The veneers that it holds on to.
    veneers: BTreeSet<VeneerTarget>,
    /// What is written for each address of the image.
    late: Vec<Patch>,
}

impl Function {
    fn new(slot: Slot, fragment: Fragment<'_>) -> Self {
        let relocations = fragment.relocations.into();
        Self { slot, relocations, veneers: BTreeSet::new(), late: Vec::new() }
    }

    fn targets(&self) -> impl Iterator<Item = ExternalName> {
        self.relocations.iter().filter_map(|relocation| match relocation.target {
            FragmentTarget::Function(name) => Some(name),
            FragmentTarget::Own(_) | FragmentTarget::Address(_) => None,
        })
    }
}

impl CodeImage {
    /// The largest alignment that a fragment may ask for, in bytes: that of the
    /// image itself.
    pub const ALIGNMENT_MAX: u32 = PAGE as u32;

    /// An empty image, of at most [`Architecture::image_bytes_max`] bytes.
    pub fn new(architecture: Architecture) -> Self {
        Self::with_bytes_max(architecture, architecture.image_bytes_max())
    }

    /// An empty image for this machine.
    ///
    /// # Errors
    ///
    /// [`ImageError::UnknownHost`] where [`Architecture::host`] is `None`.
    pub fn for_host() -> Result<Self, ImageError> {
        Architecture::host().map(Self::new).ok_or(ImageError::UnknownHost)
    }

    /// An empty image of at most `bytes_max` bytes, counted from the page that
    /// it starts in, if that is less than [`Architecture::image_bytes_max`].
    pub fn with_bytes_max(architecture: Architecture, bytes_max: u64) -> Self {
        Self {
            architecture,
            text: Text::new(architecture, bytes_max),
            functions: BTreeMap::new(),
            symbols: BTreeMap::new(),
            references: References::default(),
            veneers: Veneers::new(architecture),
            resolved_functions: 0,
        }
    }

    /// Gives a name outside of the image its address, or another one: a
    /// function of the host, or data. It has to hold for as long as code runs
    /// that was committed with it.
    ///
    /// # Errors
    ///
    /// [`ImageError::Duplicate`] if a function of the image has the name.
    pub fn define(&mut self, name: ExternalName, address: u64) -> Result<(), ImageError> {
        if self.functions.contains_key(&name) {
            return Err(ImageError::Duplicate { name });
        }
        self.symbols.insert(name, address);
        self.references.moved(name);
        Ok(())
    }

    /// Puts a function into the smallest free slot that it fits in, or at the
    /// back of the image.
    ///
    /// # Errors
    ///
    /// [`ImageError::Duplicate`] if the name is taken, [`ImageError::TooLarge`],
    /// and what is wrong with the fragment.
    pub fn append(&mut self, name: ExternalName, code: Fragment<'_>) -> Result<(), ImageError> {
        self.put(name, code, End::Back)
    }

    /// Puts a function into the smallest free slot that it fits in, or in front
    /// of the image.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn prepend(&mut self, name: ExternalName, code: Fragment<'_>) -> Result<(), ImageError> {
        self.put(name, code, End::Front)
    }

    fn put(
        &mut self,
        name: ExternalName,
        fragment: Fragment<'_>,
        end: End,
    ) -> Result<(), ImageError> {
        if self.functions.contains_key(&name) || self.symbols.contains_key(&name) {
            return Err(ImageError::Duplicate { name });
        }
        fragment::check(self.architecture, name, &fragment)?;
        let slot = self.text.place(fragment.code, fragment.alignment, end)?;
        self.install(name, Function::new(slot, fragment));
        self.references.moved(name);
        Ok(())
    }

    /// Gives a function other code: in its slot if it fits there, or else where
    /// [`append`](Self::append) would put it. Only if it moves are the functions
    /// that refer to it touched.
    ///
    /// # Errors
    ///
    /// [`ImageError::Unknown`] if there is no such function,
    /// [`ImageError::TooLarge`] (old and new code are both there while it
    /// moves), and what is wrong with the fragment.
    pub fn replace(&mut self, name: ExternalName, code: Fragment<'_>) -> Result<(), ImageError> {
        let Some(old) = self.functions.get(&name) else {
            return Err(ImageError::Unknown { name });
        };
        fragment::check(self.architecture, name, &code)?;
        let old_slot = old.slot;
        if let Some(slot) = self.text.rewrite(old_slot, code.code, code.alignment) {
            self.uninstall(name);
            self.install(name, Function::new(slot, code));
            return Ok(());
        }
        let slot = self.text.place(code.code, code.alignment, End::Back)?;
        self.uninstall(name);
        self.text.free(old_slot);
        self.install(name, Function::new(slot, code));
        self.references.moved(name);
        Ok(())
    }

    /// Takes a function out, or the address of a name outside of the image. Who
    /// refers to it has to be changed too before the next commit.
    ///
    /// # Errors
    ///
    /// [`ImageError::Unknown`] if there is neither.
    pub fn remove(&mut self, name: ExternalName) -> Result<(), ImageError> {
        if let Some(function) = self.uninstall(name) {
            self.text.free(function.slot);
        } else if self.symbols.remove(&name).is_none() {
            return Err(ImageError::Unknown { name });
        }
        self.references.moved(name);
        Ok(())
    }

    fn install(&mut self, name: ExternalName, function: Function) {
        self.references.add(name, function.targets());
        self.functions.insert(name, function);
    }

    /// Takes a function out of everything but the text.
    fn uninstall(&mut self, name: ExternalName) -> Option<Function> {
        let function = self.functions.remove(&name)?;
        self.references.drop(name, function.targets());
        self.release_veneers(&function.veneers);
        Some(function)
    }

    /// Maps the image as it is now, executable.
    ///
    /// # Errors
    ///
    /// [`ImageError::Undefined`], [`ImageError::OutOfReach`],
    /// [`ImageError::TooLarge`] (veneers need room), [`ImageError::Foreign`] on
    /// a machine that does not run this code, [`ImageError::Mapping`].
    pub fn commit(&mut self) -> Result<Generation, ImageError> {
        if Architecture::host() != Some(self.architecture) {
            return Err(ImageError::Foreign { architecture: self.architecture });
        }
        self.settle()?;
        Generation::map(self.text.bytes_len(), self.offsets(), |base, out| {
            self.finish(self.origin(base), out)
        })
    }

    /// The bytes of the image as it is now, for the address `base`, a multiple
    /// of 4096.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit), without those of the machine, and
    /// [`ImageError::Base`] if the image cannot lie there.
    pub fn to_bytes(&mut self, base: u64) -> Result<ImageBytes, ImageError> {
        self.settle()?;
        let len = self.text.bytes_len();
        let misplaced = !base.is_multiple_of(PAGE.cast_unsigned());
        if misplaced || base.checked_add(len as u64).is_none() {
            return Err(ImageError::Base { base, bytes: len as u64 });
        }
        let mut bytes = vec![0; len];
        self.finish(self.origin(base), &mut bytes)?;
        Ok(ImageBytes { bytes, offsets: self.offsets() })
    }

    /// The address of position 0 in an image at `base`.
    fn origin(&self, base: u64) -> i128 {
        i128::from(base) - i128::from(self.text.slots().first_page())
    }

    fn offsets(&self) -> Offsets {
        let start = self.text.slots().first_page();
        let offset = |at: i64| u32::try_from(at - start).unwrap_or(u32::MAX);
        Offsets::new(self.functions.iter().map(|(&name, it)| (name, offset(it.slot.at))))
    }

    /// Is there a function of this name?
    pub fn contains(&self, name: ExternalName) -> bool {
        self.functions.contains_key(&name)
    }

    /// How many functions there are.
    pub fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// Size of the image in bytes: of the next commit, if that needs no new
    /// veneers.
    pub fn size_bytes(&self) -> u64 {
        self.text.bytes_len() as u64
    }

    /// How many of them are free, between the image's ends.
    pub fn free_bytes(&self) -> u64 {
        self.text.slots().free_bytes()
    }

    /// How many functions had their relocations resolved since the image was
    /// made: a change that is repeated a thousand times should not count
    /// thousands of others.
    pub fn resolved_functions(&self) -> u64 {
        self.resolved_functions
    }
}
