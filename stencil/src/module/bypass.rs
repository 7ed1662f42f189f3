//! A function -> why the inner module has to compile it.

use crate::clif::{CompileError, Uncacheable};
use cranelift_codegen::ir::{self, Opcode};
use std::fmt;

/// Why a function did not go through the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BypassReason {
    /// The inner module may keep unwind tables.
    UnwindTables,
    /// It has exception handlers, in tables that the inner module may keep.
    TryCall,
    /// It is an import or is defined already; the inner module has an error for
    /// it.
    NotDefinable,
    /// Its disassembly is asked for (`Context::want_disasm`), which no entry holds.
    Disassembly,
    /// It was to be compiled with a control plane, which may perturb the code.
    ControlPlane,
    /// It has no stencil.
    Uncacheable(Uncacheable),
    /// No entry can hold its code.
    Unheld(&'static str),
    /// Cranelift refuses it; the inner module has an error for it.
    Codegen,
}

impl BypassReason {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnwindTables => "unwind-tables",
            Self::TryCall => "try-call",
            Self::NotDefinable => "not-definable",
            Self::Disassembly => "disassembly",
            Self::ControlPlane => "control-plane",
            Self::Uncacheable(reason) => reason.name(),
            Self::Unheld(_) => "unheld",
            Self::Codegen => "codegen",
        }
    }
}

impl fmt::Display for BypassReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<&CompileError> for BypassReason {
    fn from(error: &CompileError) -> Self {
        match error {
            CompileError::Uncacheable(reason) => Self::Uncacheable(*reason),
            CompileError::Unheld(reason) => Self::Unheld(reason),
            CompileError::Codegen(_) => Self::Codegen,
        }
    }
}

/// Whether a function has exception handlers.
pub(super) fn has_try_call(function: &ir::Function) -> bool {
    let is_try_call = |inst| {
        let opcode = function.dfg.insts[inst].opcode();
        matches!(opcode, Opcode::TryCall | Opcode::TryCallIndirect)
    };
    let mut insts = function.layout.blocks().flat_map(|block| function.layout.block_insts(block));
    !function.dfg.exception_tables.is_empty() && insts.any(is_try_call)
}
