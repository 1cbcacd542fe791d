//! See `tests/fuzz/src/request.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    portcullis_fuzz_targets::request::check(input);
});
