//! See `tests/fuzz/src/keys.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    portcullis_fuzz_targets::keys::check(input);
});
