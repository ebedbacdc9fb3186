//! The interface from C, C++ and Rust.

mod compiler;
mod header;
mod programs;
