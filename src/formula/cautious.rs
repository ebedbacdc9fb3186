//! Steps only where the gradient agrees.

use super::{Factor, Formula, Layer};
use crate::Lane;

/// The step of a formula only where it goes against the gradient; there, longer by the layer's length over the number of
/// such elements plus 1.
///
/// For formulas that subtract from the parameter what depends on gradient and state alone. See
/// [`rule::Cautious`](crate::rule::Cautious).
#[derive(Clone, Copy, Debug)]
pub struct Cautious<F> {
    longer: Factor,
    then: F,
}

impl<F> Cautious<F> {
    /// Around `then`, its steps as long as they are.
    #[must_use]
    pub fn new(then: F) -> Self {
        Self { longer: Factor::new(1.0), then }
    }
}

impl<F: Formula<S>, const S: usize> Formula<S> for Cautious<F> {
    const LAYERWISE: bool = true;
    const NORMAL: [bool; S] = F::NORMAL;

    /// Its squares add up to a count.
    #[inline(always)]
    fn measure<L: Lane>(&self, p: L, g: L, s: [L; S]) -> L {
        let (step, _) = self.then.update(p.splat(0.0), g, s);
        L::select(descends(step, g), p.splat(1.0), p.splat(0.0))
    }

    fn of_layer(self, layer: Layer) -> Self {
        Self { longer: Factor::new(layer.len as f64 / (layer.measured + 1.0)), ..self }
    }

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        let (step, s) = self.then.update(p.splat(0.0), g, s);
        #[allow(clippy::eq_op, reason = "zero, but NaN for a step that is not finite, which zero would hide")]
        let none = step - step;
        (p + L::select(descends(step, g), self.longer.times(step), none), s)
    }
}

/// Where the signs differ, and neither is zero. Their product would tell as well, but may be subnormal.
#[inline(always)]
fn descends<L: Lane>(step: L, g: L) -> L::Mask {
    let zero = g.splat(0.0);
    let along_falling = L::select(zero.less(g), zero - step, zero);
    zero.less(L::select(g.less(zero), step, along_falling))
}
