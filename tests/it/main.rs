//! Bits, not tolerances: the optimizer against `reference` in every way it can be run.

mod bits;
mod cases;
mod errors;
mod fuzzed;
mod golden;
mod lane;
mod subnormal;
mod options;
mod own_rule;
mod random;
