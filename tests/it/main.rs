//! Bits, not tolerances: the optimizer against `reference` in every way it can be run.
#![allow(
    clippy::disallowed_methods,
    reason = "banned for their bits, which an oracle with a tolerance can do without"
)]
#![allow(clippy::float_cmp, reason = "bits are what is promised")]
#![allow(unreachable_pub, reason = "some modules are shared with the fuzz targets")]

mod bare;
mod bits;
mod broken_rule;
mod cases;
mod distance;
mod errors;
mod fuzzed;
mod gallery;
mod golden;
mod groups;
mod inline;
mod lane;
mod layers;
mod meaning;
mod named;
mod options;
mod own_rule;
mod papers;
mod piped;
mod pipeline;
mod random;
mod resume;
mod saved;
mod schedule;
mod shifts;
mod subnormal;
mod sums;
mod watchers;
mod witness;
