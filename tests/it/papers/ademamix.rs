use super::{Paper, c, follows, grads, params};
use lanestep::{AdEmaMix, Adam, AdamW, AnyRule, Optimizer};
use num_traits::Float;

impl Paper for AdEmaMix {
    /// Algorithm 1 of <https://arxiv.org/abs/2409.03137>, with its schedules.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (beta1, beta2, mut beta3) = self.betas;
        let mut alpha = self.alpha;
        if let Some(steps) = self.alpha_warmup {
            alpha = alpha.min(f64::from(t) * alpha / steps);
        }
        if let Some(steps) = self.beta3_warmup.filter(|steps| f64::from(t) < *steps) {
            let (start, end, done) = (beta1.ln(), beta3.ln(), f64::from(t) / steps);
            beta3 = (start * end / ((1.0 - done) * end + done * start)).exp();
        }
        for i in 0..p.len() {
            s[0][i] = c::<T>(beta1) * s[0][i] + c::<T>(1.0 - beta1) * g[i];
            s[1][i] = c::<T>(beta3) * s[1][i] + c::<T>(1.0 - beta3) * g[i];
            s[2][i] = c::<T>(beta2) * s[2][i] + c::<T>(1.0 - beta2) * g[i] * g[i];
            let fast = s[0][i] / c(1.0 - beta1.powi(t));
            let root = (s[2][i] / c(1.0 - beta2.powi(t))).sqrt() + c(self.eps);
            let update = (fast + c::<T>(alpha) * s[1][i]) / root;
            p[i] = p[i] - c::<T>(self.lr * self.weight_decay) * p[i] - c::<T>(self.lr) * update;
        }
    }
}

#[test]
fn options_follow_the_paper() {
    let rule = AdEmaMix { lr: 1e-2, betas: (0.9, 0.99, 0.999), alpha: 5.0, ..AdEmaMix::default() };
    follows(&AdEmaMix { weight_decay: 0.3, ..rule });
    follows(&AdEmaMix { alpha_warmup: Some(100.0), ..rule });
    follows(&AdEmaMix { beta3_warmup: Some(100.0), ..rule });
    follows(&AdEmaMix { alpha_warmup: Some(300.0), beta3_warmup: Some(150.0), weight_decay: 0.1, ..rule });
    follows(&AdEmaMix { betas: (0.0, 0.9, 0.5), eps: 0.1, ..rule });
}

/// Section 3: without the slow average it is AdamW.
#[test]
fn with_an_alpha_of_zero_it_is_adamw() {
    let rule = AdEmaMix { lr: 1e-2, alpha: 0.0, weight_decay: 0.1, ..AdEmaMix::default() };
    let (mut found, mut expected) = (params(), params());
    let mut optimizer = Optimizer::new(rule, found.len()).unwrap();
    let adamw = AdamW { lr: 1e-2, weight_decay: 0.1, ..AdamW::default() };
    let mut adamw = Optimizer::new(adamw, found.len()).unwrap();
    for grads in grads() {
        optimizer.step(&mut found, &grads).unwrap();
        adamw.step(&mut expected, &grads).unwrap();
    }
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

/// Section 3: the number of steps that hold half of the slow average's weight grows linearly, from that of the fast one.
/// With a first gradient of 1 at step `t`, the slow average is what it does not keep.
#[test]
fn the_half_life_of_the_slow_average_grows_linearly() {
    let betas = (0.9, 0.999, 0.999);
    let rule = AdEmaMix { betas, beta3_warmup: Some(64.0), ..AdEmaMix::default() };
    let half_life = |beta: f64| 0.5_f64.ln() / beta.ln();
    let (first, last) = (half_life(0.9), half_life(0.999));
    for t in 1..80 {
        let mut optimizer = Optimizer::new(rule, 1).unwrap();
        for _ in 1..t {
            optimizer.step(&mut [0.0], &[0.0]).unwrap();
        }
        optimizer.step(&mut [0.0], &[1.0]).unwrap();
        let found = half_life(1.0 - f64::from(optimizer.state("exp_avg_slow").unwrap()[0]));
        let expected = first + (last - first) * f64::from(t.min(64)) / 64.0;
        assert!((found / expected - 1.0).abs() < 1e-5, "{t}: {found}, expected {expected}");
    }
}

/// Section 4 starts the slow average from zero in the middle of a run of AdamW, whose averages go on.
#[test]
fn a_run_of_adam_goes_on() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 1).unwrap();
    optimizer.step(&mut [1.0], &[0.5]).unwrap();
    optimizer.set_rule(0, AdEmaMix::default()).unwrap();
    assert_eq!(optimizer.group_steps(0), Some(1));
    assert_eq!(optimizer.state("exp_avg_fast"), Some(&[0.05][..]));
    assert_eq!(optimizer.state("exp_avg_slow"), Some(&[0.0][..]));
    assert_ne!(optimizer.state("exp_avg_sq"), Some(&[0.0][..]));
}
