//! AdaBelief: Adam that divides by how far the gradient is from its mean, instead of by its size.
//!
//! ```text
//! m = beta1*m + (1 - beta1)*g                  v = (v*beta2 + ((1 - beta2)*(g - m))*(g - m)) + eps
//! c1 = 1 - beta1^t                             c2 = 1 - beta2^t
//! amsgrad:  w = max(w, v), else w = v
//! p = p - ((lr/c1*sqrt(c2))*m) / (sqrt(w) + eps*sqrt(c2))
//! ```
//!
//! This is Algorithm 2 of the paper, and the authors' code (<https://github.com/juntang-zhuang/Adabelief-Optimizer>) with
//! `rectify=False`; by default their package adds the rectification of RAdam.
//!
//! `eps` enters the variance at every step and stays there. So where the gradient does not vary at all the variance comes to
//! rest at `eps/(1 - beta2)`, by default 1e-13, and a step is three million times `lr*m`: that is the belief. In `f32` the
//! mean comes no nearer to a constant gradient than some 5e-7 of it, so that from a size of about 1 on it is rounding that
//! bounds the step, more than `eps`. The authors take 1e-16 where Adam does better than SGD (transformers, GANs) and 1e-8
//! where it does worse (convolutional networks).
//!
//! Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris & Duncan, *AdaBelief Optimizer: Adapting Stepsizes by the Belief in
//! Observed Gradients*, <https://arxiv.org/abs/2010.07468>.

use super::{Rule, bias_correction, range};
use crate::formula::{AverageSquare, Blend, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// AdaBelief, as its authors' `adabelief_pytorch.AdaBelief` with `rectify=False`. State: `exp_avg`, `exp_avg_var`, with
    /// AMSGrad `max_exp_avg_var`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{AdaBelief, Optimizer};
    /// let mut optimizer = Optimizer::new(AdaBelief { lr: 0.25, betas: (0.5, 0.999), ..AdaBelief::default() }, 1)?;
    /// let mut params = [1.0];
    /// optimizer.step(&mut params, &[8.0])?; // a mean of 4, corrected to 8, over the distance of 4 to the gradient
    /// assert!((params[0] - 0.5_f32).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub struct AdaBelief {
        /// How much of themselves mean and variance keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the variance at every step, and to its root. What is under about 3e-18 from the mean counts as that in the
        /// variance.
        pub eps: f64 = 1e-16,
        /// Whether to divide by the largest variance so far instead of the present one.
        pub amsgrad: bool = false,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = true;
}

#[derive(Clone, Copy)]
struct Step {
    mean: Blend,
    variance: AverageSquare,
    lr: Factor,
    /// In the variance, and beside its root.
    eps: (f32, f32),
}

/// With a third slot, AMSGrad.
impl<const S: usize> Formula<S> for Step {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, mut s: [L; S]) -> (L, [L; S]) {
        s[0] = self.mean.update(s[0], g);
        s[1] = self.variance.update(s[1], g - s[0]) + self.eps.0;
        if S == 3 {
            s[2] = s[2].max(s[1]);
        }
        (p - self.lr.times_over(s[0], s[S - 1].sqrt() + self.eps.1), s)
    }
}

impl Rule for AdaBelief {
    fn slots(&self) -> &'static [&'static str] {
        let all = &["exp_avg", "exp_avg_var", "max_exp_avg_var"];
        if self.amsgrad { all } else { &all[..2] }
    }

    /// A mean that went on beside a variance from zero would make huge steps.
    fn meaning(&self, slot: &'static str) -> &'static str {
        if slot == "exp_avg" { "mean of exp_avg_var" } else { slot }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let (beta1, beta2) = self.betas;
        let root = bias_correction(beta2, t).sqrt();
        let step = Step {
            mean: Blend::new(beta1),
            variance: AverageSquare::new(beta2),
            lr: Factor::new(self.lr / bias_correction(beta1, t) * root),
            eps: (self.eps as f32, (self.eps * root) as f32),
        };
        if self.amsgrad { with.formula::<_, 3>(step) } else { with.formula::<_, 2>(step) }
    }
}
