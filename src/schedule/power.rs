//! Powers with the same bits on every platform.

const LARGEST: f64 = f32::MAX as f64;

/// `lr * gamma^n`, at most `f32::MAX`.
pub(super) fn decayed(lr: f64, gamma: f64, n: u64) -> f64 {
    product([whole(gamma, n), lr])
}

/// The product in the order of the factors, at most `f32::MAX`.
pub(super) fn product(factors: impl IntoIterator<Item = f64>) -> f64 {
    // Infinite, it would make a factor of 0 a NaN.
    let finite = |product: f64, factor| at_most(f64::MAX, product * factor);
    at_most(LARGEST, factors.into_iter().fold(1.0, finite))
}

/// NaN stays NaN.
fn at_most(limit: f64, x: f64) -> f64 {
    if x > limit { limit } else { x }
}

/// `base^exponent`, both at least 0. Whole exponents by squaring.
pub(super) fn real(base: f64, exponent: f64) -> f64 {
    if exponent.fract() == 0.0 { whole(base, exponent as u64) } else { libm::pow(base, exponent) }
}

/// By squaring, from the lowest bit of `n`.
pub(super) fn whole(base: f64, n: u64) -> f64 {
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
