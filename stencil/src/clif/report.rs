//! What happened to the functions that were compiled through a cache.

use super::split::Uncacheable;
use crate::store::{MissReason, PublishSummary, Tier};
use std::collections::BTreeMap;

/// Counts since a compiler was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Functions that came in.
    pub functions: u64,
    /// Functions that the policy found not worth a lookup.
    pub unasked: u64,
    /// Functions whose code was found, by tier. Several functions of one batch
    /// with one key are looked up once and all counted here.
    pub hits: BTreeMap<Tier, u64>,
    /// Functions that another one of the same batch was compiled for.
    pub shared: u64,
    /// Functions whose code was not found, or was found and is not usable.
    pub misses: BTreeMap<MissReason, u64>,
    /// Functions that were compiled.
    pub codegen: u64,
    /// Functions without a stencil.
    pub uncacheable: BTreeMap<Uncacheable, u64>,
    /// Functions whose code no entry can hold, by what is in the way.
    pub unheld: BTreeMap<&'static str, u64>,
    /// New entries, and what became of them.
    pub published: PublishSummary,
}

impl Report {
    /// All hits.
    pub fn hit_count(&self) -> u64 {
        self.hits.values().sum()
    }

    /// All misses.
    pub fn miss_count(&self) -> u64 {
        self.misses.values().sum()
    }
}
