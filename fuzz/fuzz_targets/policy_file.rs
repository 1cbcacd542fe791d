//! See `tests/fuzz/src/policy_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    portcullis_fuzz_targets::policy_file::check(input);
});
