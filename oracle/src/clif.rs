//! One function, by every way through the crate, against `Context::compile`.

use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{CompiledCode, Context, ir};
use cranelift_control::ControlPlane;
use std::collections::HashMap;
use stencil::clif::{CallSite, DebugTags, Splitter, UserStackMap, fingerprint, generate, restore};
use stencil::finalize::{FinalizedFunction, finalize};
use stencil::{CacheKey, FunctionParameters, FunctionStencil, StencilKind, entry};

/// A function taken apart, with bytes of its own.
pub struct Split {
    /// The stencil's bytes.
    pub bytes: Vec<u8>,
    /// The parameters.
    pub parameters: FunctionParameters,
    /// The stencil's key for the target.
    pub key: CacheKey,
}

impl Split {
    /// The stencil.
    pub fn stencil(&self) -> FunctionStencil<'_> {
        FunctionStencil::of(StencilKind::Clif, &self.bytes)
    }
}

/// Takes a function apart.
///
/// # Panics
///
/// If it has no stencil.
#[track_caller]
pub fn split(isa: &dyn TargetIsa, function: &ir::Function) -> Split {
    let mut splitter = Splitter::new();
    let (stencil, parameters) = splitter.split(function).expect("it has a stencil");
    let key = stencil.key(&fingerprint(isa));
    Split { bytes: stencil.bytes().to_vec(), parameters, key }
}

/// What Cranelift makes of a function.
///
/// # Errors
///
/// Cranelift's own, as text.
pub fn compile(isa: &dyn TargetIsa, function: &ir::Function) -> Result<CompiledCode, String> {
    let mut context = Context::for_function(function.clone());
    let compiled = context.compile(isa, &mut ControlPlane::default());
    compiled.cloned().map_err(|error| format!("{:?}", error.inner))
}

/// What came of one function.
pub struct Compared {
    /// Bytes of the original's code, compiled directly.
    pub original_bytes: usize,
    /// Bytes of the stencil's code.
    pub stencil_bytes: usize,
    /// Whether the two are equal.
    pub identical: bool,
    /// Bytes of the sealed entry.
    pub entry_bytes: usize,
}

/// Splits, restores, compiles, seals, opens and finalizes a function, and holds
/// each against what Cranelift makes of the canonical function; and against the
/// original, if their code is the same.
///
/// # Panics
///
/// If anything differs that must not.
pub fn check(isa: &dyn TargetIsa, function: &ir::Function) -> Compared {
    let of_original = split(isa, function);
    let canonical = restore(&of_original.stencil()).expect("what was split is restored");
    let of_canonical = split(isa, &canonical);
    assert!(of_canonical.bytes == of_original.bytes, "splitting twice:\n{function}\n{canonical}");

    let sealed = seal(isa, &of_original);
    let opened = entry::open(&of_original.key, &sealed).expect("what was sealed is opened");

    let direct = compile(isa, &canonical).expect("it was compiled before");
    let finalized = finalize(opened, &of_canonical.parameters).expect("they belong together");
    if let Err(difference) = same(isa, &finalized, &direct) {
        panic!("canonical: {difference}\n{canonical}");
    }

    let original = compile(isa, function).expect("the canonical function compiles");
    let finalized = finalize(opened, &of_original.parameters).expect("they belong together");
    let identical = original.code_buffer() == finalized.code();
    let of_canonical = (&direct, &canonical);
    if let Err(difference) = same_as_original(isa, &finalized, of_canonical, (&original, function))
    {
        panic!("original: {difference}\n{function}");
    }
    Compared {
        original_bytes: original.code_buffer().len(),
        stencil_bytes: finalized.code().len(),
        identical,
        entry_bytes: sealed.len(),
    }
}

/// The sealed entry of a function, compiled from its stencil.
///
/// # Panics
///
/// If it does not compile.
#[track_caller]
pub fn seal(isa: &dyn TargetIsa, split: &Split) -> stencil::EntryBytes {
    let callees = split.parameters.callees.len() as u32;
    let sources = split.parameters.source.len();
    let compiled = generate(&split.stencil(), callees, sources, isa, &mut Context::new());
    entry::seal(&split.key, &compiled.expect("it compiles")).expect("it is small")
}

/// Everything that a compiled function has, in the same terms.
///
/// # Errors
///
/// What differs, and how.
pub fn same(
    isa: &dyn TargetIsa,
    cached: &FinalizedFunction<'_>,
    direct: &CompiledCode,
) -> Result<(), String> {
    same_in_both(isa, cached, direct)?;
    equal("source map", cached.srclocs(), direct.buffer.get_srclocs_sorted().to_vec())?;
    let (cached, direct) = (cached.frame_layout(), direct.buffer.frame_layout().cloned());
    equal("frame layout", cached, direct)
}

/// As [`same`], with the original's parameters.
///
/// Its source map has to be the canonical function's with the original's own locations. It need
/// not be the one of the original's code: where two places want the same constant, which place the
/// instruction has its location from depends on how values are numbered, even if the code's bytes
/// do not. Slots that nothing refers to are not in the stencil's frame.
///
/// # Errors
///
/// What differs, and how.
pub fn same_as_original(
    isa: &dyn TargetIsa,
    cached: &FinalizedFunction<'_>,
    (of_canonical, canonical): (&CompiledCode, &ir::Function),
    (of_original, original): (&CompiledCode, &ir::Function),
) -> Result<(), String> {
    let own = own_locations(canonical, original)?;
    let mut expected = of_canonical.buffer.get_srclocs_sorted().to_vec();
    for range in &mut expected {
        range.loc = own.get(&range.loc).copied().unwrap_or_default();
    }
    equal("source map", cached.srclocs(), expected)?;
    match of_original.code_buffer() == cached.code() {
        true => same_in_both(isa, cached, of_original),
        false => Ok(()),
    }
}

/// The original's location for each of the canonical function's.
fn own_locations(
    canonical: &ir::Function,
    original: &ir::Function,
) -> Result<HashMap<ir::SourceLoc, ir::SourceLoc>, String> {
    let locations = |function: &ir::Function| -> Vec<ir::SourceLoc> {
        let blocks = function.layout.blocks();
        let instructions = blocks.flat_map(|block| function.layout.block_insts(block));
        instructions.map(|instruction| function.srcloc(instruction)).collect()
    };
    let (canonical, original) = (locations(canonical), locations(original));
    equal("instructions", canonical.len(), original.len())?;
    let mut own = HashMap::new();
    for (canonical, original) in canonical.into_iter().zip(original) {
        let known = *own.entry(canonical).or_insert(original);
        equal("the location of instructions", known, original)?;
    }
    Ok(own)
}

/// What a function and its canonical form have in common, if their code is the same.
fn same_in_both(
    isa: &dyn TargetIsa,
    cached: &FinalizedFunction<'_>,
    direct: &CompiledCode,
) -> Result<(), String> {
    let buffer = &direct.buffer;
    equal("code", cached.code(), buffer.data())?;
    equal("alignment", cached.stencil().alignment(), buffer.alignment)?;
    equal("relocations", cached.relocs().collect::<Vec<_>>(), buffer.relocs().to_vec())?;
    equal("traps", cached.traps().collect::<Vec<_>>(), buffer.traps().to_vec())?;
    let sites = buffer.call_sites().map(CallSite::from);
    equal("call sites", cached.call_sites().collect::<Vec<_>>(), sites.collect())?;
    let maps = buffer.user_stack_maps().iter().map(UserStackMap::from);
    equal("stack maps", cached.user_stack_maps().collect::<Vec<_>>(), maps.collect())?;
    let tags = buffer.debug_tags().map(|list| DebugTags {
        offset: list.offset,
        pos: list.pos,
        tags: list.tags.to_vec(),
    });
    equal("debug tags", cached.debug_tags(), tags.collect())?;
    let calls = buffer.patchable_call_sites().map(|call| (call.ret_addr, call.len)).collect();
    equal("patchable calls", cached.patchable_call_sites().collect::<Vec<_>>(), calls)?;
    equal("value labels", cached.value_labels_ranges(), direct.value_labels_ranges.clone())?;
    let blocks = (direct.bb_starts.clone(), direct.bb_edges.clone());
    equal("basic blocks", cached.basic_blocks(), blocks)?;
    let unwind = direct.create_unwind_info(isa).map_err(|error| error.to_string())?;
    equal("unwind information", cached.unwind_info(), unwind)
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, cached: T, direct: T) -> Result<(), String> {
    if cached == direct {
        return Ok(());
    }
    Err(format!("{what}: from the cache {cached:?}, directly {direct:?}"))
}
