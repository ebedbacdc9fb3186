//! All tests, in one binary.

mod model;
mod step;
