// Of two definitions of a link the first holds: the README's own is for those who read it elsewhere.
#![cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accumulate;
mod buffer;
mod engine;
mod error;
pub mod formula;
#[cfg(doc)]
pub mod gallery;
#[cfg(doc)]
pub mod guide;
mod health;
mod lane;
#[cfg(feature = "serde")]
mod number;
mod optimizer;
pub mod reference;
pub mod rule;
mod scaler;
pub mod schedule;
mod stopping;
mod store;

pub use accumulate::axpy;
pub use buffer::Buffer;
pub use engine::{Level, Magnitude, Parallelism, Tensor};
pub use error::Error;
#[doc(inline)]
pub use formula::{Formula, WithFormula};
pub use health::Health;
pub use lane::Lane;
#[cfg(feature = "checkpoint")]
pub use optimizer::checkpoint;
pub use optimizer::{
    Gradients, Group, InParts, Layout, NonFinite, OpenLeaf, Optimizer, Pipeline, Report, Update,
};
#[doc(inline)]
pub use rule::{AnyRule, Rule, all::*};
pub use scaler::LossScaler;
#[doc(inline)]
pub use schedule::{ReduceOnPlateau, Schedule};
pub use stopping::Stopping;
pub use store::{Element, Format, Rounding};
