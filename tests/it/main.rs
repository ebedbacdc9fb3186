//! Bits, not tolerances: the optimizer against `reference` in every way it can be run.
#![allow(
    clippy::disallowed_methods,
    reason = "banned for their bits, which an oracle with a tolerance can do without"
)]
#![allow(clippy::float_cmp, reason = "bits are what is promised")]
#![cfg_attr(not(feature = "serde"), allow(dead_code, reason = "shared with the tests that need it"))]
#![allow(unreachable_pub, reason = "some modules are shared with the fuzz targets")]

mod bare;
mod broken_rule;
mod cases;
mod distance;
mod gallery;
mod groups;
mod inline;
mod lane;
mod layers;
#[cfg(all(feature = "rayon", not(target_family = "wasm")))]
mod locks;
mod meaning;
mod named;
mod own_rule;
mod papers;
mod sums;
mod watchers;
mod witness;

// These find or read options by their names.
#[cfg(feature = "serde")]
mod bits;
#[cfg(all(feature = "half", feature = "checkpoint"))]
mod blocks;
#[cfg(feature = "checkpoint")]
mod checkpoint;
#[cfg(feature = "serde")]
mod coded;
#[cfg(feature = "serde")]
mod errors;
#[cfg(all(feature = "half", feature = "serde"))]
mod formats;
#[cfg(feature = "serde")]
mod fuzzed;
#[cfg(feature = "serde")]
mod golden;
#[cfg(all(feature = "checkpoint", feature = "half"))]
mod kept;
#[cfg(feature = "checkpoint")]
mod loaded;
#[cfg(feature = "serde")]
mod options;
#[cfg(all(feature = "half", feature = "serde"))]
mod parts;
#[cfg(feature = "serde")]
mod piped;
#[cfg(feature = "serde")]
mod pipeline;
#[cfg(feature = "checkpoint")]
mod pytorch;
#[cfg(feature = "serde")]
mod random;
#[cfg(all(feature = "checkpoint", feature = "half"))]
mod resharded;
#[cfg(feature = "serde")]
mod resume;
#[cfg(feature = "serde")]
mod saved;
#[cfg(feature = "serde")]
mod schedule;
#[cfg(feature = "serde")]
mod shifts;
#[cfg(all(feature = "half", feature = "serde"))]
mod split;
#[cfg(feature = "serde")]
mod subnormal;
#[cfg(feature = "serde")]
mod variants;
