//! Functions of Cranelift's IR, from any front end (feature `codegen`).
//!
//! A front end that has built an `ir::Function` gives it to a [`Compiler`] in
//! place of `Context::compile`:
//!
//! ```
//! use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, types};
//! use cranelift_codegen::{cursor::{Cursor, FuncCursor}, settings};
//! use std::sync::Arc;
//! use stencil::clif::{Compiler, Origin};
//! # use std::{borrow::Cow, collections::HashMap, sync::Mutex};
//! # #[derive(Default)]
//! # struct Store(Mutex<HashMap<Vec<u8>, Vec<u8>>>);
//! # impl stencil::CacheStore for Store {
//! #     fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
//! #         self.0.lock().unwrap().get(key).cloned().map(Cow::Owned)
//! #     }
//! #     fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
//! #         self.0.lock().unwrap().insert(key.to_vec(), value);
//! #         true
//! #     }
//! # }
//!
//! let mut function = Function::new();
//! function.signature.returns.push(AbiParam::new(types::I64));
//! let block = function.dfg.make_block();
//! let mut cursor = FuncCursor::new(&mut function);
//! cursor.insert_block(block);
//! let seven = cursor.ins().iconst(types::I64, 7);
//! cursor.ins().return_(&[seven]);
//!
//! let flags = settings::Flags::new(settings::builder());
//! let isa = cranelift_native::builder()?.finish(flags)?;
//! let mut compiler = Compiler::new(isa, Arc::new(Store::default()));
//! let cold = compiler.compile(&function)?;
//! let warm = compiler.compile(&function)?;
//! assert_eq!(cold.code(), warm.code());
//! assert!(matches!(warm.origin(), Origin::Hit(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The two halves
//!
//! [`Splitter::split`] takes a function apart. The **stencil** is one byte
//! string with everything that code generation reads, every entity numbered in
//! the order in which the layout leads to it. The **parameters** are what is
//! left: the function's own name, its callees' names, its numbers for stack
//! slots, and where its instructions stand in the source. Which instructions
//! share a callee or a location is in the stencil; which callee, which location
//! is not. So a function that was moved, renamed, declared in another order or
//! built in a context with a past has the same stencil.
//!
//! The code is generated from [`restore`]'s function, which is made from the
//! bytes that are hashed and from nothing else: equal keys give equal code,
//! whoever compiled first, and a key that left something out would leave it out
//! of the code as well. That code can differ from `Context::compile` of the
//! function as it was built in the order of stack slots in the frame, in
//! registers, and where equal declarations have become one; it does the same.
//!
//! # The life of an entry
//!
//! stencil -> [`FunctionStencil::key`](crate::FunctionStencil::key) with the
//! target's [`fingerprint()`] -> [`CacheStore::lookup`](crate::CacheStore::lookup)
//! -> on a miss [`generate`], [`entry::seal`](crate::entry::seal) and
//! [`CacheStore::publish`](crate::CacheStore::publish) ->
//! [`entry::open`](crate::entry::open) -> [`finalize`](crate::finalize::finalize)
//! with the parameters -> a
//! [`FinalizedFunction`](crate::finalize::FinalizedFunction), which says what
//! `CompiledCode` says, in Cranelift's types.
//!
//! From there code goes into a module of Cranelift's
//! (`CachedModule`, feature `module`) or into an image that
//! can change (`CodeImage`, feature `image`).
//!
//! What a [`Scan`](scan::Scan) estimates a compile to cost decides, by a
//! [`Policy`](policy::Policy), which functions a store is asked for.

mod codegen;
mod compiler;
mod finalized;
mod fingerprint;
mod numbers;
pub mod policy;
mod report;
mod restore;
pub mod scan;
mod split;
mod unwind;

pub use codegen::{GenerateError, generate, stack_map_slots};
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
