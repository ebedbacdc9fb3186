//! What the targets do with their bytes, which the crate's own tests do too. Compiled once for all targets.

#[path = "../../tests/it/cases.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod cases;
#[path = "../../tests/it/coded.rs"]
pub mod coded;
#[path = "../../tests/it/fuzzed.rs"]
pub mod fuzzed;
#[path = "../../tests/it/loaded.rs"]
pub mod loaded;
#[path = "../../tests/it/piped.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
pub mod piped;
#[path = "../../tests/it/variants.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod variants;
