//! A function that was defined, from the cache or not -> what
//! `Context::compiled_code` would have said.

use super::BypassReason;
use crate::clif::{CallSite, CompiledFunction, Origin, UserStackMap};
use cranelift_codegen::isa::{TargetIsa, unwind::UnwindInfo};
use cranelift_codegen::{
    CodegenResult, CompiledCode, Final, FinalizedMachReloc, MachSrcLoc, MachTrap,
};

/// Code and tables of a defined function.
#[derive(Debug)]
pub struct Defined(Source);

#[derive(Debug)]
enum Source {
    Cached(CompiledFunction),
    Bypassed(Box<CompiledCode>, BypassReason),
}

impl Defined {
    pub(super) fn cached(function: CompiledFunction) -> Self {
        Self(Source::Cached(function))
    }

    pub(super) fn bypassed(code: CompiledCode, reason: BypassReason) -> Self {
        Self(Source::Bypassed(Box::new(code), reason))
    }

    /// Where the code came from.
    ///
    /// # Errors
    ///
    /// Why it did not go through the cache.
    pub fn origin(&self) -> Result<Origin, BypassReason> {
        match &self.0 {
            Source::Cached(function) => Ok(function.origin()),
            Source::Bypassed(_, reason) => Err(*reason),
        }
    }

    /// The machine code; relocated places hold what Cranelift left there.
    pub fn code(&self) -> &[u8] {
        match &self.0 {
            Source::Cached(function) => function.code(),
            Source::Bypassed(code, _) => code.code_buffer(),
        }
    }

    /// The code's alignment in bytes.
    pub fn alignment(&self) -> u32 {
        match &self.0 {
            Source::Cached(function) => function.alignment(),
            Source::Bypassed(code, _) => code.buffer.alignment,
        }
    }

    /// As `MachBufferFinalized::relocs`; names are refs of the function that was
    /// defined.
    pub fn relocs(&self) -> Vec<FinalizedMachReloc> {
        match &self.0 {
            Source::Cached(function) => function.finalized().relocs().collect(),
            Source::Bypassed(code, _) => code.buffer.relocs().to_vec(),
        }
    }

    /// As `MachBufferFinalized::traps`.
    pub fn traps(&self) -> Vec<MachTrap> {
        match &self.0 {
            Source::Cached(function) => function.finalized().traps().collect(),
            Source::Bypassed(code, _) => code.buffer.traps().to_vec(),
        }
    }

    /// As `MachBufferFinalized::call_sites`.
    pub fn call_sites(&self) -> Vec<CallSite> {
        match &self.0 {
            Source::Cached(function) => function.finalized().call_sites().collect(),
            Source::Bypassed(code, _) => code.buffer.call_sites().map(CallSite::from).collect(),
        }
    }

    /// As `MachBufferFinalized::get_srclocs_sorted`.
    pub fn srclocs(&self) -> Vec<MachSrcLoc<Final>> {
        match &self.0 {
            Source::Cached(function) => function.finalized().srclocs(),
            Source::Bypassed(code, _) => code.buffer.get_srclocs_sorted().to_vec(),
        }
    }

    /// As `MachBufferFinalized::user_stack_maps`.
    pub fn user_stack_maps(&self) -> Vec<UserStackMap> {
        match &self.0 {
            Source::Cached(function) => function.finalized().user_stack_maps().collect(),
            Source::Bypassed(code, _) => {
                code.buffer.user_stack_maps().iter().map(UserStackMap::from).collect()
            }
        }
    }

    /// As `CompiledCode::create_unwind_info`; `isa` is the module's.
    ///
    /// # Errors
    ///
    /// Those of Cranelift, for a function that did not go through the cache.
    pub fn create_unwind_info(&self, isa: &dyn TargetIsa) -> CodegenResult<Option<UnwindInfo>> {
        match &self.0 {
            Source::Cached(function) => Ok(function.finalized().unwind_info()),
            Source::Bypassed(code, _) => code.create_unwind_info(isa),
        }
    }

    /// What went through the cache, with tables for debuggers too.
    pub fn as_cached(&self) -> Option<&CompiledFunction> {
        match &self.0 {
            Source::Cached(function) => Some(function),
            Source::Bypassed(..) => None,
        }
    }

    /// What the inner module compiled.
    pub fn as_bypassed(&self) -> Option<&CompiledCode> {
        match &self.0 {
            Source::Cached(_) => None,
            Source::Bypassed(code, _) => Some(code),
        }
    }
}
