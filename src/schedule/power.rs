//! Powers with the same bits on every platform.

const LARGEST: f64 = f32::MAX as f64;

/// `lr * gamma^n`, at most `f32::MAX`.
pub(super) fn decayed(lr: f64, gamma: f64, n: u64) -> f64 {
    let power = whole(gamma, n);
    // Infinite, it would make a learning rate of 0 a NaN.
    let lr = lr * if power > f64::MAX { f64::MAX } else { power };
    if lr > LARGEST { LARGEST } else { lr }
}

/// `base^exponent`, both at least 0. Whole exponents by squaring.
pub(super) fn real(base: f64, exponent: f64) -> f64 {
    if exponent.fract() == 0.0 { whole(base, exponent as u64) } else { libm::pow(base, exponent) }
}

/// By squaring, from the lowest bit of `n`.
fn whole(base: f64, n: u64) -> f64 {
    let (mut power, mut square, mut rest) = (1.0, base, n);
    while rest > 0 {
        if rest & 1 == 1 {
            power *= square;
        }
        square *= square;
        rest >>= 1;
    }
    power
}
