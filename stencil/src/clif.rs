//! Functions of Cranelift's IR (feature `codegen`).

mod codegen;
mod compiler;
mod finalized;
mod fingerprint;
mod numbers;
mod report;
mod restore;
pub mod scan;
mod split;
mod unwind;

pub use codegen::{GenerateError, generate};
#[cfg(feature = "module")]
pub(crate) use compiler::Stages;
pub use compiler::{CompileError, CompiledFunction, Compiler, Origin};
pub use finalized::{CallSite, DebugTags, UserStackMap};
pub use fingerprint::{REGALLOC2_VERSION, SPLIT_VERSION, fingerprint};
#[cfg(feature = "image")]
pub(crate) use numbers::{known_symbol_of, lib_call_of};
pub use numbers::{reloc_number, reloc_of};
pub use report::Report;
pub use restore::{MalformedStencil, restore};
pub use split::{Splitter, Uncacheable};

// The encoding's tags, which `split` writes and `restore` reads.

const NAME_USER: u8 = 0;
const NAME_LIB_CALL: u8 = 1;
const NAME_KNOWN_SYMBOL: u8 = 2;

const GLOBAL_VM_CONTEXT: u8 = 0;
const GLOBAL_LOAD: u8 = 1;
const GLOBAL_IADD_IMM: u8 = 2;
const GLOBAL_SYMBOL: u8 = 3;

const MARK_SOURCE_NEW: u8 = 1;
const MARK_SOURCE_EARLIER: u8 = 2;
const MARK_DEBUG_TAGS: u8 = 4;
const MARK_STACK_MAP: u8 = 8;
/// The number of results is in the mark's upper bits, if it is less than this.
const RESULTS_MANY: u8 = 15;
const RESULTS_SHIFT: u8 = 4;
/// The ordinal of instructions without a source location.
const NO_LOCATION: u32 = 0;
