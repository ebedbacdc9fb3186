#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accumulate;
mod engine;
mod error;
pub mod formula;
mod health;
mod lane;
mod optimizer;
pub mod reference;
pub mod rule;
mod scaler;
pub mod schedule;
mod stopping;

pub use accumulate::axpy;
pub use engine::{Level, Parallelism, Tensor};
pub use error::Error;
pub use formula::{Formula, WithFormula};
pub use health::Health;
pub use lane::Lane;
pub use optimizer::{Gradients, Group, Layout, NonFinite, Optimizer, Pipeline, Report, Update};
pub use rule::{AnyRule, Rule, all::*};
pub use scaler::LossScaler;
pub use schedule::{ReduceOnPlateau, Schedule};
pub use stopping::Stopping;
