//! From one learning rate to another.

use core::f64::consts::PI;

/// How a learning rate goes from one value to another.
///
/// With feature `serde`, `"cos"`, `"linear"` or `"sqrt"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Anneal {
    /// Half a cosine: slow at both ends. The default of [`OneCycle`](super::OneCycle).
    Cos,
    /// A line. The default, but of [`OneCycle`](super::OneCycle).
    #[default]
    Linear,
    /// As the square root of the way: fast at first, `1 - sqrt` when it falls (Hägele et al.,
    /// <https://arxiv.org/abs/2405.18392>).
    Sqrt,
}

impl Anneal {
    /// The value at the part `x` of the way: `start` up to 0, `end` from 1 on, and never outside of the two.
    ///
    /// It is counted from the smaller one, so that a way from or to 0 does not lose its last digits there.
    pub(super) fn at(self, start: f64, end: f64, x: f64) -> f64 {
        if x <= 0.0 {
            start
        } else if x < 1.0 {
            let (low, high, share) =
                if start > end { (end, start, 1.0 - self.done(x)) } else { (start, end, self.done(x)) };
            let value = low + (high - low) * share;
            if value > high { high } else { value }
        } else {
            end
        }
    }

    /// How much of the difference has been made up at the part `x` of the way.
    fn done(self, x: f64) -> f64 {
        match self {
            Self::Cos => (1.0 - libm::cos(PI * x)) / 2.0,
            Self::Linear => x,
            Self::Sqrt => x.sqrt(),
        }
    }
}

/// What `step` is of `steps`. Of no steps, every step is past the end: infinity or NaN, which is not below 1 either.
pub(super) fn part(step: u64, steps: u64) -> f64 {
    step as f64 / steps as f64
}
