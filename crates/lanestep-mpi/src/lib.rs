// Of two definitions of a link the first holds: the README's own is for those who read it elsewhere.
#![doc = "[page on scaling]: scaling"]
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
#[cfg(doc)]
pub mod scaling;
mod sharded;
mod step;
mod tree;

pub use checkpoint::parts;
pub use error::Error;
pub use exchange::Times;
pub use mpi;
pub use run::run;
pub use sharded::Sharded;
