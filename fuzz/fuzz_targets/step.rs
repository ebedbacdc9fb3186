//! Any rule, hyperparameters, length, level, split, alignment and bits against `reference`.
#![no_main]

#[path = "../../tests/it/cases.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod cases;
#[path = "../../tests/it/fuzzed.rs"]
#[allow(dead_code, reason = "shared with the other target")]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzzed::step(bytes);
});
