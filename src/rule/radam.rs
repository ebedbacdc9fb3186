//! RAdam: Adam that does not divide by its mean square until that is known well enough.
//!
//! ```text
//! m = m + (1 - beta1)*(g - m)                  v = v*beta2 + ((1 - beta2)*g)*g
//! c1 = 1 - beta1^t                             c2 = 1 - beta2^t
//! r0 = 2/(1 - beta2) - 1                       r = r0 - 2*t*beta2^t/c2
//! r > 5:   p = p - (lr/c1 * sqrt(c2) * rect * m) / (sqrt(v) + eps)
//!          rect = sqrt((r - 4)*(r - 2)*r0 / ((r0 - 4)*(r0 - 2)*r))
//! r <= 5:  p = p - lr/c1 * m
//! ```
//!
//! `r` is the length of the average that the mean square amounts to; with `beta2` = 0.999 it is above 5 from step 6 on.
//! `eps` is added to the uncorrected root, as in PyTorch. PyTorch multiplies the coefficients of the third line to every
//! element, one after another, in `f32`; here they are multiplied together in `f64` and rounded once.
//!
//! Liu et al., *On the Variance of the Adaptive Learning Rate and Beyond*, <https://arxiv.org/abs/1908.03265>.

use super::{Rule, bias_correction, range};
use crate::formula::{Average, AverageSquare, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// RAdam, as `torch.optim.RAdam`. State: `exp_avg`, `exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, RAdam};
    /// let mut optimizer = Optimizer::new(RAdam { lr: 0.25, ..RAdam::default() }, 2)?;
    /// let mut params = [1.0, 1.0];
    /// optimizer.step(&mut params, &[2.0, 0.5])?; // as descent at first: lr * gradient
    /// assert!((params[0] - 0.5).abs() < 1e-6 && (params[1] - 0.875).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub struct RAdam {
        /// How much of themselves the two averages keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root. In the mean square a gradient counts as at least about 3e-18, so that this may be 0.
        pub eps: f64 = 1e-8,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step<const RECTIFIED: bool> {
    mean: Average,
    square: AverageSquare,
    lr: Factor,
    eps: f32,
}

impl<const RECTIFIED: bool> Formula<2> for Step<RECTIFIED> {
    const NORMAL: [bool; 2] = [false, true];
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> (L, [L; 2]) {
        let (m, v) = (self.mean.update(m, g), self.square.update(v, g));
        let along = self.lr.times(m);
        (p - if RECTIFIED { along / (v.sqrt() + self.eps) } else { along }, [m, v])
    }
}

impl RAdam {
    /// What the update is multiplied by on account of the mean square; `None` while that is not to be used.
    fn rectification(&self, t: u64) -> Option<f64> {
        let c2 = bias_correction(self.betas.1, t);
        let r0 = 2.0 / (1.0 - self.betas.1) - 1.0;
        let r = r0 - 2.0 * t as f64 * (1.0 - c2) / c2;
        (r > 5.0).then(|| c2.sqrt() * ((r - 4.0) * (r - 2.0) * r0 / ((r0 - 4.0) * (r0 - 2.0) * r)).sqrt())
    }
}

impl Rule for RAdam {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let mean = Average::new(self.betas.0);
        let square = AverageSquare::new(self.betas.1);
        let (lr, eps) = (self.lr / bias_correction(self.betas.0, t), self.eps as f32);
        match self.rectification(t) {
            Some(by) => with.formula(Step::<true> { mean, square, lr: Factor::new(lr * by), eps }),
            None => with.formula(Step::<false> { mean, square, lr: Factor::new(lr), eps }),
        }
    }
}
