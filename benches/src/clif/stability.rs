//! Functions of IR -> how many keys are equal when nothing that matters is not.
//!
//! The first key of a function is made by a splitter of its own. Beside each share is that
//! of `compute_cache_key`, Cranelift's own.

use super::FrontEndFunction;
use anyhow::{Result, ensure};
use cranelift_codegen::Context;
use cranelift_codegen::incremental_cache::{CacheKeyHash, compute_cache_key};
use cranelift_codegen::ir;
use cranelift_codegen::isa::TargetIsa;
use generate::clif::scramble::scramble;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use std::collections::HashMap;
use stencil::clif::{Splitter, fingerprint};
use stencil::{CacheKey, Fingerprint};

/// How many of some functions had both keys a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equal {
    /// Functions.
    pub functions: usize,
    /// Of which the stencil's key is equal.
    pub ours: usize,
    /// Of which Cranelift's key is equal.
    pub cranelift: usize,
}

/// How often keys were equal, by what was different.
#[derive(Clone, Copy, Debug)]
pub struct Stability {
    /// Made by another thread.
    pub other_thread: Equal,
    /// Made by one splitter for all functions, in another order.
    pub reused_splitter: Equal,
    /// Of the function built again in a context that all functions share: declared in
    /// another order, with other names, source base, aliases and left-overs.
    pub rebuilt: Equal,
}

type Keys = (CacheKey, CacheKeyHash);

struct Keyer<'a> {
    isa: &'a dyn TargetIsa,
    fingerprint: Fingerprint,
}

impl Keyer<'_> {
    fn keys(&self, splitter: &mut Splitter, function: &ir::Function) -> Result<Keys> {
        let (stencil, _) = splitter.split(function)?;
        Ok((stencil.key(&self.fingerprint), compute_cache_key(self.isa, function)))
    }

    /// Each with a splitter of its own.
    fn afresh(&self, functions: &[FrontEndFunction]) -> Result<Vec<Keys>> {
        functions.iter().map(|of| self.keys(&mut Splitter::new(), &of.function)).collect()
    }
}

impl Equal {
    fn of<'a>(pairs: impl IntoIterator<Item = (&'a Keys, &'a Keys)>) -> Self {
        let mut equal = Self { functions: 0, ours: 0, cranelift: 0 };
        for (first, again) in pairs {
            equal.functions += 1;
            equal.ours += usize::from(first.0 == again.0);
            equal.cranelift += usize::from(first.1 == again.1);
        }
        equal
    }
}

impl Stability {
    /// Makes every key four times.
    ///
    /// # Errors
    ///
    /// If a function has no stencil.
    ///
    /// # Panics
    ///
    /// If the second thread does.
    pub fn of(isa: &dyn TargetIsa, functions: &[FrontEndFunction]) -> Result<Self> {
        let keyer = Keyer { isa, fingerprint: fingerprint(isa) };
        let first = keyer.afresh(functions)?;
        let elsewhere = std::thread::scope(|scope| {
            scope.spawn(|| keyer.afresh(functions)).join().expect("the thread panicked")
        })?;

        let mut rng = StdRng::seed_from_u64(1);
        let mut order: Vec<usize> = (0..functions.len()).collect();
        order.shuffle(&mut rng);
        let (mut splitter, mut context) = (Splitter::new(), Context::new());
        let (mut reused, mut rebuilt) = (Vec::new(), Vec::new());
        for at in order {
            let function = &functions[at].function;
            reused.push((at, keyer.keys(&mut splitter, function)?));
            context.clear();
            scramble(function, &mut context.func, &mut rng);
            rebuilt.push((at, keyer.keys(&mut splitter, &context.func)?));
        }
        let with_first =
            |again: &[(usize, Keys)]| Equal::of(again.iter().map(|(at, keys)| (&first[*at], keys)));
        Ok(Self {
            other_thread: Equal::of(first.iter().zip(&elsewhere)),
            reused_splitter: with_first(&reused),
            rebuilt: with_first(&rebuilt),
        })
    }
}

/// How many functions of one run of the front end have the keys of another run's.
///
/// # Errors
///
/// If a function has no stencil, or the runs have different functions.
pub fn between_runs(
    isa: &dyn TargetIsa,
    one: &[FrontEndFunction],
    other: &[FrontEndFunction],
) -> Result<Equal> {
    let keyer = Keyer { isa, fingerprint: fingerprint(isa) };
    let (first, again) = (keyer.afresh(one)?, keyer.afresh(other)?);
    let by_name: HashMap<&str, &Keys> =
        other.iter().map(|of| of.name.as_str()).zip(&again).collect();
    let pairs: Vec<_> = one
        .iter()
        .zip(&first)
        .filter_map(|(of, keys)| Some((keys, *by_name.get(of.name.as_str())?)))
        .collect();
    ensure!(pairs.len() == one.len() && by_name.len() == one.len(), "the runs' functions differ");
    Ok(Equal::of(pairs))
}
