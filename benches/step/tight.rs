//! AdamW with its defaults in loops written by hand for nothing else: the yardstick.

use lanestep::rule::bias_correction;

/// One step `t` over parameters, gradients and both moments.
pub(crate) type Step = fn(u64, &mut [f32], &[f32], &mut [f32], &mut [f32]);

/// The loops that this CPU can run.
pub(crate) fn loops() -> Vec<(&'static str, Step)> {
    let mut loops: Vec<(&'static str, Step)> = vec![("plain-loop", plain)];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        loops.push(("intrinsics-avx2", |t, p, g, m, v| {
            // SAFETY: the feature has just been detected.
            unsafe { avx2(t, p, g, m, v) }
        }));
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
        loops.push(("intrinsics", |t, p, g, m, v| {
            // SAFETY: the features have just been detected.
            unsafe { avx512::<false>(t, p, g, m, v) }
        }));
        loops.push(("intrinsics-guarded", |t, p, g, m, v| {
            // SAFETY: the features have just been detected.
            unsafe { avx512::<true>(t, p, g, m, v) }
        }));
    }
    loops
}

pub(crate) struct Coefficients {
    pub(crate) decay: f32,
    pub(crate) rest1: f32,
    pub(crate) beta2: f32,
    pub(crate) rest2: f32,
    pub(crate) lr: f32,
    pub(crate) eps: f32,
}

pub(crate) fn coefficients(t: u64) -> Coefficients {
    let (lr, beta1, beta2) = (1e-3, 0.9, 0.999);
    let root = bias_correction(beta2, t).sqrt();
    Coefficients {
        decay: (lr * 1e-2) as f32,
        rest1: (1.0 - beta1) as f32,
        beta2: beta2 as f32,
        rest2: (1.0 - beta2) as f32,
        lr: (lr / bias_correction(beta1, t) * root) as f32,
        eps: (1e-8 * root) as f32,
    }
}

/// What one writes without a second thought. The compiler vectorizes it.
pub(crate) fn plain(t: u64, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let c = coefficients(t);
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        *m += (g - *m) * c.rest1;
        *v = *v * c.beta2 + g * c.rest2 * g;
        *p = *p - c.decay * *p - c.lr * *m / (v.sqrt() + c.eps);
    }
}

/// In AVX-512 intrinsics; if `GUARDED`, with the crate's care for subnormal numbers, for the same bits on any input.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn avx512<const GUARDED: bool>(t: u64, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    use std::arch::x86_64::*;
    let c = coefficients(t);
    let [decay, rest1, beta2, rest2, lr, eps] =
        [c.decay, c.rest1, c.beta2, c.rest2, c.lr, c.eps].map(|x| _mm512_set1_ps(x));
    let floor = |by: f32| _mm512_castps_si512(_mm512_set1_ps(f32::MIN_POSITIVE / by));
    let [decay_floor, rest1_floor, lr_floor] = [c.decay, c.rest1, c.lr].map(floor);
    let least = (f32::MIN_POSITIVE / c.beta2 / c.rest2).sqrt().next_up().next_up();
    let least = _mm512_set1_ps(least);
    let magnitude = _mm512_set1_epi32(i32::MAX);
    let exponent = _mm512_set1_epi32(f32::INFINITY.to_bits() as i32);
    let at_least = |x: __m512, floor: __m512i| {
        _mm512_cmpge_epi32_mask(_mm512_and_si512(_mm512_castps_si512(x), magnitude), floor)
    };
    let flush = |x: __m512| _mm512_maskz_mov_ps(_mm512_test_epi32_mask(_mm512_castps_si512(x), exponent), x);
    let n = p.len();
    assert!(n.is_multiple_of(16) && [g.len(), m.len(), v.len()] == [n; 3]);
    for i in (0..n).step_by(16) {
        // SAFETY: `i + 16 <= n`, the length of all four slices.
        let [p_at, m_at, v_at] =
            unsafe { [p.as_mut_ptr().add(i), m.as_mut_ptr().add(i), v.as_mut_ptr().add(i)] };
        let (p, g, m, v) = unsafe {
            (
                _mm512_loadu_ps(p_at),
                _mm512_loadu_ps(g.as_ptr().add(i)),
                _mm512_loadu_ps(m_at),
                _mm512_loadu_ps(v_at),
            )
        };
        let apart = _mm512_sub_ps(g, m);
        let mut squared = g;
        let (step, from) = if GUARDED {
            let far = at_least(apart, rest1_floor);
            squared = _mm512_max_ps(least, _mm512_abs_ps(g));
            (_mm512_maskz_mul_ps(far, apart, rest1), _mm512_mask_mov_ps(g, far, m))
        } else {
            (_mm512_mul_ps(apart, rest1), m)
        };
        let m = _mm512_add_ps(from, step);
        let v = _mm512_add_ps(_mm512_mul_ps(v, beta2), _mm512_mul_ps(_mm512_mul_ps(squared, rest2), squared));
        let (decayed, along) = if GUARDED {
            let decayed = _mm512_maskz_mul_ps(at_least(p, decay_floor), p, decay);
            (decayed, _mm512_maskz_mul_ps(at_least(m, lr_floor), m, lr))
        } else {
            (_mm512_mul_ps(p, decay), _mm512_mul_ps(m, lr))
        };
        let root = _mm512_add_ps(_mm512_sqrt_ps(v), eps);
        let p = _mm512_sub_ps(_mm512_sub_ps(p, decayed), _mm512_div_ps(along, root));
        let m = if GUARDED { flush(m) } else { m };
        // SAFETY: as above.
        unsafe {
            _mm512_storeu_ps(p_at, p);
            _mm512_storeu_ps(m_at, m);
            _mm512_storeu_ps(v_at, v);
        }
    }
}

/// In AVX2 intrinsics, without care for subnormal numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(t: u64, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    use std::arch::x86_64::*;
    let c = coefficients(t);
    let [decay, rest1, beta2, rest2, lr, eps] =
        [c.decay, c.rest1, c.beta2, c.rest2, c.lr, c.eps].map(|x| _mm256_set1_ps(x));
    let n = p.len();
    assert!(n.is_multiple_of(8) && [g.len(), m.len(), v.len()] == [n; 3]);
    for i in (0..n).step_by(8) {
        // SAFETY: `i + 8 <= n`, the length of all four slices.
        unsafe {
            let [p_at, m_at, v_at] = [p.as_mut_ptr().add(i), m.as_mut_ptr().add(i), v.as_mut_ptr().add(i)];
            let (p, g) = (_mm256_loadu_ps(p_at), _mm256_loadu_ps(g.as_ptr().add(i)));
            let (m, v) = (_mm256_loadu_ps(m_at), _mm256_loadu_ps(v_at));
            let m = _mm256_add_ps(m, _mm256_mul_ps(_mm256_sub_ps(g, m), rest1));
            let v = _mm256_add_ps(_mm256_mul_ps(v, beta2), _mm256_mul_ps(_mm256_mul_ps(g, rest2), g));
            let root = _mm256_add_ps(_mm256_sqrt_ps(v), eps);
            let p = _mm256_sub_ps(p, _mm256_mul_ps(p, decay));
            let p = _mm256_sub_ps(p, _mm256_div_ps(_mm256_mul_ps(m, lr), root));
            _mm256_storeu_ps(p_at, p);
            _mm256_storeu_ps(m_at, m);
            _mm256_storeu_ps(v_at, v);
        }
    }
}
