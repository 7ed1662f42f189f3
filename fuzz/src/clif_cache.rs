//! A function and a mutation of it -> the mutated one's code on a cache that the first one has
//! filled: its own code, from the first one's entry if only names were changed.
//!
//! ```text
//!  0          1     2                    18
//!  +----------+-----+--------------------+---------------------+
//!  | mutation | ISA | the mutation's own | the function's      |
//!  |          |     | choices, 16 bytes  | choices             |
//!  +----------+-----+--------------------+---------------------+
//! ```
//!
//! Two judges: `Context::compile` of the mutated function's canonical form, to which all must be
//! equal; and, as a canonical form lacks whatever the key lacks, `Context::compile` of both
//! functions as they are, whose code must be equal if one's entry was found for the other.

mod changes;
mod declarations;
mod globals;
mod names;
mod targets;

use crate::tally::{Outcome, Tally};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::{CompiledCode, FinalizedRelocTarget, ir, verify_function};
use generate::choices::Choices;
use generate::clif::Generator;
use oracle::clif::{compile, same, same_as_original, split};
use oracle::store::MemoryStore;
use rand::{Rng, RngExt as _};
use std::sync::Arc;
use stencil::clif::{CompileError, CompiledFunction, Compiler, Origin, restore};
use stencil::entry;
use stencil::finalize::{FinalTarget, FinalizedFunction, finalize};

static TALLY: Tally = Tally::new();

/// Of the mutations of a function, so many more are another target.
const OF_TARGETS: usize = 4;

/// Bytes in front of the function's.
const HEADER_LEN: usize = 2 + MUTATION_LEN;
const MUTATION_LEN: usize = 16;

/// Changes a function in one place; `None` if it has no such place.
type Mutation = fn(&mut ir::Function, &mut dyn Rng) -> Option<()>;

/// A mutation, and what it is called in a finding.
type Named = (&'static str, Mutation);

/// What changes more than names.
const CHANGES: [&[Named]; 3] = [&changes::ALL, &declarations::ALL, &globals::ALL];

/// Fails if the mutated function gets other code than its own, or misses though
/// only names have changed.
pub fn check(input: &[u8]) {
    let case = Case::of(input);
    TALLY.count(case.map_or(Outcome::NoCase, |case| case.run().0));
}

/// Two functions, each with its target.
struct Case {
    what: &'static str,
    names_only: bool,
    one: (OwnedTargetIsa, ir::Function),
    other: (OwnedTargetIsa, ir::Function),
}

impl Case {
    /// `None` if the mutation does not apply, or gives what is no function.
    fn of(input: &[u8]) -> Option<Self> {
        let (header, body) = input.split_at_checked(HEADER_LEN)?;
        let kind = usize::from(header[0]);
        let isa = targets::isa(usize::from(header[1]));
        let rng = &mut Choices::new(&header[2..]);
        let original = function(&*isa, body);
        let mut other = (isa.clone(), original.clone());
        let names_only = kind.is_multiple_of(2);
        let mutations: &[&[Named]] = if names_only { &[&names::ALL] } else { &CHANGES };
        let mutations: Vec<&Named> = mutations.iter().copied().flatten().collect();
        // Some change the target in place of the function.
        let others = if names_only { 0 } else { OF_TARGETS };
        let what = match mutations.get(kind / 2 % (mutations.len() + others)) {
            Some((what, mutate)) => {
                mutate(&mut other.1, rng)?;
                let changed = other.1.stencil != original.stencil;
                (names_only || changed).then_some(what)?
            }
            None => {
                let by = 1 + rng.random_range(0..targets::COUNT - 1);
                other.0 = targets::isa(usize::from(header[1]) + by);
                "another target"
            }
        };
        verify_function(&other.1, &*other.0).ok()?;
        Some(Self { what, names_only, one: (isa, original), other })
    }

    /// Compiles one after the other on one store. Also tells whether the other's
    /// code is the same without the cache, so that all of it was compared.
    fn run(&self) -> (Outcome, bool) {
        let store = Arc::new(MemoryStore::default());
        let (isa, one) = &self.one;
        let mut compiler = Compiler::new(isa.clone(), store.clone());
        if compiler.compile(one).is_err() {
            assert!(compile(&**isa, one).is_err(), "only the cache refuses\n{one}");
            return (Outcome::NoCase, false);
        }
        let (isa, other) = &self.other;
        let mut compiler = Compiler::new(isa.clone(), store.clone());
        let direct = compile(&**isa, other);
        let (compiled, direct) = match (compiler.compile(other), direct) {
            (Ok(compiled), Ok(direct)) => (compiled, direct),
            (Err(CompileError::Codegen(_)), Err(_)) => return (Outcome::NoCase, false),
            (Err(error), _) => panic!("{}: only the cache refuses: {error}\n{other}", self.what),
            (Ok(_), Err(error)) => panic!("{}: only stock refuses: {error}\n{other}", self.what),
        };
        store.assert_no_conflicts();
        let hit = matches!(compiled.origin(), Origin::Hit(_));
        assert!(hit || !self.names_only, "{}: missed\n{one}\n{other}", self.what);
        let identical = self.judge(&compiled, &direct);
        if hit && let Err(difference) = self.same_without_cache(&direct) {
            panic!("{}: one key, {difference}\n{one}\n{other}", self.what);
        }
        (if hit { Outcome::Hit } else { Outcome::Missed }, identical)
    }

    /// Holds what came out against stock's of the canonical form, and against
    /// stock's of the function, if the code is the same.
    fn judge(&self, compiled: &CompiledFunction, direct: &CompiledCode) -> bool {
        let (isa, function) = &self.other;
        let of_function = split(&**isa, function);
        let restored = restore(&of_function.stencil()).expect("what was split is restored");
        let expected = compile(&**isa, &restored).expect("it was compiled before");
        let of_canonical = split(&**isa, &restored);
        let opened = entry::open(&of_function.key, compiled.entry()).expect("it was opened");
        let canonical = finalize(opened, &of_canonical.parameters).expect("they belong together");
        let finalized = compiled.finalized();
        let identical = finalized.code() == direct.code_buffer();
        let found = same(&**isa, &canonical, &expected)
            .and_then(|()| names_are_its_own(&finalized, function))
            .and_then(|()| {
                let of_canonical = (&expected, &restored);
                same_as_original(&**isa, &finalized, of_canonical, (direct, function))
            });
        if let Err(difference) = found {
            panic!("{}: {difference}\n{}\n{function}", self.what, self.one.1);
        }
        identical
    }

    /// Whether stock gives both functions the same code.
    fn same_without_cache(&self, other: &CompiledCode) -> Result<(), String> {
        let (isa, one) = &self.one;
        let one = compile(&**isa, one).expect("it was compiled before");
        let equal = one.code_buffer() == other.code_buffer()
            && one.buffer.traps() == other.buffer.traps()
            && one.buffer.alignment == other.buffer.alignment;
        // A function that was built in another order may have another frame.
        let built_otherwise = self.what == names::BUILT_OTHERWISE;
        if equal || built_otherwise { Ok(()) } else { Err("two codes".to_owned()) }
    }
}

/// Whether both forms of the relocations name whom the function calls.
fn names_are_its_own(
    finalized: &FinalizedFunction<'_>,
    function: &ir::Function,
) -> Result<(), String> {
    let names = function.params.user_named_funcs();
    for (reloc, with_name) in finalized.relocs().zip(finalized.relocations()) {
        let FinalizedRelocTarget::ExternalName(ir::ExternalName::User(name)) = reloc.target else {
            continue;
        };
        let expected = names.get(name).map(|name| {
            let ir::UserExternalName { namespace, index } = *name;
            FinalTarget::Name(stencil::ExternalName { namespace, index })
        });
        if expected != Some(with_name.target) {
            return Err(format!("{reloc:?} is {expected:?}, by name {with_name:?}"));
        }
    }
    Ok(())
}

/// The last of a few functions, which calls the others.
fn function(isa: &dyn TargetIsa, choices: &[u8]) -> ir::Function {
    let rng = &mut Choices::new(choices);
    let functions = rng.random_range(1..4);
    let mut function = Generator::new(isa).program(rng, functions).pop().expect("there is one");
    if rng.random_bool(0.4) {
        globals::add(&mut function, rng);
    }
    function
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// How many of each mutation were hits, misses and no case.
    type Counts = BTreeMap<&'static str, [u64; 2]>;

    /// The fuzzer's finding: the code was the same, and of a constant that two places share the
    /// location was the other one's. The check had asked for the source map of the function as it
    /// was built; the entry has that of its canonical form, in which values have other numbers.
    #[test]
    fn one_constant_for_two_locations() {
        let seed = include_bytes!("../seeds/clif_cache/one-constant-two-locations");
        let case = Case::of(seed).expect("its mutation applies");
        let (isa, function) = &case.other;
        let restored = restore(&split(&**isa, function).stencil()).expect("it was split");
        let [as_built, canonical] =
            [function, &restored].map(|function| compile(&**isa, function).expect("it compiles"));
        assert_eq!(as_built.code_buffer(), canonical.code_buffer());
        let ranges = |code: &CompiledCode| code.buffer.get_srclocs_sorted().len();
        assert_ne!(ranges(&as_built), ranges(&canonical), "it is the case that was found");
        case.run();
    }

    #[test]
    fn smoke() {
        let (tally, mut counts, mut identical) = (Tally::new(), Counts::new(), 0);
        for input in crate::smoke::inputs("clif_cache", 5_000, 300) {
            let Some(case) = Case::of(&input) else {
                tally.count(Outcome::NoCase);
                continue;
            };
            let (outcome, same) = case.run();
            identical += u64::from(same);
            tally.count(outcome);
            let counted = counts.entry(case.what).or_default();
            counted[0] += u64::from(outcome == Outcome::Hit);
            counted[1] += u64::from(outcome == Outcome::Missed);
        }
        println!("{tally}, {identical} of them compared as a whole; hits and misses: {counts:?}");
        assert!(tally.hit_rate() >= 30.0, "{tally}");
        let cases: u64 = counts.values().flatten().sum();
        assert!(2 * cases > tally.executions(), "{tally}");
        assert!(2 * identical > cases, "{identical} of {cases}");
        let mutations = CHANGES.into_iter().flatten().chain(&names::ALL);
        let all: BTreeSet<&str> = mutations.map(|(what, _)| *what).collect();
        let run: BTreeSet<&str> = counts.keys().copied().collect();
        let left_out: Vec<_> = all.difference(&run).collect();
        assert!(left_out.is_empty(), "never applied: {left_out:?}");
        let missed: u64 = counts.values().map(|[_, missed]| missed).sum();
        assert!(missed > 100, "{counts:?}");
    }
}
