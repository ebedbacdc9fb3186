use super::{Paper, c, follows, grads, params, walk};
use lanestep::{Adam, Adan, AnyRule, Optimizer};
use num_traits::Float;

impl Paper for Adan {
    /// Algorithm 1 of <https://arxiv.org/abs/2208.06677>, with the betas and the decays of the authors' code.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (beta1, beta2, beta3) = self.betas;
        let correction = |beta: f64| 1.0 - beta.powi(t);
        let decay = self.lr * self.weight_decay;
        for i in 0..p.len() {
            let change = if t == 1 { T::zero() } else { g[i] + s[3][i] };
            s[0][i] = c::<T>(beta1) * s[0][i] + c::<T>(1.0 - beta1) * g[i];
            s[1][i] = c::<T>(beta2) * s[1][i] + c::<T>(1.0 - beta2) * change;
            let ahead = g[i] + c::<T>(beta2) * change;
            s[2][i] = c::<T>(beta3) * s[2][i] + c::<T>(1.0 - beta3) * ahead * ahead;
            s[3][i] = -g[i];
            let root = s[2][i].sqrt() / c(correction(beta3).sqrt()) + c(self.eps);
            if self.no_prox {
                p[i] = p[i] - c::<T>(decay) * p[i];
            }
            p[i] = p[i] - c::<T>(self.lr / correction(beta1)) * s[0][i] / root;
            p[i] = p[i] - c::<T>(self.lr * beta2 / correction(beta2)) * s[1][i] / root;
            if !self.no_prox {
                p[i] = p[i] / c(1.0 + decay);
            }
        }
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&Adan { lr: 1e-2, weight_decay: 0.3, ..Adan::default() });
    follows(&Adan { lr: 1e-2, weight_decay: 0.3, no_prox: true, ..Adan::default() });
    follows(&Adan { betas: (0.9, 0.5, 0.999), eps: 0.1, ..Adan::default() });
    follows(&Adan { betas: (0.0, 0.0, 0.0), ..Adan::default() });
}

/// Lemma 1 takes the look ahead of Nesterov's method for a multiple of the change of the gradient; with one beta for both,
/// their two averages are the one of the gradient ahead.
#[test]
fn both_averages_together_are_of_the_gradient_ahead() {
    let beta = 0.9;
    let mut optimizer = Optimizer::new(Adan { betas: (beta, beta, 0.99), ..Adan::default() }, 37).unwrap();
    let (mut params, mut before, mut ahead) = (params(), grads()[0].clone(), vec![0.0; 37]);
    for grads in grads() {
        optimizer.step(&mut params, &grads).unwrap();
        let (mean, change) = (optimizer.state("exp_avg").unwrap(), optimizer.state("exp_avg_diff").unwrap());
        for i in 0..37 {
            let (g, last) = (f64::from(grads[i]), f64::from(before[i]));
            ahead[i] = beta * ahead[i] + (1.0 - beta) * (g + beta * (g - last));
            let found = f64::from(mean[i]) + beta * f64::from(change[i]);
            assert!((found - ahead[i]).abs() <= 1e-6 * g.abs().max(1e3), "{found} {}", ahead[i]);
        }
        before = grads;
    }
}

/// The change is zero then, and the root is the gradient.
#[test]
fn a_constant_gradient_steps_by_the_learning_rate() {
    let found = walk(Adan { lr: 0.125, ..Adan::default() }, &[0.0; 2], &[1e-3, -1e3], 40);
    assert!((found[0] + 5.0).abs() < 1e-3 && (found[1] - 5.0).abs() < 1e-3, "{found:?}");
}

/// Algorithm 1 takes decay proximally: it approaches zero where AdamW's would overshoot.
#[test]
fn proximal_decay_never_changes_the_sign() {
    let rule = Adan { lr: 1.0, weight_decay: 3.0, ..Adan::default() };
    assert_eq!(walk(rule, &[16.0, -16.0], &[0.0; 2], 2), [1.0, -1.0]);
    assert_eq!(walk(Adan { no_prox: true, ..rule }, &[16.0, -16.0], &[0.0; 2], 1), [-32.0, 32.0]);
    let l2 = Adan { decoupled_weight_decay: false, ..rule };
    assert_eq!(walk(l2, &[16.0, -16.0], &[0.0; 2], 1), [15.0, -15.0]);
}

/// As the authors negate it, and of what enters the rule.
#[test]
fn the_last_gradient_is_kept_negated() {
    let rule = Adan { maximize: true, clip_value: Some(2.0), ..Adan::default() };
    let mut optimizer = Optimizer::new(rule, 2).unwrap();
    optimizer.step(&mut [0.0; 2], &[1.0, -3.0]).unwrap();
    assert_eq!(optimizer.state("neg_pre_grad"), Some(&[1.0, -2.0][..]));
    assert_eq!(optimizer.state("exp_avg_diff"), Some(&[0.0, 0.0][..]));
    optimizer.step(&mut [0.0; 2], &[2.0, -3.0]).unwrap();
    let change = optimizer.state("exp_avg_diff").unwrap();
    assert!((change[0] + 0.08).abs() < 1e-6 && change[1] == 0.0, "{change:?}");
}

#[test]
fn it_does_not_go_on_with_adams_averages() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 1).unwrap();
    optimizer.step(&mut [0.0], &[2.0]).unwrap();
    optimizer.set_rule(0, Adan::default()).unwrap();
    for name in ["exp_avg", "exp_avg_sq"] {
        assert_eq!((optimizer.state(name), optimizer.group_steps(0)), (Some(&[0.0][..]), Some(0)));
    }
}
