use super::{Paper, c, follows, grads, params};
use lanestep::{Adam, AnyRule, Optimizer, QHAdam};
use num_traits::Float;

impl Paper for QHAdam {
    /// The paper's QHAdam: Adam's averages, corrected when they are used. The state is what they are after correction.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (beta1, beta2) = self.betas;
        let (nu1, nu2) = self.nus;
        let wd = self.weight_decay;
        let (l2, decay) = if self.decoupled_weight_decay { (0.0, self.lr * wd) } else { (wd, 0.0) };
        let average = |beta: f64, corrected: T, x: T| {
            let before = corrected * c(1.0 - beta.powi(t - 1));
            (c::<T>(beta) * before + c::<T>(1.0 - beta) * x) / c(1.0 - beta.powi(t))
        };
        for i in 0..p.len() {
            let g = g[i] + c::<T>(l2) * p[i];
            let (m, v) = (average(beta1, s[0][i], g), average(beta2, s[1][i], g * g));
            let direction = c::<T>(1.0 - nu1) * g + c::<T>(nu1) * m;
            let square = c::<T>(1.0 - nu2) * g * g + c::<T>(nu2) * v;
            p[i] = p[i] - c::<T>(decay) * p[i] - c::<T>(self.lr) * direction / (square.sqrt() + c(self.eps));
            (s[0][i], s[1][i]) = (m, v);
        }
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&QHAdam { betas: (0.995, 0.999), nus: (0.7, 1.0), ..QHAdam::default() });
    follows(&QHAdam { betas: (0.3, 0.9), nus: (0.2, 0.6), eps: 1e-3, ..QHAdam::default() });
    follows(&QHAdam { weight_decay: 0.1, nus: (0.0, 0.9), ..QHAdam::default() });
    follows(&QHAdam { weight_decay: 0.1, decoupled_weight_decay: true, ..QHAdam::default() });
}

/// Of the algorithms that the paper finds in QHAdam: Adam, where both `nus` are 1, and RMSprop with Adam's correction, where
/// the first is 0.
#[test]
fn it_holds_adam_and_rmsprop() {
    for (nus, beta1) in [((1.0, 1.0), 0.9), ((0.0, 1.0), 0.0)] {
        let n = params().len();
        let mut quasi = Optimizer::new(QHAdam { nus, ..QHAdam::default() }, n).unwrap();
        let mut adam = Optimizer::new(Adam { betas: (beta1, 0.999), ..Adam::default() }, n).unwrap();
        let (mut found, mut expected) = (params(), params());
        for grads in grads() {
            quasi.step(&mut found, &grads).unwrap();
            adam.step(&mut expected, &grads).unwrap();
            assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 5e-6));
        }
        assert_ne!(found, params());
    }
}

/// The state needs no correction: of two gradients it is their mean, weighted by `beta` and 1.
#[test]
fn averages_are_means_from_the_first_step_on() {
    let mut optimizer = Optimizer::new(QHAdam { betas: (0.5, 0.25), ..QHAdam::default() }, 1).unwrap();
    let mut after = |gradient| {
        optimizer.step(&mut [0.0], &[gradient]).unwrap();
        (optimizer.state("exp_avg").unwrap()[0], optimizer.state("exp_avg_sq").unwrap()[0])
    };
    assert_eq!(after(3.0), (3.0, 9.0));
    let (mean, square) = after(6.0);
    assert!(
        (mean - 5.0).abs() < 1e-6 && (square - (0.25 * 9.0 + 36.0) / 1.25).abs() < 1e-5,
        "{mean}, {square}"
    );
}

#[test]
fn it_does_not_go_on_with_adams_averages() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 1).unwrap();
    optimizer.step(&mut [0.0], &[2.0]).unwrap();
    optimizer.set_rule(0, QHAdam::default()).unwrap();
    assert_eq!((optimizer.state("exp_avg"), optimizer.group_steps(0)), (Some(&[0.0][..]), Some(0)));
}

/// By default none of the present square is in the step: an infinite one makes it zero, and not NaN.
#[test]
fn a_gradient_whose_square_overflows_does_no_harm() {
    let mut params = [1.0];
    Optimizer::new(QHAdam::default(), 1).unwrap().step(&mut params, &[3e19]).unwrap();
    assert_eq!(params, [1.0]);
}
