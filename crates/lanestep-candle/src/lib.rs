#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod checkpoint;
mod error;
mod lend;
mod numbers;
mod optimizer;
mod rules;

pub use error::Error;
pub use lanestep;
pub use optimizer::Optimizer;
pub use rules::*;
