//! Bytes -> `fuzz::module_edit::check`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::module_edit::check(input));
