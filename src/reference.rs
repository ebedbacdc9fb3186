//! The specification: every rule in plain scalar loops.
//!
//! Written apart from the rest of the crate, of which it uses nothing but the hyperparameters' names: no lanes, no
//! formulas, no engine. An [`Optimizer`](crate::Optimizer) equals these functions bit for bit, at every level, on
//! every number of threads (which NaN it is that comes out of an operation is not promised). To check a port, or to
//! learn what a rule computes and in which order, read here.
//!
//! Every function is step `t`, counted from 1, over all elements: `p` are the parameters, `g` the gradients, `s` the
//! state slots in the order of [`Rule::slots`](crate::Rule::slots), zero before the first step. They panic if a
//! slice is too short.
//!
//! What is common to all:
//!
//! - Coefficients are computed in `f64` and rounded once to `f32`; elements are computed in `f32`, each operation
//!   rounded on its own.
//! - State that would be subnormal is stored as zero, and a product with a coefficient that would be subnormal is
//!   zero ([`scale`]).
//!
//! What numbers become in the formats that they are kept in is in [`bf16`], [`f16`](fn@f16) and [`block8`].

mod format;

pub use format::{bf16, block8, f16, from_block8, philox, positive_f16, random16};

use crate::{
    AdEmaMix, AdaBelief, Adadelta, Adagrad, Adam, AdamW, AdamWScheduleFree, Adamax, Adan, Adopt, Asgd,
    CautiousAdamW, CautiousLion, Lamb, Lars, Lion, NAdam, QHAdam, RAdam, RmsProp, Rprop, Sgd,
    SgdScheduleFree, Signum, Tiger, Yogi,
};

/// One step of [`Sgd`].
pub fn sgd(o: &Sgd, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let rest = if t == 1 { 1.0 } else { 1.0 - o.dampening };
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (mut p_i, mut g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        if o.momentum != 0.0 {
            let b = scale(s[0][i], o.momentum) + scale(g, rest);
            s[0][i] = flush(b);
            g = if o.nesterov { g + scale(b, o.momentum) } else { b };
        }
        p_i -= scale(g, o.lr);
        p[i] = p_i;
    }
}

/// One step of [`RmsProp`].
pub fn rmsprop(o: &RmsProp, _t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (mut p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let slot = if o.momentum == 0.0 { 0 } else { 1 };
        let v = average_square(s[slot][i], g, o.alpha);
        s[slot][i] = flush(v);
        let mut mean_square = v;
        if o.centered {
            let a = average(s[slot + 1][i], g, o.alpha);
            s[slot + 1][i] = flush(a);
            let variance = flush(v - square(a));
            mean_square = if variance < 0.0 { v } else { variance };
        }
        let root = mean_square.sqrt() + o.eps as f32;
        if o.momentum == 0.0 {
            p_i -= scale(g, o.lr) / root;
        } else {
            let b = scale(s[0][i], o.momentum) + flush(g) / root;
            s[0][i] = flush(b);
            p_i -= scale(b, o.lr);
        }
        p[i] = p_i;
    }
}

/// One step of [`Adam`].
pub fn adam(o: &Adam, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2) = o.betas;
    let (mut c1, mut c2) = (1.0, 1.0);
    if o.bias_correction {
        (c1, c2) = (1.0 - power(beta1, t), 1.0 - power(beta2, t));
    }
    let (lr, eps) = (o.lr / c1 * c2.sqrt(), o.eps * c2.sqrt());
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let m = average(s[0][i], g, beta1);
        let mut v = average_square(s[1][i], g, beta2);
        s[0][i] = flush(m);
        s[1][i] = flush(v);
        if o.amsgrad {
            let w = s[2][i];
            v = if w > v || w.is_nan() { w } else { v };
            s[2][i] = flush(v);
        }
        p[i] = p_i - scale(m, lr) / (v.sqrt() + eps as f32);
    }
}

/// One step of [`AdamW`].
pub fn adamw(o: &AdamW, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let options = Adam {
        lr: o.lr,
        betas: o.betas,
        eps: o.eps,
        amsgrad: o.amsgrad,
        bias_correction: o.bias_correction,
        weight_decay: o.weight_decay,
        decoupled_weight_decay: o.decoupled_weight_decay,
        l1_decay: o.l1_decay,
        clip_value: o.clip_value,
        maximize: o.maximize,
    };
    adam(&options, t, p, g, s);
}

/// One step of [`Adagrad`].
pub fn adagrad(o: &Adagrad, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let lr = o.lr / (1.0 + (t as f64 - 1.0) * o.lr_decay);
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let mut sum = s[0][i];
        if t == 1 {
            sum += o.initial_accumulator_value as f32;
        }
        sum += square(g);
        s[0][i] = flush(sum);
        p[i] = p_i - scale(g, lr) / (sum.sqrt() + o.eps as f32);
    }
}

/// One step of [`Adadelta`].
pub fn adadelta(o: &Adadelta, _t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let eps = o.eps as f32;
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let v = average_square(s[0][i], g, o.rho);
        let delta = (s[1][i] + eps).sqrt() / (v + eps).sqrt() * flush(g);
        s[0][i] = flush(v);
        s[1][i] = flush(average_square(s[1][i], delta, o.rho));
        p[i] = p_i - scale(delta, o.lr);
    }
}

/// One step of [`Adamax`].
pub fn adamax(o: &Adamax, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2) = o.betas;
    let lr = o.lr / (1.0 - power(beta1, t));
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let m = average(s[0][i], g, beta1);
        let (old, new) = (scale(s[1][i], beta2), g.abs() + o.eps as f32);
        let u = if old > new || old.is_nan() { old } else { new };
        s[0][i] = flush(m);
        s[1][i] = flush(u);
        p[i] = p_i - scale(m, lr) / u;
    }
}

/// One step of [`RAdam`].
pub fn radam(o: &RAdam, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2) = o.betas;
    let (c1, c2) = (1.0 - power(beta1, t), 1.0 - power(beta2, t));
    let longest = 2.0 / (1.0 - beta2) - 1.0;
    let length = longest - 2.0 * t as f64 * (1.0 - c2) / c2;
    let rectified = length > 5.0;
    let mut lr = o.lr / c1;
    if rectified {
        let variance = (length - 4.0) * (length - 2.0) * longest;
        lr *= c2.sqrt() * (variance / ((longest - 4.0) * (longest - 2.0) * length)).sqrt();
    }
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let m = average(s[0][i], g, beta1);
        let v = average_square(s[1][i], g, beta2);
        s[0][i] = flush(m);
        s[1][i] = flush(v);
        let mut update = scale(m, lr);
        if rectified {
            update /= v.sqrt() + o.eps as f32;
        }
        p[i] = p_i - update;
    }
}

/// One step of [`NAdam`].
pub fn nadam(o: &NAdam, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    const INVISIBLE: f64 = f64::EPSILON / 4.0; // beside 1
    let (beta1, beta2) = o.betas;
    let momentum = |t: f64| beta1 * (1.0 - 0.5 * libm::pow(0.96, t * o.momentum_decay));
    let (now, next) = (momentum(t as f64), momentum(t as f64 + 1.0));
    // The product of all momenta so far. Once the power of 0.96 has vanished, each is beta1.
    let (mut product, mut decay_by_now, mut left) = (1.0, 1.0, t);
    while left > 0 && product > INVISIBLE && decay_by_now > INVISIBLE {
        decay_by_now *= libm::pow(0.96, o.momentum_decay);
        product *= beta1 * (1.0 - 0.5 * decay_by_now);
        left -= 1;
    }
    product *= power(beta1, left);
    let root = (1.0 - power(beta2, t)).sqrt();
    let by_gradient = o.lr * (1.0 - now) / (1.0 - product) * root;
    let by_momentum = o.lr * next / (1.0 - product * next) * root;
    let eps = (o.eps * root) as f32;
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let m = average(s[0][i], g, beta1);
        let v = average_square(s[1][i], g, beta2);
        s[0][i] = flush(m);
        s[1][i] = flush(v);
        p[i] = p_i - (scale(g, by_gradient) + scale(m, by_momentum)) / (v.sqrt() + eps);
    }
}

/// One step of [`Rprop`].
pub fn rprop(o: &Rprop, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (least, largest) = (o.step_sizes.0 as f32, o.step_sizes.1 as f32);
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, mut g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let prev = s[0][i];
        let mut size = if t == 1 { s[1][i] + o.lr as f32 } else { s[1][i] };
        if g > 0.0 && prev > 0.0 || g < 0.0 && prev < 0.0 {
            size *= o.etas.1 as f32;
        } else if g > 0.0 && prev < 0.0 || g < 0.0 && prev > 0.0 {
            size = scale(size, o.etas.0);
            g = 0.0;
        }
        if size < least {
            size = least;
        } else if size > largest {
            size = largest;
        }
        s[0][i] = flush(g);
        s[1][i] = flush(size);
        p[i] = if g > 0.0 {
            p_i - size
        } else if g < 0.0 {
            p_i + size
        } else {
            p_i
        };
    }
}

/// One step of [`Asgd`].
pub fn asgd(o: &Asgd, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let past = t as f64 - 1.0;
    let eta = o.lr / libm::pow(1.0 + o.lambd * o.lr * past, o.alpha);
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        p[i] = p_i - scale(p_i, o.lambd * eta) - scale(g, eta);
        let averaged = past - o.t0;
        let ax = if averaged > 1.0 { s[0][i] + scale(p[i] - s[0][i], 1.0 / averaged) } else { p[i] };
        s[0][i] = flush(ax);
    }
}

/// One step of [`Lion`].
pub fn lion(o: &Lion, _t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let c = blend(s[0][i], g, o.betas.0);
        s[0][i] = flush(blend(s[0][i], g, o.betas.1));
        p[i] = p_i - sign(c) * flush(o.lr as f32);
    }
}

/// One step of [`Lamb`], over one layer.
pub fn lamb(o: &Lamb, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2) = o.betas;
    let (mut c1, mut c2) = (1.0, 1.0);
    if o.bias_correction {
        (c1, c2) = (1.0 - power(beta1, t), 1.0 - power(beta2, t));
    }
    let inner_decay = if o.decoupled_weight_decay { o.weight_decay } else { 0.0 };
    let outer_decay = if o.decoupled_weight_decay { 0.0 } else { o.weight_decay };
    let norm_p = norm(p);
    let mut update = vec![0.0; p.len()];
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (_, g) = decay(p[i], g, o.lr, outer_decay, false);
        let m = blend(s[0][i], g, beta1);
        let v = average_square(s[1][i], g, beta2);
        s[0][i] = flush(m);
        s[1][i] = flush(v);
        let root = v.sqrt() + (o.eps * c2.sqrt()) as f32;
        update[i] = scale(m, c2.sqrt() / c1) / root + scale(p[i], inner_decay);
    }
    let norm_u = norm(&update);
    let ratio = if norm_p == 0.0 || norm_u == 0.0 { 1.0 } else { norm_p / norm_u };
    for i in 0..p.len() {
        p[i] -= scale(update[i], o.lr * ratio);
    }
}

/// One step of [`Lars`], over one layer.
pub fn lars(o: &Lars, _t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let inner_decay = if o.decoupled_weight_decay { 0.0 } else { o.weight_decay };
    let outer_decay = if o.decoupled_weight_decay { o.weight_decay } else { 0.0 };
    let norm_p = norm(p);
    let mut handed = vec![0.0; p.len()];
    for i in 0..p.len() {
        handed[i] = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
    }
    let norm_g = norm(&handed.iter().map(|&g| flush(g)).collect::<Vec<_>>());
    let mut ratio = 1.0;
    if norm_p != 0.0 && norm_g != 0.0 {
        ratio = o.trust_coefficient * norm_p / (norm_g + inner_decay * norm_p + o.eps);
    }
    for i in 0..p.len() {
        let (p_i, g) = decay(p[i], handed[i], o.lr, outer_decay, true);
        let mut step = scale(g + scale(p_i, inner_decay), o.lr * ratio);
        if o.momentum != 0.0 {
            step += scale(s[0][i], o.momentum);
            s[0][i] = flush(step);
        }
        p[i] = p_i - step;
    }
}

/// One step of [`CautiousAdamW`], over one layer.
pub fn cautious_adamw(o: &CautiousAdamW, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let o = &o.0;
    let bare = AdamW { weight_decay: 0.0, l1_decay: 0.0, clip_value: None, maximize: false, ..*o };
    let decayed = |p, g| {
        let g = gradient(g, p, o.clip_value, o.maximize, o.l1_decay);
        decay(p, g, o.lr, o.weight_decay, o.decoupled_weight_decay)
    };
    cautious(p, g, decayed, |p, g| adamw(&bare, t, p, g, s));
}

/// One step of [`CautiousLion`], over one layer.
pub fn cautious_lion(o: &CautiousLion, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let o = &o.0;
    let bare = Lion { weight_decay: 0.0, l1_decay: 0.0, clip_value: None, maximize: false, ..*o };
    let decayed = |p, g| {
        let g = gradient(g, p, o.clip_value, o.maximize, o.l1_decay);
        decay(p, g, o.lr, o.weight_decay, o.decoupled_weight_decay)
    };
    cautious(p, g, decayed, |p, g| lion(&bare, t, p, g, s));
}

/// The step that a rule bare of shared options makes from zero, where it goes against the gradient.
fn cautious(
    p: &mut [f32],
    g: &[f32],
    decayed: impl Fn(f32, f32) -> (f32, f32),
    bare: impl FnOnce(&mut [f32], &[f32]),
) {
    let (mut handed, mut step) = (vec![0.0; p.len()], vec![0.0; p.len()]);
    for i in 0..p.len() {
        (p[i], handed[i]) = decayed(p[i], g[i]);
    }
    bare(&mut step, &handed);
    let descends = |i: usize| step[i] < 0.0 && handed[i] > 0.0 || step[i] > 0.0 && handed[i] < 0.0;
    let count = (0..p.len()).filter(|&i| descends(i)).count();
    let longer = p.len() as f64 / (count as f64 + 1.0);
    for i in 0..p.len() {
        let none = if step[i].is_finite() { 0.0 } else { f32::NAN };
        p[i] += if descends(i) { scale(step[i], longer) } else { none };
    }
}

/// One step of [`Signum`].
pub fn signum(o: &Signum, _t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, mut m) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        if o.momentum != 0.0 {
            m = blend(s[0][i], m, o.momentum);
            s[0][i] = flush(m);
        }
        p[i] = p_i - sign(m) * flush(o.lr as f32);
    }
}

/// One step of [`Tiger`].
pub fn tiger(o: &Tiger, _t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let m = blend(s[0][i], g, o.beta);
        s[0][i] = flush(m);
        p[i] = p_i - sign(m) * flush(o.lr as f32);
    }
}

/// One step of [`Yogi`].
pub fn yogi(o: &Yogi, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2) = o.betas;
    let root = (1.0 - power(beta2, t)).sqrt();
    let (lr, eps) = (o.lr / (1.0 - power(beta1, t)) * root, (o.eps * root) as f32);
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        if t == 1 {
            s[0][i] += o.initial_accumulator as f32;
            s[1][i] += o.initial_accumulator as f32;
        }
        let m = blend(s[0][i], g, beta1);
        let v = s[1][i] - sign(s[1][i] - square(g)) * scale(square(g), 1.0 - beta2);
        s[0][i] = flush(m);
        s[1][i] = flush(v);
        p[i] = p_i - scale(m, lr) / (v.sqrt() + eps);
    }
}

/// One step of [`AdaBelief`].
pub fn adabelief(o: &AdaBelief, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2) = o.betas;
    let root = (1.0 - power(beta2, t)).sqrt();
    let (lr, eps) = (o.lr / (1.0 - power(beta1, t)) * root, (o.eps * root) as f32);
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let m = blend(s[0][i], g, beta1);
        let mut v = average_square(s[1][i], g - m, beta2) + o.eps as f32;
        s[0][i] = flush(m);
        s[1][i] = flush(v);
        if o.amsgrad {
            let w = s[2][i];
            v = if w > v || w.is_nan() { w } else { v };
            s[2][i] = flush(v);
        }
        p[i] = p_i - scale(m, lr) / (v.sqrt() + eps);
    }
}

/// One step of [`QHAdam`].
pub fn qhadam(o: &QHAdam, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    // Averages that keep so much at step t are corrected already.
    let keep1 = 1.0 - (1.0 - o.betas.0) / (1.0 - power(o.betas.0, t));
    let keep2 = 1.0 - (1.0 - o.betas.1) / (1.0 - power(o.betas.1, t));
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let m = blend(s[0][i], g, keep1);
        let v = blend(s[1][i], square(g), keep2);
        s[0][i] = flush(m);
        s[1][i] = flush(v);
        let w = if o.nus.1 < 1.0 { blend(v, square(g), o.nus.1) } else { v };
        p[i] = p_i - scale(blend(m, g, o.nus.0), o.lr) / (w.sqrt() + o.eps as f32);
    }
}

/// One step of [`Adopt`].
pub fn adopt(o: &Adopt, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (least, largest) = (o.eps as f32, (t as f64 - 1.0).sqrt().sqrt() as f32);
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        if t == 1 {
            let by = if o.decoupled_weight_decay { 0.0 } else { o.weight_decay };
            let (_, g) = decay(p[i], g, o.lr, by, false);
            s[1][i] = flush(square(g));
            continue;
        }
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let mut root = s[1][i].sqrt();
        if root < least {
            root = least;
        }
        let mut n = flush(g) / root;
        if o.clip && n > largest {
            n = largest;
        } else if o.clip && n < -largest {
            n = -largest;
        }
        let m = blend(s[0][i], n, o.betas.0);
        s[0][i] = flush(m);
        s[1][i] = flush(average_square(s[1][i], g, o.betas.1));
        p[i] = p_i - scale(m, o.lr);
    }
}

/// One step of [`Adan`].
pub fn adan(o: &Adan, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2, beta3) = o.betas;
    let root = (1.0 - power(beta3, t)).sqrt();
    let by_mean = o.lr / (1.0 - power(beta1, t)) * root;
    let by_change = o.lr * beta2 / (1.0 - power(beta2, t)) * root;
    let eps = (o.eps * root) as f32;
    let proximal = o.decoupled_weight_decay && !o.no_prox && o.weight_decay != 0.0;
    let x = o.lr * o.weight_decay;
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let by = if proximal { 0.0 } else { o.weight_decay };
        let (mut p_i, g) = decay(p[i], g, o.lr, by, o.decoupled_weight_decay);
        let change = scale(g + s[3][i], if t == 1 { 0.0 } else { 1.0 });
        let m = blend(s[0][i], g, beta1);
        let w = blend(s[1][i], change, beta2);
        let v = average_square(s[2][i], g + scale(change, beta2), beta3);
        s[0][i] = flush(m);
        s[1][i] = flush(w);
        s[2][i] = flush(v);
        s[3][i] = flush(-g);
        p_i -= (scale(m, by_mean) + scale(w, by_change)) / (v.sqrt() + eps);
        p[i] = if proximal { p_i - scale(p_i, x / (1.0 + x)) } else { p_i };
    }
}

/// One step of [`AdEmaMix`].
pub fn ademamix(o: &AdEmaMix, t: u64, p: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2, mut beta3) = o.betas;
    let mut alpha = o.alpha;
    if let Some(steps) = o.alpha_warmup
        && (t as f64) < steps
    {
        alpha *= t as f64 / steps;
    }
    if let Some(steps) = o.beta3_warmup
        && (t as f64) < steps
    {
        let share = t as f64 / steps;
        let (fast, slow) = (-1.0 / libm::log(beta1), -1.0 / libm::log(beta3));
        beta3 = libm::exp(-1.0 / ((1.0 - share) * fast + share * slow));
    }
    let root = (1.0 - power(beta2, t)).sqrt();
    let (by_fast, by_slow) = (o.lr / (1.0 - power(beta1, t)) * root, o.lr * alpha * root);
    let eps = (o.eps * root) as f32;
    for i in 0..p.len() {
        let g = gradient(g[i], p[i], o.clip_value, o.maximize, o.l1_decay);
        let (p_i, g) = decay(p[i], g, o.lr, o.weight_decay, o.decoupled_weight_decay);
        let fast = blend(s[0][i], g, beta1);
        let slow = blend(s[1][i], g, beta3);
        let v = average_square(s[2][i], g, beta2);
        s[0][i] = flush(fast);
        s[1][i] = flush(slow);
        s[2][i] = flush(v);
        p[i] = p_i - (scale(fast, by_fast) + scale(slow, by_slow)) / (v.sqrt() + eps);
    }
}

/// One step of [`SgdScheduleFree`].
pub fn sgd_schedule_free(o: &SgdScheduleFree, t: u64, y: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (warm, c) = schedule_free(t, o.warmup_steps);
    let lr = o.lr * warm;
    for i in 0..y.len() {
        let g = gradient(g[i], y[i], o.clip_value, o.maximize, o.l1_decay);
        let (_, g) = decay(y[i], g, o.lr, o.weight_decay, false);
        let z = if t == 1 { y[i] } else { s[0][i] };
        s[0][i] = flush(z - scale(g, lr));
        y[i] = y[i] + scale(z - y[i], c) - scale(g, lr * (1.0 - o.momentum * (1.0 - c)));
    }
}

/// One step of [`AdamWScheduleFree`].
pub fn adamw_schedule_free(o: &AdamWScheduleFree, t: u64, y: &mut [f32], g: &[f32], s: &mut [Vec<f32>]) {
    let (beta1, beta2) = o.betas;
    let (warm, c) = schedule_free(t, o.warmup_steps);
    let lr = o.lr * warm;
    let root = (1.0 - power(beta2, t)).sqrt();
    let (l2, decoupled) =
        if o.decoupled_weight_decay { (0.0, o.weight_decay) } else { (o.weight_decay, 0.0) };
    for i in 0..y.len() {
        let g = gradient(g[i], y[i], o.clip_value, o.maximize, o.l1_decay);
        let (_, g) = decay(y[i], g, o.lr, l2, false);
        let v = average_square(s[1][i], g, beta2);
        let along = scale(g, root) / (v.sqrt() + (o.eps * root) as f32) + scale(y[i], decoupled);
        let z = if t == 1 { y[i] } else { s[0][i] };
        s[0][i] = flush(z - scale(along, lr));
        s[1][i] = flush(v);
        y[i] = y[i] + scale(z - y[i], c) - scale(along, lr * (1.0 - beta1 * (1.0 - c)));
    }
}

/// `x`, or `+0` if it is subnormal or a zero.
#[must_use]
pub fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// `x * c`, where `x` counts as `+0` if it or the product would be subnormal, and so does `c` if it is; an infinite `c` counts
/// as the largest number.
#[must_use]
pub fn scale(x: f32, c: f64) -> f32 {
    let c = flush(c as f32).clamp(f32::MIN, f32::MAX);
    let x = if x.abs() < smallest(c) { 0.0 } else { x };
    x * c
}

/// `x * x`, or `+0` if that would be subnormal.
#[must_use]
pub fn square(x: f32) -> f32 {
    let x = if x.abs() < 1.084_202_2e-19 { 0.0 } else { x }; // 2^-63, the root of MIN_POSITIVE
    x * x
}

/// The smallest normal magnitude whose product with `c` is normal.
fn smallest(c: f32) -> f32 {
    let smallest = f32::MIN_POSITIVE / c.abs();
    if smallest < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { smallest }
}

/// `x * by`, where `x` counts as `+0` if it or the product would be subnormal, but for a `by` of 1 or -1. A `by` that would be
/// subnormal is multiplied by in two steps, and is zero under 2^-252.
#[must_use]
#[allow(clippy::float_cmp, reason = "exactly 1 needs no multiplication")]
pub fn scale_any(x: f32, by: f64) -> f32 {
    const LEAST: f32 = f32::MIN_POSITIVE; // 2^-126
    if by == 1.0 {
        x
    } else if by == -1.0 {
        -x
    } else if by.abs() < f64::from(LEAST) {
        let by = flush((by / f64::from(LEAST)) as f32);
        let x = if x.abs() < 1.0 / by.abs() { 0.0 } else { x };
        x * by * LEAST
    } else {
        scale(x, by)
    }
}

/// A gradient scaled, and clamped to `[-clip_value, clip_value]`.
#[must_use]
pub fn condition(g: f32, by: f64, clip_value: Option<f64>) -> f32 {
    let g = scale_any(g, by);
    match clip_value.map(|clip| flush(clip as f32)) {
        Some(clip) if g > clip => clip,
        Some(clip) if g < -clip => -clip,
        _ => g,
    }
}

/// What every rule first makes of a gradient: clamp, negate to maximize, and L1 decay.
#[must_use]
pub fn gradient(g: f32, p: f32, clip_value: Option<f64>, maximize: bool, l1_decay: f64) -> f32 {
    let mut g = condition(g, if maximize { -1.0 } else { 1.0 }, clip_value);
    if l1_decay == 0.0 {
        return g;
    }
    if p > 0.0 {
        g += l1_decay as f32;
    } else if p < 0.0 {
        g -= l1_decay as f32;
    }
    g
}

/// -1, 0 or 1 with the sign of `x`; NaN for NaN.
#[must_use]
pub fn sign(x: f32) -> f32 {
    if x == 0.0 || x.is_nan() { x + 0.0 } else { x.signum() }
}

/// What every rule then does with `weight_decay`: shrink the parameter, or add it to the gradient.
#[must_use]
pub fn decay(p: f32, g: f32, lr: f64, weight_decay: f64, decoupled: bool) -> (f32, f32) {
    if weight_decay == 0.0 {
        (p, g)
    } else if decoupled {
        (p - scale(p, lr * weight_decay), g)
    } else {
        (p, g + scale(p, weight_decay))
    }
}

/// A moving average, `m + (1 - beta) * (x - m)`; `x` where the step to it would be subnormal or is all the way.
#[must_use]
pub fn average(m: f32, x: f32, beta: f64) -> f32 {
    let (step, apart) = ((1.0 - beta) as f32, x - m);
    let arrives = apart.abs() < smallest(step) || step >= 1.0 && apart.is_finite();
    if arrives { x + 0.0 } else { m + apart * step }
}

/// A moving average of squares, `v * beta + ((1 - beta) * x) * x`. An `x` so small that the term or, in the next step, its
/// share in `v` would be subnormal counts as the least that is not, rounded up generously.
#[must_use]
pub fn average_square(v: f32, x: f32, beta: f64) -> f32 {
    let (beta, rest) = (beta as f32, (1.0 - beta) as f32);
    let share = if beta < f32::EPSILON { f32::EPSILON } else { beta };
    let least = (smallest(share) / rest).sqrt().next_up().next_up();
    let x = if least.is_finite() && x.abs() < least { least } else { x };
    v * beta + x * rest * x
}

/// A moving average, `beta * m + (1 - beta) * x`.
#[must_use]
pub fn blend(m: f32, x: f32, beta: f64) -> f32 {
    scale(m, beta) + scale(x, 1.0 - beta)
}

/// `base` to the power of `exponent`: the squares of `base` whose bits are set in `exponent`, multiplied together
/// from the lowest.
#[must_use]
pub fn power(base: f64, exponent: u64) -> f64 {
    let mut product = 1.0;
    let mut square = base;
    for bit in 0..u64::BITS {
        if exponent >> bit & 1 == 1 {
            product *= square;
        }
        square *= square;
    }
    product
}

/// How warm a schedule-free rule is, and the weight of the newest point in its average.
fn schedule_free(t: u64, warmup_steps: f64) -> (f64, f64) {
    let t = t as f64;
    let steps = if warmup_steps > 1.0 { warmup_steps } else { 1.0 };
    if t <= steps {
        return (t / steps, 6.0 * t / ((t + 1.0) * (2.0 * t + 1.0)));
    }
    let n = steps.floor();
    (1.0, 1.0 / (n * (n + 1.0) * (2.0 * n + 1.0) / (6.0 * steps * steps) + (t - n)))
}

/// The parameter as a step leaves it, with bounds.
#[must_use]
pub fn clamp(p: f32, min_param: Option<f64>, max_param: Option<f64>) -> f32 {
    match (min_param, max_param) {
        (Some(low), _) if p < low as f32 => low as f32,
        (_, Some(high)) if p > high as f32 => high as f32,
        _ => p,
    }
}

/// What the gradients are multiplied by to bring their norm down to `max_norm`.
#[must_use]
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    let factor = max_norm / (norm + 1e-6);
    if factor > 1.0 { 1.0 } else { factor }
}

/// The root of the [`sum`] of squares.
#[must_use]
pub fn norm(x: &[f32]) -> f64 {
    let squares: Vec<f64> = x.iter().map(|&x| f64::from(x) * f64::from(x)).collect();
    sum(&squares).sqrt()
}

/// The sum behind every norm. Up to 16,384 numbers are added in order to sixteen sums, the `i`th to sum `i % 16`, which
/// are then added in halves: 0 and 8, 1 and 9, and so on. More numbers are cut at the largest power of two below their
/// count, and the sums of both sides added.
#[must_use]
pub fn sum(x: &[f64]) -> f64 {
    if x.len() > 1 << 14 {
        let (left, right) = x.split_at(1 << (x.len() - 1).ilog2());
        return sum(left) + sum(right);
    }
    let mut lanes = [0.0; 16];
    for (i, x) in x.iter().enumerate() {
        lanes[i % 16] += x;
    }
    for half in [8, 4, 2, 1] {
        for k in 0..half {
            lanes[k] += lanes[k + half];
        }
    }
    lanes[0]
}
