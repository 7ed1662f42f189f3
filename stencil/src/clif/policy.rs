//! What a [`Scan`] says of a function -> is it worth a lookup, is it worth publishing?
//!
//! A function pays if its compile takes longer than what the cache does instead.
//! What that is depends less on the function than on how the store is asked: a
//! lookup on disk is a transaction, whether of one key or of thousands.

use crate::clif::scan::Scan;

/// From which estimated compile time on a function goes through the cache.
///
/// The thresholds of [`Policy::in_batches`] and [`Policy::one_by_one`] are where the
/// sum comes out even if six of ten functions are found, the share of the next
/// release of a module in `docs/measurements.md`:
///
/// - a lookup, if `rate * (compile - open) = key + lookup`, where making the key takes
///   4 % of the compile;
/// - publishing, if `rate * (compile - key - lookup - open) = seal + publish`: the next
///   build gets it back.
///
/// Measured on an x86-64 server processor, with the entries of `sql.js` and of this
/// repository's `ledger.wasm` on disk, in microseconds for each entry:
///
/// | | in one batch | one by one |
/// |---|---|---|
/// | lookup, found | 0.5 to 1.9 | 55 to 103 |
/// | lookup, absent | not measured | 43 to 66 |
/// | open and finalize | 0.4 to 1.5 | 0.4 to 1.5 |
/// | seal and publish | 2.5 to 6.3 | 122 to 162 |
///
/// A function that only returns compiles in 11 microseconds, half of all functions in
/// less than 50 to 210. In a batch a lookup pays from 2 to 4 microseconds on,
/// publishing from 6 to 7; one by one from 92 to 120 and from 270 to 355. A store in
/// memory answers in less than 0.1 microseconds either way. (One of three runs, on a
/// machine with much else to do, had 12 microseconds for a found entry of a batch.)
/// To repeat it:
///
/// ```text
/// cargo run --release -p benches --bin scan -- --fit A.wasm --validate B.wasm
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Functions whose compile is estimated to take less, in nanoseconds, are compiled
    /// without asking the store.
    pub lookup_from_ns: u64,
    /// Functions whose compile is estimated to take less, in nanoseconds, are not
    /// published.
    pub publish_from_ns: u64,
}

impl Policy {
    /// Every function, however small.
    pub const fn always() -> Self {
        Self { lookup_from_ns: 0, publish_from_ns: 0 }
    }

    /// For stores that are asked for many functions at once, and for stores in memory.
    pub const fn in_batches() -> Self {
        Self { lookup_from_ns: 4_000, publish_from_ns: 8_000 }
    }

    /// For a store on disk that is asked for each function alone.
    pub const fn one_by_one() -> Self {
        Self { lookup_from_ns: 100_000, publish_from_ns: 300_000 }
    }

    /// False if it decides for every function alike, so that none needs a scan.
    pub const fn needs_scan(&self) -> bool {
        self.lookup_from_ns > 0 || self.publish_from_ns > 0
    }

    /// Is the store to be asked for this function?
    pub fn worth_lookup(&self, scan: &Scan) -> bool {
        scan.compile_ns() >= self.lookup_from_ns
    }

    /// Is the store to be given this function? Never what it would not be asked for.
    pub fn worth_publishing(&self, scan: &Scan) -> bool {
        self.worth_lookup(scan) && scan.compile_ns() >= self.publish_from_ns
    }
}

/// [`Policy::always`]: of all functions that were measured, the smallest takes 11
/// microseconds to compile, more than [`Policy::in_batches`] asks for; so a scan of
/// each, which takes 0.4 to 0.7 % of its compile, would decide nothing.
impl Default for Policy {
    fn default() -> Self {
        Self::always()
    }
}
