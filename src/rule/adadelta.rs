//! Adadelta: the gradient in units of the parameter, by the roots of two running mean squares.
//!
//! ```text
//! v = v*rho + ((1 - rho)*g)*g
//! d = sqrt(a + eps)/sqrt(v + eps) * g
//! a = a*rho + ((1 - rho)*d)*d
//! p = p - lr*d
//! ```
//!
//! `a` is the mean square of past updates, before this one. `eps` stands inside both roots and gets the first steps going,
//! when `a` is zero. There is no correction for starting from zero. A subnormal gradient counts as zero.
//!
//! Zeiler, *ADADELTA: An Adaptive Learning Rate Method*, <https://arxiv.org/abs/1212.5701>.

use super::{Rule, range};
use crate::formula::{AverageSquare, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Adadelta, as `torch.optim.Adadelta`. State: `square_avg`, `acc_delta`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Adadelta, Optimizer};
    /// let mut optimizer = Optimizer::new(Adadelta { rho: 0.5, eps: 1.0, ..Adadelta::default() }, 1)?;
    /// let mut params = [2.0];
    /// optimizer.step(&mut params, &[4.0])?; // sqrt(0 + 1) / sqrt(8 + 1) * 4
    /// assert!((params[0] - 2.0 / 3.0).abs() < 1e-6);
    /// assert_eq!(optimizer.state("square_avg"), Some(&[8.0][..]));
    /// # Ok(()) }
    /// ```
    pub struct Adadelta {
        /// How much of themselves the two mean squares keep, in `[0, 1]`.
        pub rho: f64 = 0.9,
        /// Added to both mean squares, under the root. A gradient or an update counts as at least about 4e-19 in them.
        pub eps: f64 = 1e-6,
    }
    shared: lr = 1.0, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    lr: Factor,
    square: AverageSquare,
    eps: f32,
}

impl Formula<2> for Step {
    const NORMAL: [bool; 2] = [true; 2];
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v, a]: [L; 2]) -> (L, [L; 2]) {
        let v = self.square.update(v, g);
        let d = (a + self.eps).sqrt() / (v + self.eps).sqrt() * g.flush();
        (p - self.lr.times(d), [v, self.square.update(a, d)])
    }
}

impl Rule for Adadelta {
    fn slots(&self) -> &'static [&'static str] {
        &["square_avg", "acc_delta"]
    }

    fn non_negative(&self, _slot: &'static str) -> bool {
        true
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::unit("rho", self.rho)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula(Step {
            lr: Factor::new(self.lr),
            square: AverageSquare::new(self.rho),
            eps: self.eps as f32,
        })
    }
}
