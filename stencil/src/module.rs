//! A function that a front end defines -> the same definition in its own module,
//! with code from the cache.
//!
//! [`CachedModule`] stands in front of any `cranelift_module::Module` and is one
//! itself, so that a front end that is generic over modules needs no change.
//!
//! A module takes code from outside by `define_function_bytes` alone, which takes
//! no tables. Invariant: a function whose tables the inner module might keep is
//! compiled by the inner module, and counted with its [`BypassReason`]; it is
//! never defined without them. What other tables a function has, the caller gets
//! from [`CachedModule::define`].
//!
//! ```
//! use cranelift_codegen::ir::{AbiParam, InstBuilder, types};
//! use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
//! use cranelift_jit::{JITBuilder, JITModule};
//! use cranelift_module::{Linkage, Module, default_libcall_names};
//! use stencil::module::CachedModule;
//! # use std::{borrow::Cow, collections::HashMap, sync::{Arc, Mutex}};
//! # #[derive(Default)]
//! # struct Plain(Mutex<HashMap<Vec<u8>, Vec<u8>>>);
//! # impl stencil::CacheStore for Plain {
//! #     fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
//! #         self.0.lock().unwrap().get(key).cloned().map(Cow::Owned)
//! #     }
//! #     fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
//! #         self.0.lock().unwrap().insert(key.to_vec(), value);
//! #         true
//! #     }
//! # }
//!
//! let store = Arc::new(Plain::default());
//! for hits in [0, 1] {
//!     let jit = JITModule::new(JITBuilder::new(default_libcall_names())?);
//!     // A `JITModule` registers no unwind tables.
//!     let mut module = CachedModule::without_unwind_tables(jit, store.clone());
//!
//!     let mut context = module.make_context();
//!     context.func.signature.returns.push(AbiParam::new(types::I64));
//!     let mut builder_context = FunctionBuilderContext::new();
//!     let mut builder = FunctionBuilder::new(&mut context.func, &mut builder_context);
//!     let block = builder.create_block();
//!     builder.switch_to_block(block);
//!     let seven = builder.ins().iconst(types::I64, 7);
//!     builder.ins().return_(&[seven]);
//!     builder.seal_all_blocks();
//!     builder.finalize(module.target_config());
//!
//!     let id = module.declare_function("seven", Linkage::Export, &context.func.signature)?;
//!     module.define_function(id, &mut context)?;
//!     assert_eq!(module.report().cache.hit_count(), hits);
//!     let mut jit = module.into_inner();
//!     jit.finalize_definitions()?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(clippy::result_large_err, reason = "the error of `Module`, by value like there")]

mod bypass;
mod defined;
mod delegate;

use crate::clif::policy::Policy;
use crate::clif::{CompiledFunction, Report, Stages};
use crate::store::CacheStore;
pub use bypass::BypassReason;
use cranelift_codegen::{CompiledCode, Context, ir};
use cranelift_control::ControlPlane;
use cranelift_module::{FuncId, Module, ModuleResult};
pub use defined::Defined;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A module whose functions are looked up before they are compiled.
///
/// Functions are defined as one by one, in the order in which they come: what
/// [`Module::define_function`] and [`define_all`](Self::define_all) make is the
/// same, to the byte.
///
/// A hit leaves the context's function as it was, not optimised, and the
/// context without compiled code; [`define`](Self::define) returns what
/// `Context::compiled_code` would have said.
pub struct CachedModule<M> {
    inner: M,
    stages: Stages,
    tables: UnwindTables,
    /// The inner module may have become one of another target.
    retarget: bool,
    /// What was defined through this module.
    defined: FxHashSet<FuncId>,
    bypassed: BTreeMap<BypassReason, u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UnwindTables {
    /// Perhaps, if the target's flag `unwind_info` is set.
    Perhaps,
    Never,
}

/// What happened so far.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ModuleReport<'a> {
    /// Of the functions that went through the cache.
    pub cache: &'a Report,
    /// Functions that the inner module compiled, by reason.
    pub bypassed: &'a BTreeMap<BypassReason, u64>,
}

impl ModuleReport<'_> {
    /// All functions that the inner module compiled.
    pub fn bypassed_count(&self) -> u64 {
        self.bypassed.values().sum()
    }
}

impl<M: Module> CachedModule<M> {
    /// Puts a store in front of a module that may keep unwind tables: with the
    /// target's flag `unwind_info`, **which is set by default**, every function
    /// is bypassed. Without it no function has unwind information.
    pub fn new(inner: M, store: Arc<dyn CacheStore>) -> Self {
        Self::with(inner, store, UnwindTables::Perhaps)
    }

    /// Puts a store in front of a module that keeps no unwind tables, whatever
    /// the flag `unwind_info` says.
    ///
    /// The caller says that `inner` makes nothing of a function's unwind
    /// information. This is so for
    /// - a `JITModule`, which registers no unwind tables. Who registers them
    ///   has them from [`Defined::create_unwind_info`]. With its feature
    ///   `wasmtime-unwinder` it keeps tables of exception handlers; functions
    ///   that have any (`try_call`) are bypassed, so that every exception finds
    ///   the same handler. For other functions
    ///   `lookup_wasmtime_exception_data` answers `None` and not with a table
    ///   without handlers: it must not be used to tell whether an address is in
    ///   the module. Walking the stack by frame pointers is not affected: it
    ///   needs the flag `preserve_frame_pointers`, which is in the code;
    /// - an `ObjectModule`, unless its builder was told `unwind_info(true)`. If
    ///   it was, cached functions would lack their part of `.eh_frame`:
    ///   exceptions of other languages and debuggers would not get past them.
    pub fn without_unwind_tables(inner: M, store: Arc<dyn CacheStore>) -> Self {
        Self::with(inner, store, UnwindTables::Never)
    }

    fn with(inner: M, store: Arc<dyn CacheStore>, tables: UnwindTables) -> Self {
        Self {
            stages: Stages::new(inner.isa(), store),
            inner,
            tables,
            retarget: false,
            defined: FxHashSet::default(),
            bypassed: BTreeMap::new(),
        }
    }

    /// The inner module, with all that was defined.
    pub fn into_inner(self) -> M {
        self.inner
    }

    /// The inner module.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// The inner module, to call what `Module` does not have.
    ///
    /// What is defined on it is not known here: a second definition is refused
    /// by the inner module all the same, but after it was published. If another
    /// module is put in its place, its target is taken into account; functions
    /// whose ids the first one had defined are left to it.
    pub fn inner_mut(&mut self) -> &mut M {
        self.retarget = true;
        &mut self.inner
    }

    /// Says which functions are worth a lookup and worth publishing, as
    /// [`Compiler::set_policy`](crate::clif::Compiler::set_policy). For a store
    /// on disk whose functions are defined one by one,
    /// [`Policy::one_by_one`] is what was measured to pay.
    pub fn set_policy(&mut self, policy: Policy) {
        self.stages.policy = policy;
    }

    /// What happened so far.
    pub fn report(&self) -> ModuleReport<'_> {
        ModuleReport { cache: &self.stages.report, bypassed: &self.bypassed }
    }

    /// Defines a function from `context.func`, and returns its code and tables.
    /// The context is left without compiled code.
    ///
    /// # Errors
    ///
    /// Those of the inner module; a function that is an import or is defined
    /// already is left to it before anything is looked up.
    pub fn define(&mut self, id: FuncId, context: &mut Context) -> ModuleResult<Defined> {
        let defined = match self.try_cache(id, context)? {
            Ok(function) => Defined::cached(function),
            Err(reason) => {
                self.bypass(id, context, &mut ControlPlane::default(), reason)?;
                Defined::bypassed(self.take_code(context)?, reason)
            }
        };
        Ok(defined)
    }

    /// Defines many functions with one lookup and one publish; the results are
    /// in the functions' order.
    ///
    /// # Errors
    ///
    /// That of the first function that the inner module refuses. Those before it
    /// are defined, those after it are not.
    pub fn define_all(
        &mut self,
        functions: Vec<(FuncId, ir::Function)>,
    ) -> ModuleResult<Vec<Defined>> {
        let mut defined = Vec::with_capacity(functions.len());
        let mut rest = functions;
        while !rest.is_empty() {
            let run = self.definable(&rest).max(1);
            let later = rest.split_off(run);
            self.define_run(rest, &mut defined)?;
            rest = later;
        }
        Ok(defined)
    }

    /// How many functions from the first on can be defined one after the other.
    fn definable(&self, functions: &[(FuncId, ir::Function)]) -> usize {
        let mut run = FxHashSet::default();
        functions.iter().take_while(|(id, _)| self.is_definable(*id) && run.insert(*id)).count()
    }

    fn define_run(
        &mut self,
        functions: Vec<(FuncId, ir::Function)>,
        defined: &mut Vec<Defined>,
    ) -> ModuleResult<()> {
        let reasons: Vec<Option<BypassReason>> =
            functions.iter().map(|(id, function)| self.reason(*id, function)).collect();
        let cached: Vec<&ir::Function> = functions
            .iter()
            .zip(&reasons)
            .filter(|(_, reason)| reason.is_none())
            .map(|((_, function), _)| function)
            .collect();
        self.retarget();
        let mut compiled = self.stages.compile_all(self.inner.isa(), &cached).into_iter();
        for ((id, function), reason) in functions.into_iter().zip(reasons) {
            let reason = match reason {
                Some(reason) => reason,
                None => match compiled.next().expect("one result for each function") {
                    Ok(function) => {
                        self.define_bytes(id, &function)?;
                        defined.push(Defined::cached(function));
                        continue;
                    }
                    Err(error) => BypassReason::from(&error),
                },
            };
            let mut context = Context::for_function(function);
            self.bypass(id, &mut context, &mut ControlPlane::default(), reason)?;
            defined.push(Defined::bypassed(self.take_code(&mut context)?, reason));
        }
        Ok(())
    }

    /// Makes the stages those of the inner module's target.
    fn retarget(&mut self) {
        if std::mem::take(&mut self.retarget) {
            self.stages.retarget(self.inner.isa());
        }
    }

    fn is_definable(&self, id: FuncId) -> bool {
        let declaration = self.inner.declarations().get_function_decl(id);
        declaration.linkage.is_definable() && !self.defined.contains(&id)
    }

    /// Why the inner module has to compile a function.
    fn reason(&self, id: FuncId, function: &ir::Function) -> Option<BypassReason> {
        let keeps_tables = self.tables == UnwindTables::Perhaps;
        if !self.is_definable(id) {
            Some(BypassReason::NotDefinable)
        } else if keeps_tables && self.inner.isa().flags().unwind_info() {
            Some(BypassReason::UnwindTables)
        } else if bypass::has_try_call(function) {
            Some(BypassReason::TryCall)
        } else {
            None
        }
    }

    /// Defines a function with code from the cache, or says why it cannot be.
    fn try_cache(
        &mut self,
        id: FuncId,
        context: &mut Context,
    ) -> ModuleResult<Result<CompiledFunction, BypassReason>> {
        // That of an earlier function would be taken for this one's.
        context.take_compiled_code();
        if let Some(reason) = self.reason(id, &context.func) {
            return Ok(Err(reason));
        }
        if context.want_disasm {
            return Ok(Err(BypassReason::Disassembly));
        }
        self.retarget();
        match self.stages.compile(self.inner.isa(), &context.func) {
            Ok(function) => self.define_bytes(id, &function).map(|()| Ok(function)),
            Err(error) => Ok(Err(BypassReason::from(&error))),
        }
    }

    fn define_bytes(&mut self, id: FuncId, function: &CompiledFunction) -> ModuleResult<()> {
        let relocs = function.finalized().module_relocs(id);
        let alignment = u64::from(function.alignment());
        self.inner.define_function_bytes(id, alignment, function.code(), &relocs)?;
        self.defined.insert(id);
        Ok(())
    }

    /// Leaves a function to the inner module.
    fn bypass(
        &mut self,
        id: FuncId,
        context: &mut Context,
        control_plane: &mut ControlPlane,
        reason: BypassReason,
    ) -> ModuleResult<()> {
        self.inner.define_function_with_control_plane(id, context, control_plane)?;
        self.defined.insert(id);
        *self.bypassed.entry(reason).or_default() += 1;
        Ok(())
    }

    /// The code that the inner module has left in the context. One that leaves
    /// none, being a cache itself, has not changed the function either.
    fn take_code(&self, context: &mut Context) -> ModuleResult<CompiledCode> {
        if context.compiled_code().is_none() {
            context.compile(self.inner.isa(), &mut ControlPlane::default())?;
        }
        Ok(context.take_compiled_code().expect("compiled"))
    }
}
