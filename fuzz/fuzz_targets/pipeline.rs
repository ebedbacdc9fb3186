//! Any groups, tensors, pipelines, levels, splits and bits against `reference`.
#![no_main]

#[path = "../../tests/it/cases.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod cases;
#[path = "../../tests/it/fuzzed.rs"]
#[allow(dead_code, reason = "shared with the other targets")]
mod fuzzed;
#[path = "../../tests/it/piped.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod piped;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    piped::pipeline(bytes);
});
