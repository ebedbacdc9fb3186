use super::{Paper, c, follows, walk};
use lanestep::{AdaBelief, Adam, AnyRule, Optimizer};
use num_traits::Float;

impl Paper for AdaBelief {
    /// Algorithm 2 of <https://arxiv.org/abs/2010.07468>, with the decays and AMSGrad of the authors' code.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (beta1, beta2) = self.betas;
        let wd = self.weight_decay;
        let (l2, decay) = if self.decoupled_weight_decay { (0.0, self.lr * wd) } else { (wd, 0.0) };
        for i in 0..p.len() {
            let g = g[i] + c::<T>(l2) * p[i];
            let m = c::<T>(beta1) * s[0][i] + c::<T>(1.0 - beta1) * g;
            let mut v = c::<T>(beta2) * s[1][i] + c::<T>(1.0 - beta2) * (g - m).powi(2) + c(self.eps);
            (s[0][i], s[1][i]) = (m, v);
            if self.amsgrad {
                v = v.max(s[2][i]);
                s[2][i] = v;
            }
            let (mean, variance) = (m / c(1.0 - beta1.powi(t)), v / c(1.0 - beta2.powi(t)));
            p[i] = p[i] - c::<T>(decay) * p[i] - c::<T>(self.lr) * mean / (variance.sqrt() + c(self.eps));
        }
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&AdaBelief { betas: (0.3, 0.9), eps: 1e-8, ..AdaBelief::default() });
    follows(&AdaBelief { amsgrad: true, betas: (0.9, 0.9), weight_decay: 0.1, ..AdaBelief::default() });
    follows(&AdaBelief {
        eps: 1e-3,
        weight_decay: 0.1,
        decoupled_weight_decay: false,
        ..AdaBelief::default()
    });
}

/// The paper's example of `|x| + |y|`: along `x` the gradient stays, along `y` it changes its sign at every step. Adam's
/// steps have one denominator; AdaBelief's are large where its prediction holds, and small where it does not.
#[test]
fn steps_are_large_where_the_gradient_is_as_predicted() {
    let mut belief = Optimizer::new(AdaBelief::default(), 2).unwrap();
    let mut adam = Optimizer::new(Adam::default(), 2).unwrap();
    let (mut found, mut expected) = ([0.0; 2], [0.0; 2]);
    for step in 0..100 {
        let gradient = [1.0, if step % 2 == 0 { 1.0 } else { -1.0 }];
        belief.step(&mut found, &gradient).unwrap();
        adam.step(&mut expected, &gradient).unwrap();
    }
    let (variance, square) = (belief.state("exp_avg_var").unwrap(), adam.state("exp_avg_sq").unwrap());
    assert!(square[0] == square[1] && variance[0] < 0.1 * variance[1], "{square:?}, {variance:?}");
    assert!(found[0] < 2.0 * expected[0], "{found:?}, {expected:?}");
}

/// Without momentum every prediction holds, and the variance is what `eps` adds up to: `0.25 + 0.25 * 0.75 + ...`, which is
/// 1 when corrected.
#[test]
fn eps_enters_the_variance_at_every_step() {
    let rule = AdaBelief { lr: 0.5, betas: (0.0, 0.75), eps: 0.25, ..AdaBelief::default() };
    let mut optimizer = Optimizer::new(rule, 1).unwrap();
    let mut params = [0.0];
    for (step, variance) in (1..).zip([0.25, 0.4375, 0.578_125]) {
        optimizer.step(&mut params, &[5.0]).unwrap();
        assert_eq!(optimizer.state("exp_avg_var").unwrap(), [variance]);
        assert!((params[0] + 0.5 * 5.0 / 1.25 * step as f32).abs() < 1e-5, "step {step}: {params:?}");
    }
}

/// A gradient that does not vary at all, for so long that rounding and `eps` are all that is left of the variance.
#[test]
fn steps_stay_bounded_where_nothing_varies() {
    for gradient in [1e-20_f32, 1e-6, 1.0, 1e6] {
        let rule = AdaBelief { lr: 1e-6, betas: (0.9, 0.99), ..AdaBelief::default() };
        let found = walk(rule, &[0.0], &[gradient], 5000)[0];
        let largest = 5000.0 * 1e-6 * gradient / 0.99e-7; // the root of eps / (1 - beta2)
        assert!((-largest..0.0).contains(&found), "{gradient:e}: {found:e}");
    }
}

#[test]
fn it_does_not_go_on_with_adams_averages() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 1).unwrap();
    optimizer.step(&mut [0.0], &[2.0]).unwrap();
    optimizer.set_rule(0, AdaBelief::default()).unwrap();
    assert_eq!((optimizer.state("exp_avg"), optimizer.group_steps(0)), (Some(&[0.0][..]), Some(0)));
}
