//! libFuzzer's bytes -> [`fuzz::wire::check`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::wire::check(input));
