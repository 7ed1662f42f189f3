//! The spine: functions of Cranelift's IR in, finalized functions out.
//!
//! [`Stages::compile_all`] calls the stages in their order, and has the one
//! place at which a hit and a miss differ.

use super::codegen::{GenerateError, generate};
use super::finalized::is_known;
use super::fingerprint::fingerprint;
use super::policy::Policy;
use super::report::Report;
use super::scan::Scan;
use super::split::{Splitter, Uncacheable};
use crate::entry::{self, EntryBytes, OpenEntry};
use crate::finalize::{FinalizedFunction, finalize};
use crate::function_stencil::{FunctionStencil, StencilKind};
use crate::key::{CacheKey, Fingerprint};
use crate::parameters::FunctionParameters;
use crate::store::{CacheStore, Lookup, MissReason, NewEntry, Tier};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::{CodegenError, Context, ir};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Why a function did not go through the cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// It has no stencil; compile it as if there were no cache.
    #[error("the function cannot be cached: {0}")]
    Uncacheable(#[from] Uncacheable),
    /// No entry can hold its code; compile it as if there were no cache.
    #[error("the function cannot be cached: no entry can hold {0}")]
    Unheld(&'static str),
    /// Cranelift refuses it. Names in the message are those of the canonical
    /// function; compiling the function itself gives its own.
    #[error("cannot compile the function: {0}")]
    Codegen(CodegenError),
}

/// Where a function's code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A tier of the cache.
    Hit(Tier),
    /// Compiled for this function.
    Compiled,
    /// Compiled for an equal function of the same batch.
    Shared,
}

/// Code and tables of one function, bound to its parameters.
#[derive(Clone, Debug)]
pub struct CompiledFunction {
    entry: OpenEntry,
    parameters: FunctionParameters,
    origin: Origin,
}

impl CompiledFunction {
    /// The function, to be read in this crate's or in Cranelift's terms.
    pub fn finalized(&self) -> FinalizedFunction<'_> {
        finalize(self.entry.stencil(), &self.parameters)
            .expect("they were held against each other when this was made")
    }

    /// The machine code; relocated places hold what Cranelift left there.
    pub fn code(&self) -> &[u8] {
        self.entry.stencil().code()
    }

    /// The code's alignment in bytes.
    pub fn alignment(&self) -> u32 {
        self.entry.stencil().alignment()
    }

    /// The sealed entry that the code is read from.
    pub fn entry(&self) -> &EntryBytes {
        self.entry.bytes()
    }

    /// Where the code came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// Compiles functions through a cache. One for each thread.
///
/// ```
/// # use cranelift_codegen::{ir, isa, settings};
/// # use std::sync::Arc;
/// # fn doc(function: &ir::Function, isa: isa::OwnedTargetIsa, store: Arc<dyn stencil::CacheStore>)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let mut compiler = stencil::clif::Compiler::new(isa, store);
/// let compiled = compiler.compile(function)?;
/// for reloc in compiled.finalized().relocs() {
///     println!("{:#x} {} {:?}", reloc.offset, reloc.kind, reloc.target);
/// }
/// println!("{} bytes, {:?}", compiled.code().len(), compiled.origin());
/// # Ok(()) }
/// ```
pub struct Compiler {
    isa: OwnedTargetIsa,
    stages: Stages,
}

impl Compiler {
    /// A compiler for one target, in front of one store.
    pub fn new(isa: OwnedTargetIsa, store: Arc<dyn CacheStore>) -> Self {
        let stages = Stages::new(&*isa, store);
        Self { isa, stages }
    }

    /// Says which functions are worth a lookup and worth publishing; before, it
    /// is [`Policy::default`]. The code is the same with every policy.
    pub fn set_policy(&mut self, policy: Policy) {
        self.stages.policy = policy;
    }

    /// Compiles one function, or finds its code.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub fn compile(&mut self, function: &ir::Function) -> Result<CompiledFunction, CompileError> {
        self.stages.compile(&*self.isa, function)
    }

    /// Compiles many functions with one lookup and one publish; the results are
    /// in the functions' order.
    pub fn compile_all(
        &mut self,
        functions: &[&ir::Function],
    ) -> Vec<Result<CompiledFunction, CompileError>> {
        self.stages.compile_all(&*self.isa, functions)
    }

    /// The key of a function's stencil.
    ///
    /// # Errors
    ///
    /// [`Uncacheable`] if it has none.
    pub fn key(&mut self, function: &ir::Function) -> Result<CacheKey, Uncacheable> {
        let (stencil, _) = self.stages.splitter.split(function)?;
        Ok(stencil.key(&self.stages.fingerprint))
    }

    /// What happened so far.
    pub fn report(&self) -> &Report {
        &self.stages.report
    }
}

/// The stages without their target, which a module owns.
pub(crate) struct Stages {
    fingerprint: Fingerprint,
    store: Arc<dyn CacheStore>,
    splitter: Splitter,
    context: Context,
    pub(crate) policy: Policy,
    pub(crate) report: Report,
}

/// What a lookup gave for a slot.
type Found = Option<(OpenEntry, Tier)>;

/// What there is to finalize.
type Filled = Result<(OpenEntry, Origin), CompileError>;

/// A function between `split` and `finalize`.
struct Piece {
    parameters: FunctionParameters,
    slot: usize,
}

/// The code of one key, which several pieces may share.
struct Slot {
    key: CacheKey,
    stencil: Box<[u8]>,
    callees: u32,
    sources: u32,
    stack_slots: u32,
    pieces: u64,
    worth_lookup: bool,
    worth_publishing: bool,
}

impl Slot {
    /// Opens what was found or made, if it fits these pieces' parameters.
    fn open(&self, bytes: EntryBytes) -> Result<OpenEntry, MissReason> {
        let entry = OpenEntry::open(&self.key, bytes).map_err(|error| MissReason::from(&error))?;
        let stencil = entry.stencil();
        let fits = stencil.callee_count() == self.callees
            && stencil.number_count() == 0
            && stencil.source_count() == self.sources
            && stencil.slot_count() == self.stack_slots
            && stencil.has_debug()
            && stencil.relocations().all(|reloc| is_known(reloc, stencil.code().len()));
        if fits { Ok(entry) } else { Err(MissReason::BadEntry) }
    }
}

impl Stages {
    pub(crate) fn new(isa: &dyn TargetIsa, store: Arc<dyn CacheStore>) -> Self {
        Self {
            fingerprint: fingerprint(isa),
            store,
            splitter: Splitter::new(),
            context: Context::new(),
            policy: Policy::default(),
            report: Report::default(),
        }
    }

    /// Takes functions of another target from now on.
    #[cfg(feature = "module")]
    pub(crate) fn retarget(&mut self, isa: &dyn TargetIsa) {
        self.fingerprint = fingerprint(isa);
    }

    pub(crate) fn compile(
        &mut self,
        isa: &dyn TargetIsa,
        function: &ir::Function,
    ) -> Result<CompiledFunction, CompileError> {
        self.compile_all(isa, &[function]).remove(0)
    }

    pub(crate) fn compile_all(
        &mut self,
        isa: &dyn TargetIsa,
        functions: &[&ir::Function],
    ) -> Vec<Result<CompiledFunction, CompileError>> {
        let (pieces, slots) = self.split(functions);
        let found = self.lookup(&slots);
        let filled = self.codegen(isa, &slots, found);
        self.finalize(pieces, filled)
    }

    /// Functions -> pieces, and a slot for each key.
    fn split(
        &mut self,
        functions: &[&ir::Function],
    ) -> (Vec<Result<Piece, Uncacheable>>, Vec<Slot>) {
        let mut slots: Vec<Slot> = Vec::new();
        let mut by_key: FxHashMap<CacheKey, usize> = FxHashMap::default();
        let mut pieces = Vec::with_capacity(functions.len());
        for function in functions {
            self.report.functions += 1;
            let (stencil, parameters) = match self.splitter.split(function) {
                Ok(split) => split,
                Err(error) => {
                    *self.report.uncacheable.entry(error).or_default() += 1;
                    pieces.push(Err(error));
                    continue;
                }
            };
            let key = stencil.key(&self.fingerprint);
            let policy = self.policy;
            let slot = *by_key.entry(key).or_insert_with(|| {
                let scan = policy.needs_scan().then(|| Scan::of(function));
                slots.push(Slot {
                    key,
                    stencil: stencil.bytes().into(),
                    callees: parameters.callees.len() as u32,
                    sources: parameters.source.len(),
                    stack_slots: parameters.clif.stack_slots.len() as u32,
                    pieces: 0,
                    worth_lookup: scan.as_ref().is_none_or(|scan| policy.worth_lookup(scan)),
                    worth_publishing: scan
                        .as_ref()
                        .is_none_or(|scan| policy.worth_publishing(scan)),
                });
                slots.len() - 1
            });
            slots[slot].pieces += 1;
            pieces.push(Ok(Piece { parameters, slot }));
        }
        (pieces, slots)
    }

    fn lookup(&mut self, slots: &[Slot]) -> Vec<Found> {
        let asked = || slots.iter().filter(|slot| slot.worth_lookup);
        let keys: Vec<CacheKey> = asked().map(|slot| slot.key).collect();
        let answers = if keys.is_empty() { Vec::new() } else { self.store.lookup(&keys) };
        let mut answers = answers.into_iter();
        let report = &mut self.report;
        let find = |slot: &Slot| {
            if !slot.worth_lookup {
                report.unasked += slot.pieces;
                return None;
            }
            let found = match answers.next() {
                Some(Lookup::Hit(bytes, tier)) => slot.open(bytes).map(|entry| (entry, tier)),
                Some(Lookup::Miss(reason)) => Err(reason),
                // A store that answers for fewer keys than it was asked for.
                None => Err(MissReason::Protocol),
            };
            match &found {
                Ok((_, tier)) => *report.hits.entry(*tier).or_default() += slot.pieces,
                Err(reason) => *report.misses.entry(*reason).or_default() += 1,
            }
            found.ok()
        };
        slots.iter().map(find).collect()
    }

    /// Fills the slots that were not found, and publishes what is new.
    fn codegen(&mut self, isa: &dyn TargetIsa, slots: &[Slot], found: Vec<Found>) -> Vec<Filled> {
        let mut new = Vec::new();
        let mut filled = Vec::with_capacity(slots.len());
        for (slot, found) in slots.iter().zip(found) {
            filled.push(match found {
                Some((entry, tier)) => Ok((entry, Origin::Hit(tier))),
                None => self.generate(isa, slot).map(|entry| {
                    if slot.worth_publishing {
                        new.push(NewEntry { key: slot.key, bytes: entry.bytes().clone() });
                    }
                    (entry, Origin::Compiled)
                }),
            });
        }
        if !new.is_empty() {
            self.report.published.add(&self.store.publish(&new));
        }
        filled
    }

    fn generate(&mut self, isa: &dyn TargetIsa, slot: &Slot) -> Result<OpenEntry, CompileError> {
        let stencil = FunctionStencil::of(StencilKind::Clif, &slot.stencil);
        self.report.codegen += 1;
        let unheld = |report: &mut Report, reason| {
            *report.unheld.entry(reason).or_default() += 1;
            CompileError::Unheld(reason)
        };
        let compiled = generate(&stencil, slot.callees, slot.sources, isa, &mut self.context);
        let compiled = compiled.map_err(|error| match error {
            GenerateError::Codegen(error) => CompileError::Codegen(error),
            GenerateError::Unheld(reason) => unheld(&mut self.report, reason),
            GenerateError::Malformed(_) => {
                unheld(&mut self.report, "operands of types that their opcodes do not take")
            }
        })?;
        let sealed = entry::seal(&slot.key, &compiled).ok();
        // Opened like one that was found, so that both are used alike.
        let opened = sealed.and_then(|bytes| slot.open(bytes).ok());
        let opened = opened.ok_or_else(|| unheld(&mut self.report, "code of this size"))?;
        self.report.shared += slot.pieces - 1;
        Ok(opened)
    }

    fn finalize(
        &mut self,
        pieces: Vec<Result<Piece, Uncacheable>>,
        mut filled: Vec<Filled>,
    ) -> Vec<Result<CompiledFunction, CompileError>> {
        let piece = |piece: Result<Piece, Uncacheable>| {
            let Piece { parameters, slot } = piece?;
            let (entry, origin) = match &mut filled[slot] {
                Ok((entry, origin)) => {
                    let of_this = *origin;
                    if of_this == Origin::Compiled {
                        *origin = Origin::Shared;
                    }
                    (entry.clone(), of_this)
                }
                // An error has no copy: the next piece is told in general.
                error => {
                    let told = Err(CompileError::Unheld("the code of an equal function"));
                    return Err(match std::mem::replace(error, told) {
                        Err(error) => error,
                        Ok(_) => unreachable!("matched above"),
                    });
                }
            };
            Ok(CompiledFunction { entry, parameters, origin })
        };
        pieces.into_iter().map(piece).collect()
    }
}
