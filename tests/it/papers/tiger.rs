use super::{Paper, c, follows, grads, params};
use lanestep::{Lion, Optimizer, Tiger};
use num_traits::Float;

impl Paper for Tiger {
    /// `_resource_apply` of <https://github.com/bojone/tiger>, without what it does with a tensor as a whole.
    fn paper<T: Float>(&self, _t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (b1, b2) = (c::<T>(self.beta), c::<T>(1.0 - self.beta));
        for i in 0..p.len() {
            s[0][i] = b1 * s[0][i] + b2 * g[i];
            let sign = if s[0][i] == T::zero() { T::zero() } else { s[0][i].signum() };
            p[i] = p[i] - c::<T>(self.lr * self.weight_decay) * p[i] - c::<T>(self.lr) * sign;
        }
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&Tiger { lr: 1e-2, weight_decay: 0.3, ..Tiger::default() });
    follows(&Tiger { beta: 0.0, ..Tiger::default() });
    follows(&Tiger { beta: 0.4, weight_decay: 0.0, ..Tiger::default() });
}

/// The README, "Introduction": Lion with its two betas equal.
#[test]
fn it_is_lion_with_one_beta() {
    let n = params().len();
    let tiger = Tiger { lr: 1e-2, weight_decay: 0.1, ..Tiger::default() };
    let lion = Lion { lr: 1e-2, weight_decay: 0.1, betas: (tiger.beta, tiger.beta), ..Lion::default() };
    let (mut tiger, mut lion) = (Optimizer::new(tiger, n).unwrap(), Optimizer::new(lion, n).unwrap());
    let (mut found, mut expected) = (params(), params());
    for grads in grads() {
        tiger.step(&mut found, &grads).unwrap();
        lion.step(&mut expected, &grads).unwrap();
        assert_eq!(found, expected);
    }
    assert_eq!(tiger.state("exp_avg"), lion.state("exp_avg"));
}
