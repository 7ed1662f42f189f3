//! Bytes -> `fuzz::module_equals_stock::check`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::module_equals_stock::check(input));
