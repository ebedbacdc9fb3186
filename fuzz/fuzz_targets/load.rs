//! Any bytes as a checkpoint: an optimizer that works, or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lanestep_fuzz::loaded::load(bytes);
});
