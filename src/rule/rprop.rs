//! Rprop: each parameter has a step size of its own, which the signs of its gradients govern.
//!
//! ```text
//! g*prev < 0:   size = size*etas.0 ;  g = 0     (turned: the next step goes on from a gradient of zero)
//! g*prev > 0:   size = size*etas.1
//! size = clamp(size, step_sizes.0, step_sizes.1)
//! p = p - sign(g)*size
//! prev = g
//! ```
//!
//! Sizes start from `lr`, which means nothing after the first step: a schedule changes nothing. State starts from zero
//! here, and the first step adds `lr` to it. The sign of `g*prev` is found from the signs of both, so that a product that
//! would be too small for `f32` counts. As in PyTorch, NaN has no sign: a NaN gradient leaves the parameter where it is.
//! It is for gradients of all data, not of batches.
//!
//! Riedmiller & Braun, *A direct adaptive method for faster backpropagation learning: the RPROP algorithm*, ICNN 1993,
//! <https://doi.org/10.1109/ICNN.1993.298623>.

use super::{Rule, range};
use crate::formula::Factor;
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Resilient backpropagation, as `torch.optim.Rprop`. State: `prev`, `step_size`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, Rprop};
    /// let mut optimizer = Optimizer::new(Rprop { lr: 0.5, etas: (0.5, 2.0), ..Rprop::default() }, 1)?;
    /// let mut params = [0.0];
    /// optimizer.step(&mut params, &[-0.01])?; // by lr
    /// optimizer.step(&mut params, &[-7.0])?; // the same way: twice as far
    /// assert_eq!(params, [1.5]);
    /// optimizer.step(&mut params, &[3.0])?; // too far: not at all, and the next time half as far
    /// assert_eq!((params, optimizer.state("step_size")), ([1.5], Some(&[0.5][..])));
    /// # Ok(()) }
    /// ```
    pub struct Rprop {
        /// What the step size is multiplied by where the gradient has turned, in `(0, 1)`, and where it has not, above 1.
        pub etas: (f64, f64) = (0.5, 1.2),
        /// The least and the largest step size.
        pub step_sizes: (f64, f64) = (1e-6, 50.0),
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    start: f32,
    shrink: Factor,
    grow: f32,
    sizes: (f32, f32),
}

/// One of three, by the sign of `x`.
#[inline(always)]
fn by_sign<L: Lane>(x: L, plus: L, minus: L, neither: L) -> L {
    let zero = x.splat(0.0);
    L::select(zero.less(x), plus, L::select(x.less(zero), minus, neither))
}

impl Formula<2> for Step {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [prev, size]: [L; 2]) -> (L, [L; 2]) {
        let zero = g.splat(0.0);
        let along = by_sign(prev, g, zero - g, zero);
        let size = size + self.start;
        let size = by_sign(along, size * self.grow, self.shrink.times(size), size);
        let size = size.clamp(self.sizes.0, self.sizes.1);
        let g = L::select(along.less(zero), zero, g);
        (by_sign(g, p - size, p + size, p), [g, size])
    }
}

impl Rule for Rprop {
    fn slots(&self) -> &'static [&'static str] {
        &["prev", "step_size"]
    }

    fn non_negative(&self, slot: &'static str) -> bool {
        slot == "step_size"
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        let ((shrink, grow), (least, largest)) = (self.etas, self.step_sizes);
        range::check("etas.0", shrink, 0.0 < shrink && shrink < 1.0, "in (0, 1)")?;
        range::check("etas.1", grow, 1.0 < grow && grow <= f64::from(f32::MAX), "in (1, f32::MAX]")?;
        range::non_negative("step_sizes.0", least)?;
        range::non_negative("step_sizes.1", largest)?;
        range::check("step_sizes.0", least, least <= largest, "at most step_sizes.1")
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        with.formula(Step {
            start: if t == 1 { self.lr as f32 } else { 0.0 },
            shrink: Factor::new(self.etas.0),
            grow: self.etas.1 as f32,
            sizes: (self.step_sizes.0 as f32, self.step_sizes.1 as f32),
        })
    }
}
