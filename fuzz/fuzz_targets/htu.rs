//! See `tests/fuzz/src/htu.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    portcullis_fuzz_targets::htu::check(input);
});
