#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod engine;
mod error;
pub mod formula;
mod lane;
mod optimizer;
pub mod reference;
pub mod rule;

pub use engine::{Level, Parallelism, Tensor};
pub use error::Error;
pub use formula::{Formula, WithFormula};
pub use lane::Lane;
pub use optimizer::{Gradients, Group, Layout, NonFinite, Optimizer, Pipeline, Report, Update};
pub use rule::{Adam, AdamW, AnyRule, RmsProp, Rule, Sgd};
