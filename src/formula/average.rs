//! Exponential moving averages: of a number, and of its square.

use super::factor::floor;
use crate::Lane;

/// A moving average, `m + (1 - beta) * (x - m)`, as `torch.lerp` computes it.
///
/// It starts from the nearer end: from `m` when `1 - beta < 0.5`, else from `x`, by `x - beta * (x - m)`. Where the
/// step would be subnormal the average arrives: it becomes `x`. So it comes to rest, and never on a subnormal number.
#[derive(Clone, Copy, Debug)]
pub struct Average {
    from_x: f32,
    step: f32,
    floor: f32,
}

impl Average {
    /// An average that keeps `beta` of itself, in `[0, 1)`.
    #[must_use]
    pub fn new(beta: f64) -> Self {
        let rest = 1.0 - beta;
        let (from_x, step) = if rest < 0.5 { (0.0, rest) } else { (1.0, -beta) };
        let step = step as f32;
        Self { from_x, step, floor: floor(step) }
    }

    /// The average `m` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, m: L, x: L) -> L {
        let zero = m.splat(0.0);
        let apart = x - m;
        let arrived = apart.below(self.floor);
        // The same for all elements, but a mask: a branch would double every loop that averages.
        let from_x = zero.less(m.splat(self.from_x));
        let from = L::select(arrived, x, L::select(from_x, x, m));
        from + L::select(arrived, zero, apart) * self.step
    }
}

/// A moving average of squares, `v * beta + ((1 - beta) * x) * x`.
///
/// An `x` whose term would be subnormal counts as zero.
#[derive(Clone, Copy, Debug)]
pub struct AverageSquare {
    beta: f32,
    rest: f32,
    floor: f32,
}

impl AverageSquare {
    /// An average that keeps `beta` of itself, in `[0, 1)`.
    #[must_use]
    pub fn new(beta: f64) -> Self {
        let rest = (1.0 - beta) as f32;
        Self { beta: beta as f32, rest, floor: floor(rest).sqrt() }
    }

    /// The average `v` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, v: L, x: L) -> L {
        let x = x.zero_below(self.floor);
        v * self.beta + x * self.rest * x
    }
}
