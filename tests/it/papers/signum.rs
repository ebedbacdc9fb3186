use super::{Paper, c, follows, grads, params};
use lanestep::{Adam, AnyRule, Lion, Optimizer, Signum};
use num_traits::Float;

impl Paper for Signum {
    /// Algorithm 2 of <https://arxiv.org/abs/1802.04434>, without momentum Algorithm 1; both decays of MXNet's Signum.
    fn paper<T: Float>(&self, _t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let wd = self.weight_decay;
        let (wd, wd_lh) = if self.decoupled_weight_decay { (0.0, wd) } else { (wd, 0.0) };
        for i in 0..p.len() {
            let mut m = g[i] + c::<T>(wd) * p[i];
            if self.momentum > 0.0 {
                m = c::<T>(self.momentum) * s[0][i] + c::<T>(1.0 - self.momentum) * m;
                s[0][i] = m;
            }
            let sign = if m == T::zero() { m } else { m.signum() };
            p[i] = p[i] - c::<T>(self.lr * wd_lh) * p[i] - c::<T>(self.lr) * sign;
        }
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&Signum { momentum: 0.0, ..Signum::default() });
    follows(&Signum { momentum: 0.3, weight_decay: 0.01, ..Signum::default() });
    follows(&Signum { weight_decay: 0.1, decoupled_weight_decay: true, ..Signum::default() });
}

/// The paper's view of Adam: without averages and `eps` it is signSGD.
#[test]
fn without_momentum_it_is_adam_that_remembers_nothing() {
    let adam = Adam { lr: 0.125, betas: (0.0, 0.0), eps: 0.0, ..Adam::default() };
    let mut adam = Optimizer::new(adam, params().len()).unwrap();
    let mut sign =
        Optimizer::new(Signum { lr: 0.125, momentum: 0.0, ..Signum::default() }, params().len()).unwrap();
    let (mut expected, mut found) = (params(), params());
    for grads in grads() {
        adam.step(&mut expected, &grads).unwrap();
        sign.step(&mut found, &grads).unwrap();
        assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-3));
    }
    assert_eq!(sign.state("momentum_buffer"), None);
}

/// In the buffer an opposite gradient weighs against what is left of the first; where they balance, nothing moves.
#[test]
fn an_average_of_zero_stays() {
    let mut optimizer = Optimizer::new(Signum { lr: 0.125, momentum: 0.5, ..Signum::default() }, 3).unwrap();
    let mut params = [0.0; 3];
    optimizer.step(&mut params, &[8.0, 8.0, 0.0]).unwrap();
    assert_eq!(
        (params, optimizer.state("momentum_buffer").unwrap()),
        ([-0.125, -0.125, 0.0], &[4.0, 4.0, 0.0][..])
    );
    optimizer.step(&mut params, &[-3.0, -4.0, -1e-3]).unwrap();
    assert_eq!(params, [-0.25, -0.125, 0.125]);
}

#[test]
fn its_average_goes_on_as_lions() {
    let mut optimizer = Optimizer::<AnyRule>::new(Signum::default().into(), 1).unwrap();
    optimizer.step(&mut [0.0], &[2.0]).unwrap();
    let average = optimizer.state("momentum_buffer").unwrap().to_vec();
    optimizer.set_rule(0, Lion::default()).unwrap();
    assert_eq!(optimizer.state("exp_avg"), Some(&average[..]));
}
