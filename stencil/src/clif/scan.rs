//! A function of Cranelift's IR -> what is in it and what it will cost to compile.
//!
//! Invariant: one pass over the layout, and nothing is read of the function that
//! is not in it. What was made and not inserted, or removed, does not count.

use cranelift_codegen::entity::EntitySet;
use cranelift_codegen::ir::{Block, Function, Inst, Opcode};
use std::sync::LazyLock;

/// What a [`Scan`] counts. Each has its own share in the cost of a compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Blocks in the layout.
    Blocks,
    /// Blocks to which control goes back: targets of an edge from themselves or from a
    /// block that is behind them in the layout. These are the loops' headers where the
    /// front end lays out a loop's header first.
    Loops,
    /// From a branch to a block; a table's too.
    Edges,
    /// Values that edges carry to the parameters of their blocks.
    EdgeArguments,
    /// Parameters of blocks and results of instructions.
    Values,
    /// Instructions on integers, comparisons included.
    Arithmetic,
    /// Instructions whose result is a float or a vector, and comparisons of floats;
    /// not those of another class.
    FloatsAndVectors,
    /// Extensions, reductions, selections, casts.
    Conversions,
    /// Loads, stores, atomic accesses.
    Memory,
    /// Calls, tail calls among them.
    Calls,
    /// Arguments of calls.
    CallArguments,
    /// Branches, returns, traps.
    Control,
    /// Constants.
    Constants,
    /// All other instructions.
    Other,
}

impl Feature {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// All, in the order of [`Scan::counts`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Blocks,
        Self::Loops,
        Self::Edges,
        Self::EdgeArguments,
        Self::Values,
        Self::Arithmetic,
        Self::FloatsAndVectors,
        Self::Conversions,
        Self::Memory,
        Self::Calls,
        Self::CallArguments,
        Self::Control,
        Self::Constants,
        Self::Other,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Loops => "loops",
            Self::Edges => "edges",
            Self::EdgeArguments => "edge arguments",
            Self::Values => "values",
            Self::Arithmetic => "arithmetic",
            Self::FloatsAndVectors => "floats and vectors",
            Self::Conversions => "conversions",
            Self::Memory => "memory",
            Self::Calls => "calls",
            Self::CallArguments => "call arguments",
            Self::Control => "control",
            Self::Constants => "constants",
            Self::Other => "other",
        }
    }

    /// What one of it adds to a compile, in nanoseconds.
    pub const fn compile_ns(self) -> u32 {
        match self {
            Self::Blocks => 2336,
            Self::Loops => 912,
            Self::Edges => 185,
            Self::EdgeArguments => 2003,
            Self::Values => 611,
            Self::Arithmetic | Self::Memory => 0,
            Self::FloatsAndVectors => 742,
            Self::Conversions => 1039,
            Self::Calls => 2544,
            Self::CallArguments => 1152,
            Self::Control => 177,
            Self::Constants => 377,
            Self::Other => 1947,
        }
    }

    const fn is_instruction(self) -> bool {
        !matches!(
            self,
            Self::Blocks
                | Self::Loops
                | Self::Edges
                | Self::EdgeArguments
                | Self::Values
                | Self::CallArguments
        )
    }
}

/// What is in a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    counts: [u32; Feature::COUNT],
    callees: u32,
}

impl Scan {
    /// What a compile takes besides what is in the function, in nanoseconds.
    pub const BASE_COMPILE_NS: u32 = 9009;

    /// Counts.
    pub fn of(function: &Function) -> Self {
        let of_opcode = OF_OPCODE.as_slice();
        let callees = u32::try_from(function.dfg.ext_funcs.len()).unwrap_or(u32::MAX);
        let mut scan = Self { callees, ..Self::default() };
        let mut seen = EntitySet::with_capacity(function.dfg.num_blocks());
        let mut headers = EntitySet::new();
        for block in function.layout.blocks() {
            seen.insert(block);
            scan.add(Feature::Blocks, 1);
            scan.add(Feature::Values, function.dfg.num_block_params(block));
            for inst in function.layout.block_insts(block) {
                scan.instruction(function, inst, of_opcode);
            }
            if let Some(last) = function.layout.last_inst(block) {
                scan.edges(function, last, &seen, &mut headers);
            }
        }
        scan
    }

    /// How many there are of it.
    pub const fn count(&self, feature: Feature) -> u32 {
        self.counts[feature as usize]
    }

    /// How many there are of each, in the order of [`Feature::ALL`].
    pub const fn counts(&self) -> &[u32; Feature::COUNT] {
        &self.counts
    }

    /// Instructions of all classes.
    pub fn instructions(&self) -> u32 {
        let classes = Feature::ALL.iter().filter(|feature| feature.is_instruction());
        classes.fold(0, |sum, feature| sum.saturating_add(self.count(*feature)))
    }

    /// Functions that are declared as callees, called or not.
    pub const fn callees(&self) -> u32 {
        self.callees
    }

    /// What a compile of the function is estimated to take, in nanoseconds: of one thread
    /// of the machine on which the model was fitted.
    ///
    /// The model is linear and fitted to the 3305 functions of `sql.js` 1.15.2 and of this
    /// repository's `ledger.wasm`, at `opt_level` `speed` for x86-64. Of 18,931 functions of
    /// swc, which it was not fitted to, half are off by less than 14 % and nine of ten by
    /// less than 40 %. Large functions take longer than linearly: of all of swc's together
    /// it sees two thirds. `cargo run --release -p benches --bin scan` fits it again.
    pub fn compile_ns(&self) -> u64 {
        Feature::ALL.iter().fold(u64::from(Self::BASE_COMPILE_NS), |sum, feature| {
            sum + u64::from(self.count(*feature)) * u64::from(feature.compile_ns())
        })
    }

    fn add(&mut self, feature: Feature, count: usize) {
        let counted = &mut self.counts[feature as usize];
        *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn instruction(&mut self, function: &Function, inst: Inst, of_opcode: &[Kind]) {
        let dfg = &function.dfg;
        let Kind { class, results } = of_opcode[dfg.insts[inst].opcode() as usize];
        let mut results = usize::from(results);
        let class = match class {
            Feature::Arithmetic => {
                let first = dfg.inst_results(inst).first();
                let is_int = first.is_none_or(|of| dfg.value_type(*of).is_int());
                if is_int { class } else { Feature::FloatsAndVectors }
            }
            Feature::Calls => {
                self.add(Feature::CallArguments, dfg.inst_args(inst).len());
                results = dfg.inst_results(inst).len();
                class
            }
            _ => class,
        };
        self.add(Feature::Values, results);
        self.add(class, 1);
    }

    fn edges(
        &mut self,
        function: &Function,
        last: Inst,
        seen: &EntitySet<Block>,
        headers: &mut EntitySet<Block>,
    ) {
        let dfg = &function.dfg;
        let edges = dfg.insts[last].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        self.add(Feature::Edges, edges.len());
        for edge in edges {
            self.add(Feature::EdgeArguments, edge.len(&dfg.value_lists));
            let target = edge.block(&dfg.value_lists);
            if seen.contains(target) && headers.insert(target) {
                self.add(Feature::Loops, 1);
            }
        }
    }
}

/// What the opcode alone tells.
#[derive(Clone, Copy)]
struct Kind {
    class: Feature,
    /// Of opcodes that are not calls.
    results: u8,
}

/// By the opcode's number. The questions to an [`Opcode`] are a search each, which is
/// most of the time of a scan that asks them again for every instruction.
static OF_OPCODE: LazyLock<[Kind; 256]> = LazyLock::new(|| {
    let mut kinds = [Kind { class: Feature::Other, results: 0 }; 256];
    for opcode in Opcode::all() {
        let results = opcode.constraints().num_fixed_results() as u8;
        kinds[*opcode as usize] = Kind { class: class(*opcode), results };
    }
    kinds
});

fn class(opcode: Opcode) -> Feature {
    use Opcode as O;
    match opcode {
        _ if opcode.is_call() => Feature::Calls,
        _ if opcode.is_branch() || opcode.is_terminator() => Feature::Control,
        O::Trapz | O::Trapnz | O::UaddOverflowTrap => Feature::Control,
        _ if opcode.can_load() || opcode.can_store() => Feature::Memory,
        O::Iconst | O::F16const | O::F32const | O::F64const | O::F128const | O::Vconst => {
            Feature::Constants
        }
        O::Uextend | O::Sextend | O::Ireduce | O::Bitcast | O::Bmask | O::Isplit | O::Iconcat => {
            Feature::Conversions
        }
        O::Fpromote | O::Fdemote | O::FcvtFromUint | O::FcvtFromSint => Feature::Conversions,
        O::FcvtToUint | O::FcvtToSint | O::FcvtToUintSat | O::FcvtToSintSat => Feature::Conversions,
        O::Select | O::SelectSpectreGuard | O::Bitselect => Feature::Conversions,
        O::Fcmp | O::VanyTrue | O::VallTrue | O::VhighBits | O::Extractlane => {
            Feature::FloatsAndVectors
        }
        O::StackAddr | O::DynamicStackAddr | O::SymbolValue | O::TlsValue | O::FuncAddr => {
            Feature::Other
        }
        O::GetPinnedReg | O::SetPinnedReg | O::GetFramePointer | O::GetStackPointer => {
            Feature::Other
        }
        O::GetReturnAddress | O::GetExceptionHandlerAddress | O::Nop => Feature::Other,
        O::Debugtrap | O::Fence | O::SequencePoint | O::StackSwitch => Feature::Other,
        _ => Feature::Arithmetic,
    }
}
