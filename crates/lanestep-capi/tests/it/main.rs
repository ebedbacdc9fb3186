//! The interface from C, C++ and Rust.

mod bits;
mod compiler;
mod errors;
mod hands;
mod header;
mod hostile;
mod kept;
mod programs;
