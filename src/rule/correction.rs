//! Bias correction.

/// `1 - beta^t`: how much of an average that keeps `beta` of itself and starts from zero has been filled after `t`
/// steps. For `beta` in `[0, 1)` and `t` from 1; elsewhere it means nothing.
///
/// The power is by squaring, from the lowest bit of `t`, so that its bits are the same on every platform.
#[must_use]
#[inline(always)] // so that it is left out where the result is not asked for
pub fn bias_correction(beta: f64, t: u64) -> f64 {
    /// From here on, `beta^t < exp(-(1 - beta)*t)` is [`NOTHING`].
    const FULL: f64 = 37.5;
    if (1.0 - beta) * t as f64 > FULL { 1.0 } else { 1.0 - power(beta, t) }
}

/// From here on a number is too small to be seen beside 1.
pub(super) const NOTHING: f64 = f64::EPSILON / 4.0;

/// `beta^t`, or 0 where it is [`NOTHING`].
#[inline(always)]
pub(super) fn power(beta: f64, t: u64) -> f64 {
    let (mut power, mut square, mut rest) = (1.0, beta, t);
    // Counted, so that the compiler can leave it out where the result is not asked for.
    for _ in 0..u64::BITS {
        if rest == 0 || square <= NOTHING {
            break;
        }
        // `square` or 1, by a mask: a branch on the bits of a step count would often be guessed wrong.
        let set = (rest & 1).wrapping_neg();
        power *= f64::from_bits(square.to_bits() & set | 1_f64.to_bits() & !set);
        square *= square;
        rest >>= 1;
    }
    if rest > 0 { 0.0 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_early_end_is_no_other_number() {
        for beta in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.999_9, 0.999_999] {
            let full = (37.5 / (1.0 - beta)) as u64;
            for t in full.saturating_sub(50).max(1)..full + 50 {
                let exact = 1.0 - power(beta, t);
                assert_eq!(bias_correction(beta, t).to_bits(), exact.to_bits(), "{beta}^{t}");
            }
        }
    }
}
