//! Functions of IR -> is their code from an entry what Cranelift makes of them, and how large
//! is it?

use super::FrontEndFunction;
use cranelift_codegen::isa::TargetIsa;
use stencil::clif::scan::Scan;

/// Sums over functions each of which passed.
#[derive(Clone, Debug, Default)]
pub struct Sameness {
    /// Functions.
    pub functions: usize,
    /// Instructions in their layouts.
    pub instructions: u64,
    /// Functions whose code is the same bytes as when they are compiled as they are.
    pub identical: usize,
    /// Bytes of their code, compiled as they are.
    pub original_bytes: u64,
    /// Bytes of their code from entries.
    pub stencil_bytes: u64,
    /// Bytes of each entry, in ascending order.
    pub entry_bytes: Vec<usize>,
}

impl Sameness {
    /// Takes every function all the way: split, compiled, sealed, opened, finalized.
    ///
    /// # Panics
    ///
    /// If code, relocations or any other table is not that of `Context::compile` of the
    /// canonical function, or splitting that changes it.
    pub fn of(isa: &dyn TargetIsa, functions: &[FrontEndFunction]) -> Self {
        let mut sameness = Self::default();
        for FrontEndFunction { function, .. } in functions {
            let compared = oracle::clif::check(isa, function);
            sameness.functions += 1;
            sameness.instructions += u64::from(Scan::of(function).instructions());
            sameness.identical += usize::from(compared.identical);
            sameness.original_bytes += compared.original_bytes as u64;
            sameness.stencil_bytes += compared.stencil_bytes as u64;
            sameness.entry_bytes.push(compared.entry_bytes);
        }
        sameness.entry_bytes.sort_unstable();
        sameness
    }

    /// The share of functions with the same bytes; not a number if there are none.
    pub fn identical_share(&self) -> f64 {
        self.identical as f64 / self.functions as f64
    }

    /// Code from entries as a multiple of that of the originals.
    pub fn size_ratio(&self) -> f64 {
        self.stencil_bytes as f64 / self.original_bytes as f64
    }

    /// Bytes of all entries.
    pub fn entry_bytes_total(&self) -> u64 {
        self.entry_bytes.iter().map(|bytes| *bytes as u64).sum()
    }

    /// Half of the entries have fewer bytes; 0 if there are none.
    pub fn entry_bytes_median(&self) -> usize {
        self.entry_bytes.get(self.entry_bytes.len() / 2).copied().unwrap_or(0)
    }
}
