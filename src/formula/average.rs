//! Exponential moving averages: of a number, and of its square.

use super::factor::{Factor, floor};
use crate::Lane;

/// A moving average as PyTorch's `lerp` writes it, `m + (1 - beta) * (x - m)`: for the means of rules that follow PyTorch.
///
/// Where the step would be subnormal the average arrives: it becomes `x`. So it comes to rest at a constant `x`, which for
/// a gradient of zero is zero. With a `beta` of 0 it always arrives.
///
/// For a `beta` under a half, `torch.lerp` computes from the other end, `x + beta * (m - x)`, which is more exact where `x`
/// is much smaller than `m`: the error here is at most that of `m`'s own last place or two.
#[derive(Clone, Copy, Debug)]
pub struct Average {
    step: f32,
    floor: f32,
}

impl Average {
    /// An average that keeps `beta` of itself, in `[0, 1)`.
    #[must_use]
    #[inline(always)] // as that of `Factor`
    pub fn new(beta: f64) -> Self {
        let step = (1.0 - beta) as f32;
        Self { step, floor: if step < 1.0 { floor(step, f32::MIN_POSITIVE) } else { f32::INFINITY } }
    }

    /// The average `m` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, m: L, x: L) -> L {
        let apart = x - m;
        L::select(apart.at_least(self.floor), m, x) + apart.times(self.step, self.floor)
    }
}

/// A moving average of squares, `v * beta + ((1 - beta) * x) * x`, which is never subnormal: for a step that is divided by
/// its root.
///
/// An `x` that is too small for that counts as the least that is not, 3.4e-18 with a `beta` of 0.999. So the average is
/// never below that squared once it is full, needs no look at itself, and is no zero to divide by.
#[derive(Clone, Copy, Debug)]
pub struct AverageSquare {
    beta: f32,
    rest: f32,
    least: f32,
}

impl AverageSquare {
    /// An average that keeps `beta` of itself, in `[0, 1]`.
    #[must_use]
    #[inline(always)] // as that of `Factor`
    pub fn new(beta: f64) -> Self {
        let (beta, rest) = (beta as f32, (1.0 - beta) as f32);
        // The term alone is to be normal even after the next step has multiplied it by `beta`, unless that is next to
        // nothing. Two more units in the last place outweigh all roundings on the way.
        let share = if beta < f32::EPSILON { f32::EPSILON } else { beta };
        let least = (floor(share, f32::MIN_POSITIVE) / rest).sqrt().next_up().next_up();
        Self { beta, rest, least: if least.is_finite() { least } else { 0.0 } }
    }

    /// The average `v` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, v: L, x: L) -> L {
        let x = x.abs().no_less_than(self.least);
        v * self.beta + x * self.rest * x
    }
}

/// A moving average as most papers write it, `beta * m + (1 - beta) * x`: for all that does not follow PyTorch. It is no
/// farther from the truth than [`Average`], and is one formula for every `beta`, 1 as well.
#[derive(Clone, Copy, Debug)]
pub struct Blend {
    keep: Factor,
    rest: Factor,
}

impl Blend {
    /// An average that keeps `beta` of itself, in `[0, 1]`.
    #[must_use]
    #[inline(always)] // as that of `Factor`
    pub fn new(beta: f64) -> Self {
        Self { keep: Factor::new(beta), rest: Factor::new(1.0 - beta) }
    }

    /// The average `m` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, m: L, x: L) -> L {
        self.keep.times(m) + self.rest.times(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETAS: [f64; 12] = [0.0, 1e-30, 1e-7, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.999_9, 1.0 - 1e-9];

    /// Of any sign, from 2^-40 to 2^40.
    fn number(rng: &mut fastrand::Rng) -> f32 {
        f32::from_bits(rng.u32(..) & !f32::INFINITY.to_bits() | rng.u32(87..167) << 23)
    }

    /// Of the three roundings, two are of the way and one is of the result.
    #[test]
    fn an_average_is_exact_to_a_last_place_of_what_it_moves_between() {
        let rng = &mut fastrand::Rng::with_seed(3);
        for beta in BETAS {
            let average = Average::new(beta);
            for _ in 0..10_000 {
                let (m, x) = (number(rng), number(rng));
                let found = f64::from(average.update(m, x));
                let (m, x) = (f64::from(m), f64::from(x));
                let way = f64::from((1.0 - beta) as f32) * (x - m);
                let bound = f64::from(f32::EPSILON) / 2.0 * (2.0 * way.abs() + found.abs()) * 1.01;
                assert!((found - (m + way)).abs() <= bound, "{beta} {m:e} {x:e}: {found:e}");
                assert!(beta > 1e-9 || found.to_bits() == x.to_bits());
            }
        }
    }

    /// Neither the mean square nor, in the next step, what `beta` leaves of it.
    #[test]
    fn a_mean_square_makes_no_subnormal_number() {
        let rng = &mut fastrand::Rng::with_seed(4);
        for beta in BETAS {
            let square = AverageSquare::new(beta);
            let around = (0..100).map(|k| square.least * (1.0 + (k as f32 - 50.0) * f32::EPSILON));
            let tiny = [0.0, -0.0, 1e-45, -1e-40, f32::MIN_POSITIVE, 1e-30, -1e-20];
            let any = (0..1000).map(|_| f32::from_bits(rng.u32(..)));
            for x in tiny.into_iter().chain(around).chain(any.filter(|x| x.is_finite())) {
                let v = square.update(0.0, x);
                assert!(v >= f32::MIN_POSITIVE, "{beta} {x:e}: {v:e}");
                let kept = v * beta as f32;
                assert!(!kept.is_subnormal() || (beta as f32) < f32::EPSILON, "{beta} {x:e}: {kept:e}");
            }
            assert!(square.update(0.0, f32::NAN).is_nan() && square.update(f32::NAN, 1.0).is_nan());
        }
        assert_eq!(AverageSquare::new(1.0).update(0.5_f32, 3.0).to_bits(), 0.5_f32.to_bits());
    }
}
