//! LAMB: Adam's step, in each layer as long as the layer's own size says.
//!
//! ```text
//! m = beta1*m + (1 - beta1)*g                  v = v*beta2 + ((1 - beta2)*g)*g
//! c1 = 1 - beta1^t                             c2 = 1 - beta2^t           (both 1 without bias correction)
//! u = ((sqrt(c2)/c1)*m) / (sqrt(v) + eps*sqrt(c2)) + weight_decay*p
//! ratio = norm(p)/norm(u) over the layer, 1 if either is 0
//! p = p - (lr*ratio)*u
//! ```
//!
//! A layer is a [`Tensor`](crate::Tensor) of the call; where groups divide it, each unbroken stretch of one group. A flat
//! slice by itself is one layer, and names of a [`Layout`](crate::Layout) make none: hand tensors. Its norms are taken in a
//! pass before, which reads parameters, gradients and state and writes nothing: eleven streams in all where Adam has seven,
//! fewer where a layer stays in the cache from one pass to the other.
//!
//! The shape is that of optax, whose defaults these are, and IPEX: the averages are corrected inside `u`, and the ratio is
//! not bounded. DeepSpeed corrects neither average and keeps the ratio in `[0.01, 10]`; some leave biases and gains out of
//! it altogether, for which a group with [`AdamW`](super::AdamW) is the way here.
//!
//! You et al., *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*,
//! <https://arxiv.org/abs/1904.00962>.

use super::{Rule, Shared, bias_correction, range};
use crate::formula::{AverageSquare, Blend, Factor, Layer};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// LAMB. Its decoupled `weight_decay` is part of the step whose length the ratio sets. State: `exp_avg`,
    /// `exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Lamb, Optimizer, Pipeline, Tensor};
    /// let mut optimizer = Optimizer::new(Lamb { lr: 0.125, ..Lamb::default() }, 6)?;
    /// let (mut large, mut small) = ([8.0; 4], [0.5; 2]);
    /// let tensors = &mut [Tensor::new(&mut large, &[1e-3; 4]), Tensor::new(&mut small, &[20.0; 2])];
    /// optimizer.step_with(tensors, &Pipeline::default())?;
    /// assert_eq!((large, small), ([7.0; 4], [0.4375; 2])); // each an eighth shorter
    /// # Ok(()) }
    /// ```
    pub struct Lamb {
        /// How much of themselves the two averages keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root. In the mean square a gradient counts as at least about 3e-18, so that this may be 0.
        pub eps: f64 = 1e-6,
        /// Whether to make up for averages that start from zero.
        pub bias_correction: bool = true,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = true;
}

#[derive(Clone, Copy)]
struct Step {
    mean: Blend,
    square: AverageSquare,
    correction: Factor,
    eps: f32,
    weight_decay: Factor,
    lr: f64,
    step: Factor,
}

impl Step {
    #[inline(always)]
    fn direction<L: Lane>(&self, p: L, m: L, v: L) -> L {
        self.correction.times_over(m, v.sqrt() + self.eps) + self.weight_decay.times(p)
    }
}

impl Formula<2> for Step {
    const LAYERWISE: bool = true;
    const NORMAL: [bool; 2] = [false, true];

    #[inline(always)]
    fn measure<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> L {
        self.direction(p, self.mean.update(m, g), self.square.update(v, g))
    }

    fn of_layer(self, layer: Layer) -> Self {
        Self { step: Factor::new(self.lr * layer.trust_ratio()), ..self }
    }

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> (L, [L; 2]) {
        let (m, v) = (self.mean.update(m, g), self.square.update(v, g));
        (p - self.step.times(self.direction(p, m, v)), [m, v])
    }
}

impl Rule for Lamb {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn check(&self) -> Result<(), Error> {
        Shared::from(self).check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!(shared => shared.without_decoupled());

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let correction = |beta| if self.bias_correction { bias_correction(beta, t) } else { 1.0 };
        let root = correction(self.betas.1).sqrt();
        with.formula(Step {
            mean: Blend::new(self.betas.0),
            square: AverageSquare::new(self.betas.1),
            correction: Factor::new(root / correction(self.betas.0)),
            eps: (self.eps * root) as f32,
            weight_decay: Factor::new(if self.decoupled_weight_decay { self.weight_decay } else { 0.0 }),
            lr: self.lr,
            step: Factor::new(self.lr),
        })
    }
}
