//! A rule that a user writes: Tiger, which steps by the sign of an average.

use crate::cases::{assert_bits, hostile, ordinary};
use lanestep::formula::Factor;
use lanestep::rule::{Shared, range};
use lanestep::{Error, Formula, Lane, Level, Optimizer, Parallelism, Rule, WithFormula, reference};

#[derive(Clone, Debug)]
struct Tiger {
    lr: f64,
    beta: f64,
    weight_decay: f64,
}

#[derive(Clone, Copy)]
struct Step {
    lr: f32,
    keep: Factor,
    rest: Factor,
}

impl Formula<1> for Step {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m]: [L; 1]) -> (L, [L; 1]) {
        let m = self.keep.times(m) + self.rest.times(g);
        (p - m.sign() * self.lr, [m])
    }
}

impl Rule for Tiger {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg"]
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("beta", self.beta)
    }

    fn shared(&self) -> Shared {
        Shared { weight_decay: self.weight_decay, decoupled_weight_decay: true, ..Shared::new(self.lr) }
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula(Step {
            lr: self.lr as f32,
            keep: Factor::new(self.beta),
            rest: Factor::new(1.0 - self.beta),
        })
    }
}

#[test]
fn has_the_guarantees_of_the_others() {
    let tiger = Tiger { lr: 0.1, beta: 0.965, weight_decay: 0.5 };
    for numbers in [ordinary, hostile] {
        for n in [0, 1, 16, 33, 100] {
            let rng = &mut fastrand::Rng::with_seed(n as u64);
            let params = numbers(rng, n);
            let grads: Vec<_> = (0..20).map(|_| numbers(rng, n)).collect();
            let (mut expected, mut m) = (params.clone(), vec![0.0; n]);
            for g in &grads {
                for i in 0..n {
                    let average =
                        reference::scale(m[i], tiger.beta) + reference::scale(g[i], 1.0 - tiger.beta);
                    m[i] = reference::flush(average);
                    let sign = if average == 0.0 { 0.0 } else { average.signum() };
                    expected[i] =
                        reference::flush(expected[i]) * (1.0 - 0.1 * 0.5) as f32 - sign * tiger.lr as f32;
                }
            }
            for level in Level::available() {
                for parallelism in [Parallelism::Serial, Parallelism::default()] {
                    let optimizer = Optimizer::new(tiger.clone(), n).unwrap();
                    let mut optimizer = optimizer.with_level(level).with_parallelism(parallelism);
                    let mut found = params.clone();
                    for g in &grads {
                        optimizer.step(&mut found, g).unwrap();
                    }
                    assert_bits(&found, &expected, &(level, n));
                    assert_bits(optimizer.state("exp_avg").unwrap(), &m, &(level, n));
                }
            }
        }
    }
}

#[test]
fn has_its_hyperparameters_checked() {
    let tiger = Tiger { lr: 0.1, beta: 1.5, weight_decay: 0.0 };
    let error = Optimizer::new(tiger, 3).unwrap_err();
    assert_eq!(error, Error::Hyperparameter { name: "beta", found: 1.5, allowed: "in [0, 1)" });
}
