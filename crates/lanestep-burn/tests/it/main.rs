//! All tests, in one binary.

mod beside_burn;
mod model;
mod module;
mod refused;
mod resume;
mod step;
