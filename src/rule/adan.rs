//! Adan: Nesterov's momentum from the change of the gradient, divided as in Adam.
//!
//! ```text
//! d = g - (gradient of the step before)                        (0 at the first step)
//! m = beta1*m + (1 - beta1)*g                  w = beta2*w + (1 - beta2)*d
//! u = g + beta2*d                              v = v*beta3 + ((1 - beta3)*u)*u
//! c = sqrt(1 - beta3^t)
//! a = (lr/(1 - beta1^t)*c)*m + (lr*beta2/(1 - beta2^t)*c)*w
//! p = p - a / (sqrt(v) + eps*c)
//! p = p - (lr*weight_decay/(1 + lr*weight_decay))*p            (decoupled, without no_prox)
//! ```
//!
//! Nesterov's method takes gradients ahead of the parameters; to first order that is the gradient where they are plus
//! a multiple of its change, which needs no second pass. The `betas` are those of the authors' code
//! (<https://github.com/sail-sg/Adan>), 1 less the paper's. It divides twice where `a` is divided once here, and has the
//! clipping of the global norm as `max_grad_norm`, which is a matter of the [`Pipeline`](crate::Pipeline).
//!
//! Decoupled decay is proximal by default: the minimum of the step's model with the penalty in it, which shrinks the
//! parameter after the update, and never beyond zero. With `no_prox` it is AdamW's, before the update.
//!
//! Xie et al., *Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models*,
//! <https://arxiv.org/abs/2208.06677>.

use super::{Rule, Shared, bias_correction, range};
use crate::formula::{AverageSquare, Blend, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Adan, as its authors' `adan.Adan`. State: `exp_avg`, `exp_avg_diff`, `exp_avg_sq`, and `neg_pre_grad`, the last
    /// gradient negated.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Adan, Optimizer};
    /// let rule = Adan { lr: 0.125, weight_decay: 8.0, ..Adan::default() };
    /// let mut optimizer = Optimizer::new(rule, 2)?;
    /// let mut params = [1.125, 1.125];
    /// optimizer.step(&mut params, &[100.0, 0.01])?; // by lr to 1, whatever the gradient's size, then halved
    /// assert!(params.iter().all(|p| (p - 0.5).abs() < 1e-6));
    /// # Ok(()) }
    /// ```
    pub struct Adan {
        /// How much of themselves the averages of the gradient, of its change and of the square keep, each in `[0, 1)`.
        pub betas: (f64, f64, f64) = (0.98, 0.92, 0.99),
        /// Added to the root. What enters the mean square counts as at least about 1e-18, so that this may be 0.
        pub eps: f64 = 1e-8,
        /// Whether decoupled decay is that of AdamW instead of the proximal.
        pub no_prox: bool = false,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = true;
}

#[derive(Clone, Copy)]
struct Step<const PROXIMAL: bool> {
    known: Factor,
    mean: Blend,
    change: Blend,
    ahead: Factor,
    square: AverageSquare,
    lr: (Factor, Factor),
    eps: f32,
    decay: Factor,
}

impl<const PROXIMAL: bool> Formula<4> for Step<PROXIMAL> {
    const NORMAL: [bool; 4] = [false, false, true, false];
    const SHIFTS: bool = !PROXIMAL;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, w, v, negated]: [L; 4]) -> (L, [L; 4]) {
        let d = self.known.times(g + negated);
        let (m, w) = (self.mean.update(m, g), self.change.update(w, d));
        let v = self.square.update(v, g + self.ahead.times(d));
        let along = self.lr.0.times(m) + self.lr.1.times(w);
        let p = p - along / (v.sqrt() + self.eps);
        let p = if PROXIMAL { p - self.decay.times(p) } else { p };
        (p, [m, w, v, g.splat(0.0) - g])
    }
}

impl Adan {
    /// The decay that comes after the update.
    fn proximal(&self) -> f64 {
        if self.decoupled_weight_decay && !self.no_prox { self.weight_decay } else { 0.0 }
    }

    fn step<const PROXIMAL: bool>(&self, t: u64) -> Step<PROXIMAL> {
        let (beta1, beta2, beta3) = self.betas;
        let (lr, ahead) = (self.lr / bias_correction(beta1, t), self.lr * beta2 / bias_correction(beta2, t));
        let (root, decay) = (bias_correction(beta3, t).sqrt(), self.lr * self.proximal());
        Step {
            known: Factor::new(if t == 1 { 0.0 } else { 1.0 }),
            mean: Blend::new(beta1),
            change: Blend::new(beta2),
            ahead: Factor::new(beta2),
            square: AverageSquare::new(beta3),
            lr: (Factor::new(lr * root), Factor::new(ahead * root)),
            eps: (self.eps * root) as f32,
            decay: Factor::new(decay / (1.0 + decay)),
        }
    }
}

impl Rule for Adan {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_diff", "exp_avg_sq", "neg_pre_grad"]
    }

    /// The averages go on only with the last gradient beside them: without it, the first change would be all of a gradient.
    fn meaning(&self, slot: &'static str) -> &'static str {
        match slot {
            "exp_avg" => "average of gradients whose last is known",
            "exp_avg_sq" => "average of squares of gradients ahead",
            other => other,
        }
    }

    fn check(&self) -> Result<(), Error> {
        Shared::from(self).check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::fraction("betas.2", self.betas.2)?;
        range::non_negative("eps", self.eps)
    }

    fn shared(&self) -> Shared {
        Shared { weight_decay: self.weight_decay - self.proximal(), ..self.into() }
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        if self.proximal() == 0.0 {
            with.formula(self.step::<false>(t))
        } else {
            with.formula(self.step::<true>(t))
        }
    }
}
