//! Weight decay around any formula.

use super::{Factor, Formula, Layer};
use crate::Lane;

/// L2 decay: `g + weight_decay * p` goes into the formula.
#[derive(Clone, Copy, Debug)]
pub struct L2<F> {
    /// `weight_decay`.
    pub by: Factor,
    /// What is decorated.
    pub then: F,
}

impl<F: Formula<S>, const S: usize> Formula<S> for L2<F> {
    const LAYERWISE: bool = F::LAYERWISE;
    const NORMAL: [bool; S] = F::NORMAL;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        self.then.update(p, g + self.by.times(p), s)
    }

    #[inline(always)]
    fn measure<L: Lane>(&self, p: L, g: L, s: [L; S]) -> L {
        self.then.measure(p, g + self.by.times(p), s)
    }

    fn of_layer(self, layer: Layer) -> Self {
        Self { then: self.then.of_layer(layer), ..self }
    }
}

/// Decoupled decay: `p - lr * weight_decay * p` goes into the formula, and the gradient stays as it is.
///
/// Not `p * (1 - lr * weight_decay)`: that coefficient, rounded once, is off by up to 3e-8 in the same direction at every
/// step, where the roundings of the difference cancel out.
///
/// Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, <https://arxiv.org/abs/1711.05101>.
#[derive(Clone, Copy, Debug)]
pub struct Decoupled<F> {
    /// `lr * weight_decay`.
    pub by: Factor,
    /// What is decorated.
    pub then: F,
}

impl<F: Formula<S>, const S: usize> Formula<S> for Decoupled<F> {
    const LAYERWISE: bool = F::LAYERWISE;
    const NORMAL: [bool; S] = F::NORMAL;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        self.then.update(p - self.by.times(p), g, s)
    }

    #[inline(always)]
    fn measure<L: Lane>(&self, p: L, g: L, s: [L; S]) -> L {
        self.then.measure(p - self.by.times(p), g, s)
    }

    fn of_layer(self, layer: Layer) -> Self {
        Self { then: self.then.of_layer(layer), ..self }
    }
}
