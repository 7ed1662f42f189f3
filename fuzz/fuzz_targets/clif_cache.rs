//! Hands libFuzzer's bytes to `fuzz::clif_cache`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::clif_cache::check(input));
