//! Any numbers in every format, as state, copies and halves.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lanestep_fuzz::coded::codecs(bytes);
});
