use super::{Paper, c, follows, grads, params, walk};
use lanestep::{Lion, Optimizer};
use num_traits::Float;

impl Paper for Lion {
    /// Program 1 of <https://arxiv.org/abs/2302.06675>.
    fn paper<T: Float>(&self, _t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (beta1, beta2) = self.betas;
        for i in 0..p.len() {
            let update = c::<T>(beta1) * s[0][i] + c::<T>(1.0 - beta1) * g[i];
            let sign = if update == T::zero() { update } else { update.signum() };
            s[0][i] = c::<T>(beta2) * s[0][i] + c::<T>(1.0 - beta2) * g[i];
            p[i] = p[i] - c::<T>(self.lr * self.weight_decay) * p[i] - c::<T>(self.lr) * sign;
        }
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&Lion { lr: 1e-2, weight_decay: 0.3, ..Lion::default() });
    follows(&Lion { betas: (0.3, 0.999), ..Lion::default() });
}

/// Section 3.2: the sign makes updates of one magnitude, whatever that of the gradient.
#[test]
fn every_update_is_as_large_as_the_learning_rate() {
    let mut optimizer = Optimizer::new(Lion { lr: 0.125, ..Lion::default() }, params().len()).unwrap();
    let mut params = vec![1.0; params().len()];
    for grads in grads() {
        let before = params.clone();
        optimizer.step(&mut params, &grads).unwrap();
        assert!(params.iter().zip(&before).all(|(after, before)| (after - before).abs() == 0.125));
    }
}

/// Section 4: where an AdamW-like decay balances the sign, it holds every weight within `1 / weight_decay`.
#[test]
fn decay_keeps_weights_within_its_inverse() {
    let rule = Lion { lr: 0.1, weight_decay: 0.5, ..Lion::default() };
    let found = walk(rule, &[0.0, 5.0], &[-1.0, 1.0], 300);
    assert!((found[0] - 2.0).abs() < 1e-3 && (found[1] + 2.0).abs() < 1e-3, "{found:?}");
}
