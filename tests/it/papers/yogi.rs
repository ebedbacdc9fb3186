use super::{Paper, c, follows};
use lanestep::{Adam, AnyRule, Optimizer, Yogi};
use num_traits::Float;

impl Paper for Yogi {
    /// Algorithm 2 of the paper, with the start and the corrections of optax.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (beta1, beta2) = self.betas;
        let wd = self.weight_decay;
        let (l2, decay) = if self.decoupled_weight_decay { (0.0, self.lr * wd) } else { (wd, 0.0) };
        for i in 0..p.len() {
            let g = g[i] + c::<T>(l2) * p[i];
            let start = if t == 1 { c(self.initial_accumulator) } else { T::zero() };
            let (m, v) = (s[0][i] + start, s[1][i] + start);
            let m = c::<T>(beta1) * m + c::<T>(1.0 - beta1) * g;
            let sign = if v == g * g { T::zero() } else { (v - g * g).signum() };
            let v = v - c::<T>(1.0 - beta2) * sign * g * g;
            let (mean, square) = (m / c(1.0 - beta1.powi(t)), v / c(1.0 - beta2.powi(t)));
            p[i] = p[i] - c::<T>(decay) * p[i] - c::<T>(self.lr) * mean / (square.sqrt() + c(self.eps));
            (s[0][i], s[1][i]) = (m, v);
        }
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&Yogi { betas: (0.3, 0.9), eps: 1e-2, ..Yogi::default() });
    follows(&Yogi { initial_accumulator: 0.1, weight_decay: 0.1, ..Yogi::default() });
    follows(&Yogi { eps: 1e-6, weight_decay: 0.1, decoupled_weight_decay: true, ..Yogi::default() });
}

/// What the paper sets it apart from Adam by: the mean square changes by `(1 - beta2) g^2`, whatever it was.
#[test]
fn the_mean_square_moves_by_a_share_of_the_new_square() {
    for (initial_accumulator, expected) in [(100.0, 98.0), (5.0, 3.0), (4.0, 4.0), (1.0, 3.0), (0.0, 2.0)] {
        let rule = Yogi { initial_accumulator, betas: (0.9, 0.5), ..Yogi::default() };
        let mut optimizer = Optimizer::new(rule, 2).unwrap();
        optimizer.step(&mut [1.0; 2], &[2.0, -2.0]).unwrap();
        assert_eq!(optimizer.state("exp_avg_sq").unwrap(), [expected; 2]);
    }
}

/// And what that is good for: small gradients after a large one do not soon raise the effective learning rate.
#[test]
fn it_does_not_forget_a_large_gradient_as_adam_does() {
    let mut yogi = Optimizer::new(Yogi { initial_accumulator: 0.0, ..Yogi::default() }, 1).unwrap();
    let mut adam = Optimizer::new(Adam::default(), 1).unwrap();
    for step in 0..1000 {
        let gradient = [if step == 0 { 100.0 } else { 0.1 }];
        yogi.step(&mut [0.0], &gradient).unwrap();
        adam.step(&mut [0.0], &gradient).unwrap();
    }
    assert!(yogi.state("exp_avg_sq").unwrap()[0] > 9.98 && adam.state("exp_avg_sq").unwrap()[0] < 3.7);
}

#[test]
fn it_does_not_go_on_with_adams_averages() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 1).unwrap();
    optimizer.step(&mut [0.0], &[2.0]).unwrap();
    optimizer.set_rule(0, Yogi::default()).unwrap();
    assert_eq!((optimizer.state("exp_avg"), optimizer.group_steps(0)), (Some(&[0.0][..]), Some(0)));
}
