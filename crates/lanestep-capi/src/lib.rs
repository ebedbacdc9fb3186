#![doc = include_str!("../README.md")]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(
    clippy::undocumented_unsafe_blocks,
    clippy::missing_safety_doc,
    clippy::multiple_unsafe_ops_per_block
)]

mod checkpoint;
mod describe;
mod ema;
mod format;
mod group;
mod handle;
mod input;
mod overlap;
mod pool;
mod rate;
mod split;
mod state;
mod status;
mod step;
mod tensor;
mod text;
mod version;

pub use checkpoint::*;
pub use describe::*;
pub use ema::*;
pub use format::*;
pub use group::*;
pub use handle::*;
pub use pool::*;
pub use rate::*;
pub use split::*;
pub use state::*;
pub use status::*;
pub use step::*;
pub use tensor::*;
pub use text::*;
pub use version::*;
