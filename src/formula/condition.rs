//! What a step is told about any rule's gradients and parameters.

use super::{Formula, Layer, Scale};
use crate::Lane;

/// The gradient scaled, then clamped, then drawn towards the parameter's sign, before the formula; the parameter clamped
/// after it. NaN stays NaN.
///
/// One decorator for all, because each more type doubles the loops that are compiled: infinite bounds clamp nothing, no L1
/// decay adds nothing, and a scale of 1 leaves the gradient as it is. `maximize` is a scale of -1.
#[derive(Clone, Copy, Debug)]
pub struct Condition<F> {
    /// What the gradient is multiplied by.
    pub scale: Scale,
    /// The largest magnitude of a gradient that stays.
    pub clip: f32,
    /// L1 decay: what is added to the gradient of a parameter above zero, and subtracted below.
    pub l1_decay: f32,
    /// The least and the largest parameter that stay.
    pub params: (f32, f32),
    /// What is decorated.
    pub then: F,
}

impl<F: Formula<S>, const S: usize> Formula<S> for Condition<F> {
    const LAYERWISE: bool = F::LAYERWISE;
    const NORMAL: [bool; S] = F::NORMAL;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        let (p, s) = self.then.update(p, self.gradient(p, g), s);
        (p.clamp(self.params.0, self.params.1), s)
    }

    #[inline(always)]
    fn measure<L: Lane>(&self, p: L, g: L, s: [L; S]) -> L {
        self.then.measure(p, self.gradient(p, g), s)
    }

    fn of_layer(self, layer: Layer) -> Self {
        Self { then: self.then.of_layer(layer), ..self }
    }
}

impl<F> Condition<F> {
    #[inline(always)]
    fn gradient<L: Lane>(&self, p: L, g: L) -> L {
        let zero = p.splat(0.0);
        let below = L::select(p.less(zero), p.splat(-self.l1_decay), zero);
        let decay = L::select(zero.less(p), p.splat(self.l1_decay), below);
        self.scale.times(g).clamp(-self.clip, self.clip) + decay
    }
}
