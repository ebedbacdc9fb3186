#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod agree;
mod checkpoint;
mod cut;
mod error;
mod exchange;
mod gradients;
mod pieces;
mod run;
mod sharded;
mod step;
mod tree;

pub use checkpoint::parts;
pub use error::Error;
pub use run::run;
pub use sharded::Sharded;
