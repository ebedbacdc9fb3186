//! Adagrad: the gradient over the root of the sum of all its squares.
//!
//! ```text
//! s = s + g*g                                  (s is initial_accumulator_value before the first step)
//! p = p - (lr/(1 + (t - 1)*lr_decay) * g) / (sqrt(s) + eps)
//! ```
//!
//! The sum only grows, so every step is smaller than the last; `lr_decay` shrinks them further. State starts from zero
//! here: the first step adds `initial_accumulator_value`, which is the same number. `eps` stands outside the root, as in
//! PyTorch; others have it inside.
//!
//! Duchi, Hazan & Singer, *Adaptive Subgradient Methods for Online Learning and Stochastic Optimization*, JMLR 12, 2011,
//! <https://jmlr.org/papers/v12/duchi11a.html>.

use super::{Rule, range};
use crate::formula::{Factor, square};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Adagrad, as `torch.optim.Adagrad`. State: `sum`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Adagrad, Optimizer};
    /// let mut optimizer = Optimizer::new(Adagrad { lr: 0.5, eps: 0.0, ..Adagrad::default() }, 1)?;
    /// let mut params = [1.0];
    /// optimizer.step(&mut params, &[3.0])?; // 0.5 * 3 / sqrt(9)
    /// assert_eq!(params, [0.5]);
    /// optimizer.step(&mut params, &[4.0])?; // 0.5 * 4 / sqrt(9 + 16)
    /// assert!((params[0] - 0.1).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub struct Adagrad {
        /// How much the learning rate falls: it is divided by `1 + (t - 1) * lr_decay`. Not negative.
        pub lr_decay: f64 = 0.0,
        /// What the sum of squares starts from. Not negative.
        pub initial_accumulator_value: f64 = 0.0,
        /// Added to the root. Keep it above 1e-18: a gradient under about 1e-19 does not enter the sum.
        pub eps: f64 = 1e-10,
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    lr: Factor,
    start: f32,
    eps: f32,
}

impl Formula<1> for Step {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [s]: [L; 1]) -> (L, [L; 1]) {
        let s = s + self.start + square(g);
        (p - self.lr.times_over(g, s.sqrt() + self.eps), [s])
    }
}

impl Rule for Adagrad {
    fn slots(&self) -> &'static [&'static str] {
        &["sum"]
    }

    fn non_negative(&self, _slot: &'static str) -> bool {
        true
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::non_negative("lr_decay", self.lr_decay)?;
        range::non_negative("initial_accumulator_value", self.initial_accumulator_value)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        with.formula(Step {
            lr: Factor::new(self.lr / (1.0 + (t as f64 - 1.0) * self.lr_decay)),
            start: if t == 1 { self.initial_accumulator_value as f32 } else { 0.0 },
            eps: self.eps as f32,
        })
    }
}
