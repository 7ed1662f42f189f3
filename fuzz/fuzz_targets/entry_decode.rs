//! Hands libFuzzer's bytes to `fuzz::entry_decode`.
#![no_main]

#[global_allocator]
static COUNTING: oracle::allocations::Counting = oracle::allocations::Counting;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::entry_decode::check(input));
