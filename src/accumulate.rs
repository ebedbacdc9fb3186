//! Sums of gradients.

use crate::engine::{Level, Parallelism, apply};
use crate::formula::Scale;
use crate::rule::range;
use crate::{Error, Formula, Lane};

/// Adds `a * x` to `y`: gradients of a micro-batch to those before.
///
/// Over the current rayon pool if feature `rayon` is on, at the best level of this CPU; the same bits at any. A product
/// that would be subnormal is zero; with an `a` of 1, nothing is multiplied.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{Optimizer, Pipeline, Sgd, Tensor, axpy};
/// let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 2)?;
/// let (mut params, mut sum) = ([1.0, 1.0], [0.0, 0.0]);
/// let batches = [[0.5, 0.0], [0.0, 1.0]];
/// for grads in &batches {
///     axpy(1.0, grads, &mut sum)?;
/// }
/// let mean = Pipeline { scale: 1.0 / batches.len() as f64, ..Pipeline::default() };
/// optimizer.step_with(&mut [Tensor::zeroing(&mut params, &mut sum)], &mean)?;
/// assert_eq!((params, sum), ([0.75, 0.5], [0.0, 0.0]));
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Length`] if the slices are not of one length, [`Error::Hyperparameter`] if `a` is not finite as `f32`.
/// Nothing has been written then.
pub fn axpy(a: f64, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    range::check("a", a, (a as f32).is_finite(), "finite")?;
    if x.len() != y.len() {
        return Err(Error::Length { what: "x", expected: y.len(), found: x.len() });
    }
    apply(Level::best(), Parallelism::default(), Add(Scale::new(a)), y, x);
    Ok(())
}

#[derive(Clone, Copy)]
struct Add(Scale);

impl Formula<0> for Add {
    #[inline(always)]
    fn update<L: Lane>(&self, y: L, x: L, []: [L; 0]) -> (L, [L; 0]) {
        (y + self.0.times(x), [])
    }
}
