//! `ir::Function` -> canonical bytes and parameters.
//!
//! ```text
//! signature | entities: one table a kind | stack limit | body, block by block | value labels
//! ```
//!
//! Every entity is numbered: values, blocks and instructions in layout order,
//! all others in the order in which the body first uses them. Entities that
//! are equal (signatures, functions, flags, constants, global values) share a
//! number however often they were declared. What the layout does not lead to
//! has no number and no bytes.
//!
//! Invariants:
//! - [`restore`](super::restore) makes the function that is compiled from these
//!   bytes and from nothing else: what is not in here cannot reach code
//!   generation;
//! - splitting what was restored gives the same bytes;
//! - an instruction in the layout is never left out.

mod body;
mod entities;
mod labels;
mod operands;
mod sources;
mod table;

use crate::function_stencil::{FunctionStencil, StencilKind, StencilWriter};
use crate::parameters::{ClifParameters, ExternalName, FunctionParameters};
use cranelift_codegen::ir::{self, UserFuncName};
use entities::Entities;
use sources::Sources;

/// Why a function has no stencil. It is compiled, and counted, without a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Uncacheable {
    /// Something refers to a value, block or entity that the function does not
    /// define; Cranelift's verifier would refuse it too.
    #[error("it refers to what it does not define, as the verifier would tell")]
    Undefined,
    /// An instruction whose operands are not those of its opcode.
    #[error("an instruction's operands are not those of its opcode")]
    Format,
    /// It uses vectors of dynamic size.
    #[error("it uses vectors of dynamic size")]
    DynamicVectors,
    /// It calls a function by a name that only Cranelift's test cases have.
    #[error("it calls a function by a name that only test cases have")]
    TestcaseName,
    /// A debug label of a value is that of another value.
    #[error("a value's debug label is an alias of another value's")]
    LabelAlias,
    /// Global values that refer to one another too deeply, or in a circle.
    #[error("its global values refer to one another too deeply")]
    GlobalValueDepth,
}

impl Uncacheable {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Format => "format",
            Self::DynamicVectors => "dynamic-vectors",
            Self::TestcaseName => "testcase-name",
            Self::LabelAlias => "label-alias",
            Self::GlobalValueDepth => "global-value-depth",
        }
    }
}

/// Takes one function after the other apart; its buffers are reused.
#[derive(Debug, Default)]
pub struct Splitter {
    stencil: StencilWriter,
    body: StencilWriter,
    entities: Entities,
    sources: Sources,
}

impl Splitter {
    /// A splitter with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits a function. The function is not changed, and need not be
    /// verified.
    ///
    /// # Errors
    ///
    /// [`Uncacheable`] if no stencil can describe it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cranelift_codegen::ir::{Function, InstBuilder, types};
    /// # use cranelift_codegen::cursor::{Cursor, FuncCursor};
    /// # use stencil::clif::{Splitter, restore};
    /// let mut function = Function::new();
    /// let block = function.dfg.make_block();
    /// let mut cursor = FuncCursor::new(&mut function);
    /// cursor.insert_block(block);
    /// cursor.ins().iconst(types::I32, 7);
    /// cursor.ins().return_(&[]);
    ///
    /// let mut splitter = Splitter::new();
    /// let (stencil, _) = splitter.split(&function)?;
    /// let bytes = stencil.bytes().to_vec();
    /// let canonical = restore(&stencil).unwrap();
    /// assert_eq!(splitter.split(&canonical)?.0.bytes(), bytes);
    /// # Ok::<(), stencil::clif::Uncacheable>(())
    /// ```
    pub fn split(
        &mut self,
        function: &ir::Function,
    ) -> Result<(FunctionStencil<'_>, FunctionParameters), Uncacheable> {
        let ir::Function { name, stencil, params } = function;
        // Every field of the half that is compiled, so that a new one does not
        // build until it has a place in the bytes.
        let ir::function::FunctionStencil {
            // In the fingerprint.
            version_marker: _,
            signature,
            sized_stack_slots: _,
            dynamic_stack_slots,
            global_values: _,
            dfg,
            layout: _,
            srclocs: _,
            debug_tags: _,
            stack_limit,
        } = stencil;
        if !dfg.dynamic_types.is_empty() || !dynamic_stack_slots.is_empty() {
            return Err(Uncacheable::DynamicVectors);
        }
        self.stencil.clear();
        self.body.clear();
        self.entities.clear(function);
        self.sources.clear(params.base_srcloc());

        let stack_limit = match stack_limit {
            Some(value) => Some(self.entities.global_value(function, *value)?),
            None => None,
        };
        body::write(&mut self.body, &mut self.entities, &mut self.sources, function)?;
        labels::write(&mut self.body, &self.entities, function)?;
        self.entities.keyed_stack_slots(function);

        entities::write_signature(&mut self.stencil, signature);
        self.entities.write(&mut self.stencil);
        self.stencil.uleb(stack_limit.map_or(0, |value| u64::from(value) + 1));
        self.stencil.raw(self.body.bytes());

        let parameters = FunctionParameters {
            callees: self.entities.names(function)?,
            numbers: Vec::new(),
            source: self.sources.take(),
            clif: ClifParameters {
                name: match name {
                    UserFuncName::User(name) => {
                        Some(ExternalName { namespace: name.namespace, index: name.index })
                    }
                    UserFuncName::Testcase(_) => None,
                },
                callee_refs: self.entities.name_refs(),
                stack_slots: self.entities.stack_slots(),
            },
        };
        Ok((self.stencil.stencil(StencilKind::Clif), parameters))
    }
}
