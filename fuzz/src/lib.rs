//! The checks behind the fuzz targets: bytes -> a claim about the cache that they are to break.
//!
//! Each module is one target: `check` takes a fuzzer's input, `smoke` runs a
//! bounded number of inputs as an ordinary test. `fuzz_targets/` hands the
//! bytes over and does nothing else.

pub mod clif_cache;
pub mod entry_decode;
mod hosts;
pub mod module_edit;
pub mod module_equals_stock;
pub mod run_equals_stock;
#[cfg(test)]
mod smoke;
pub mod tally;
pub mod wire;
