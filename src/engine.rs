//! One pass over memory: any formula, at any level, on any number of threads, with the same bits.

mod codec;
mod codes;
mod condition;
mod fold;
mod layer;
mod level;
mod share;
mod stage;
mod sweep;
mod tensor;
mod tree;
mod visit;
mod walk;

pub(crate) use codec::{Rounds, decode as join, encode as split};
pub(crate) use codes::Codes;
pub(crate) use condition::Condition;
pub use fold::Magnitude;
pub(crate) use fold::{LEAF, Measure, Sums, join as join_changes};
pub(crate) use layer::{Open, Stretch, of_leaves};
pub use level::Level;
pub(crate) use sweep::{AVERAGE, Beside, Follow, LOWER, PARAMS, SLOTS, STREAMS, Sweep, apply};
pub use tensor::Tensor;
pub(crate) use tree::joined;

use crate::WithFormula;
use crate::formula::Layer;

/// Whether a step may use several threads. Its result never depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parallelism {
    /// On the calling thread.
    Serial,
    /// Over the current rayon pool: the one the caller is in, or else the global one and the caller. Up to `grain` elements
    /// stay with the caller, and no other thread is woken; more are cut into as many equal parts as the pool has threads,
    /// but no shorter ones than about half of `grain`. Sums are cut otherwise, along their fixed tree, and reading the
    /// gradients alone is shared beyond eight times as many.
    ///
    /// While it waits for the others, a thread of the pool takes up whatever other jobs there are. So hold no lock around a
    /// step that those jobs may want: see [`step`](crate::Optimizer::step).
    ///
    /// A thread that is awake helps within a microsecond. After a millisecond without work the pool sleeps, and takes tens of
    /// microseconds to wake: a caller outside of the pool waits for it, one inside does the work itself meanwhile.
    #[cfg(feature = "rayon")]
    Rayon {
        /// The longest call, in elements, that is not shared. At least a cache line of 16.
        grain: usize,
    },
}

impl Parallelism {
    /// Over rayon beyond 32,768 elements.
    ///
    /// So many take AdamW about 10 microseconds on one thread. With step upon step, two threads win from 10,000 on if the
    /// caller is in the pool, and from 25,000 on if it is outside; but from about 10^6 on if the pool sleeps before each.
    #[cfg(feature = "rayon")]
    pub const RAYON: Self = Self::Rayon { grain: 1 << 15 };

    /// How many parts are made of `len` elements.
    #[cfg(feature = "rayon")]
    fn parts(self, len: usize) -> usize {
        let grain = self.grain();
        if len <= grain { 1 } else { rayon::current_num_threads().min(2 * (len / grain)) }
    }

    fn grain(self) -> usize {
        match self {
            Self::Serial => usize::MAX,
            #[cfg(feature = "rayon")]
            Self::Rayon { grain } => {
                if grain < 16 {
                    16
                } else {
                    grain
                }
            }
        }
    }
}

/// `Parallelism::RAYON` with feature `rayon`, else [`Parallelism::Serial`].
impl Default for Parallelism {
    fn default() -> Self {
        #[cfg(feature = "rayon")]
        return Self::RAYON;
        #[cfg(not(feature = "rayon"))]
        return Self::Serial;
    }
}

/// Which formula each element of a call is updated with.
pub(crate) trait Plan: Sync {
    /// The elements from the `start`th on that have one formula.
    fn run(&self, start: usize) -> Run;

    /// Hands over the formula of a group.
    fn at<W: WithFormula>(&self, group: usize, with: W) -> W::Output;

    /// What is done around the formula of a group, if anything.
    fn condition(&self, group: usize) -> Option<Condition>;

    /// Which of the optimizer's slots the group's formula takes.
    fn slots(&self, group: usize) -> &[usize];

    /// Whether a formula depends on sums over its layer.
    fn layerwise(&self) -> bool;

    /// The layer that an element is of, if it has been measured elsewhere.
    fn layer(&self, _place: usize) -> Option<Layer> {
        None
    }

    /// Is told that the formula of a group takes another number of slots than it has. Its elements are left alone.
    fn unlike(&self, group: usize, found: usize);
}

/// Consecutive elements of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Where they begin in the call.
    pub(crate) start: usize,
    /// Where they end in the call.
    pub(crate) end: usize,
    /// `None` is frozen: neither measured nor updated.
    pub(crate) group: Option<usize>,
}
