#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod context;
mod error;
mod layout;
mod lend;
mod module_optimizer;
mod numbers;
mod per_tensor;

pub use error::{Error, Refused};
pub use layout::layout;
pub use module_optimizer::ModuleOptimizer;
pub use per_tensor::{PerTensor, State};
