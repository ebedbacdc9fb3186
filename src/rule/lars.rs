//! LARS: SGD with momentum, in each layer as fast as the sizes of the layer and its gradient say.
//!
//! ```text
//! ratio = trust_coefficient*norm(p) / (norm(g) + weight_decay*norm(p) + eps) over the layer, 1 if either norm is 0
//! b = momentum*b + (lr*ratio)*(g + weight_decay*p)
//! p = p - b
//! ```
//!
//! A layer is a [`Tensor`](crate::Tensor) of the call; where groups divide it, each unbroken stretch of one group. A flat
//! slice by itself is one layer, and names of a [`Layout`](crate::Layout) make none: hand tensors. Its norms are taken in a
//! pass before, which reads parameters and gradients.
//!
//! The learning rate enters the buffer, as in the paper and in optax, so that momentum goes on at the rate of its own step;
//! timm and others multiply it in afterwards, which is the same while the rate is. The defaults are optax's. Biases and
//! gains are often left out of the ratio: a group with [`Sgd`](super::Sgd) is the way here.
//!
//! You, Gitman & Ginsburg, *Large Batch Training of Convolutional Networks*, <https://arxiv.org/abs/1708.03888>.

use super::{Rule, Shared, range};
use crate::formula::{Factor, Layer};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// LARS. A `weight_decay` that is not decoupled is part of the ratio. State: `momentum_buffer`, unless momentum is 0.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Lars, Optimizer};
    /// let rule = Lars { lr: 1.0, trust_coefficient: 0.125, ..Lars::default() };
    /// let mut params = [3.0, 4.0];
    /// Optimizer::new(rule, 2)?.step(&mut params, &[0.0, 1e-3])?;
    /// assert_eq!(params, [3.0, 3.375]); // by an eighth of the norm, which is 5
    /// # Ok(()) }
    /// ```
    pub struct Lars {
        /// How much of itself the buffer of steps keeps; 0 is no buffer. Not negative.
        pub momentum: f64 = 0.9,
        /// How long a step is, in parts of the layer's norm, at a learning rate of 1. Not negative.
        pub trust_coefficient: f64 = 1e-3,
        /// Added to the norms that are divided by. Not negative.
        pub eps: f64 = 0.0,
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    rule: Lars,
    momentum: Factor,
    weight_decay: Factor,
    step: Factor,
}

/// Without momentum there is no slot.
impl<const S: usize> Formula<S> for Step {
    const LAYERWISE: bool = true;

    #[inline(always)]
    fn measure<L: Lane>(&self, _p: L, g: L, _s: [L; S]) -> L {
        g.flush()
    }

    fn of_layer(self, layer: Layer) -> Self {
        Self { step: Factor::new(self.rule.lr * self.rule.ratio(layer)), ..self }
    }

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, mut s: [L; S]) -> (L, [L; S]) {
        let mut step = self.step.times(g + self.weight_decay.times(p));
        // A loop and not a closure, which need not be inlined.
        for b in &mut s {
            *b = self.momentum.times(*b) + step;
            step = *b;
        }
        (p - step, s)
    }
}

impl Lars {
    fn ratio(&self, layer: Layer) -> f64 {
        let (p, g) = (layer.params.sqrt(), layer.measured.sqrt());
        if p == 0.0 || g == 0.0 {
            1.0
        } else {
            self.trust_coefficient * p / (g + self.inner_decay() * p + self.eps)
        }
    }

    fn inner_decay(&self) -> f64 {
        if self.decoupled_weight_decay { 0.0 } else { self.weight_decay }
    }
}

impl Rule for Lars {
    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
    }

    /// The learning rate and the ratio are in it already.
    fn meaning(&self, _slot: &'static str) -> &'static str {
        "buffer of steps"
    }

    fn check(&self) -> Result<(), Error> {
        Shared::from(self).check()?;
        range::non_negative("momentum", self.momentum)?;
        range::non_negative("trust_coefficient", self.trust_coefficient)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!(shared => shared.without_coupled());

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        let (momentum, weight_decay) = (Factor::new(self.momentum), Factor::new(self.inner_decay()));
        let step = Step { rule: *self, momentum, weight_decay, step: Factor::new(self.lr) };
        if self.momentum == 0.0 { with.formula::<_, 0>(step) } else { with.formula::<_, 1>(step) }
    }
}
