//! One pass over memory: any formula, at any level, on any number of threads, with the same bits.

mod level;
#[cfg(feature = "rayon")]
mod split;
mod walk;

pub use level::Level;

use crate::{Error, Formula, WithFormula};

/// Whether a step may use several threads. Its result never depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parallelism {
    /// On the calling thread.
    Serial,
    /// Over the current rayon pool: the one the caller is in, or else the global one. Slices are halved until a
    /// part has at most `grain` elements; up to `grain` elements, no other thread is woken.
    #[cfg(feature = "rayon")]
    Rayon {
        /// The largest part, in elements. At least a cache line of 16.
        grain: usize,
    },
}

impl Parallelism {
    /// Over rayon beyond 65,536 elements, where waking a thread begins to be worth its while.
    #[cfg(feature = "rayon")]
    pub const RAYON: Self = Self::Rayon { grain: 1 << 16 };
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

/// A formula to come, and everything it is to be applied to. All slices have the length of `params`.
pub(crate) struct Sweep<'a, I> {
    pub(crate) level: Level,
    pub(crate) parallelism: Parallelism,
    pub(crate) params: &'a mut [f32],
    pub(crate) grads: &'a [f32],
    pub(crate) state: I,
}

impl<'a, I: ExactSizeIterator<Item = &'a mut [f32]>> WithFormula for Sweep<'a, I> {
    type Output = Result<(), Error>;

    fn formula<F: Formula<S>, const S: usize>(mut self, formula: F) -> Self::Output {
        if self.state.len() != S {
            return Err(Error::Slots { expected: self.state.len(), found: S });
        }
        let streams = Streams {
            params: self.params,
            grads: self.grads,
            state: core::array::from_fn(|_| self.state.next().unwrap_or_default()),
        };
        match self.parallelism {
            Parallelism::Serial => walk::walk(self.level, &formula, streams),
            #[cfg(feature = "rayon")]
            Parallelism::Rayon { grain } => split::split(self.level, grain.max(16), &formula, streams),
        }
        Ok(())
    }
}

/// Parallel slices of one length.
struct Streams<'a, const S: usize> {
    params: &'a mut [f32],
    grads: &'a [f32],
    state: [&'a mut [f32]; S],
}
