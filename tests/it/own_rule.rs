//! A rule that a user writes: PowerSign, which takes larger steps along its average than against it.
//!
//! Bello et al., *Neural Optimizer Search with Reinforcement Learning*, <https://arxiv.org/abs/1709.07417>.

use crate::cases::{assert_bits, hostile, ordinary};
use lanestep::formula::Factor;
use lanestep::rule::{Shared, range};
use lanestep::{
    Error, Formula, Lane, Level, Optimizer, Parallelism, Pipeline, Rule, Tensor, WithFormula, reference,
};

#[derive(Clone, Debug)]
struct PowerSign {
    lr: f64,
    beta: f64,
    base: f64,
    weight_decay: f64,
}

#[derive(Clone, Copy)]
struct Step {
    keep: Factor,
    rest: Factor,
    along: Factor,
    lr: Factor,
    against: Factor,
}

impl Formula<1> for Step {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m]: [L; 1]) -> (L, [L; 1]) {
        let m = self.keep.times(m) + self.rest.times(g);
        let (together, zero) = (g.sign() * m.sign(), g.splat(0.0));
        let slower = L::select(together.less(zero), self.against.times(g), self.lr.times(g));
        (p - L::select(zero.less(together), self.along.times(g), slower), [m])
    }
}

impl Rule for PowerSign {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg"]
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("beta", self.beta)?;
        range::check("base", self.base, self.base.is_normal() && self.base > 0.0, "above 0")
    }

    fn shared(&self) -> Shared {
        Shared { weight_decay: self.weight_decay, decoupled_weight_decay: true, ..Shared::new(self.lr) }
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula(Step {
            keep: Factor::new(self.beta),
            rest: Factor::new(1.0 - self.beta),
            along: Factor::new(self.lr * self.base),
            lr: Factor::new(self.lr),
            against: Factor::new(self.lr / self.base),
        })
    }
}

#[test]
fn has_the_guarantees_of_the_others() {
    let rule = PowerSign { lr: 0.1, beta: 0.9, base: std::f64::consts::E, weight_decay: 0.5 };
    for numbers in [ordinary, hostile] {
        for n in [0, 1, 16, 33, 100] {
            let rng = &mut fastrand::Rng::with_seed(n as u64);
            let params = numbers(rng, n);
            let grads: Vec<_> = (0..20).map(|_| numbers(rng, n)).collect();
            let (mut expected, mut m) = (params.clone(), vec![0.0; n]);
            for g in &grads {
                for i in 0..n {
                    let average = reference::blend(m[i], g[i], rule.beta);
                    m[i] = reference::flush(average);
                    let together = reference::sign(g[i]) * reference::sign(average);
                    let lr = if together > 0.0 {
                        rule.lr * rule.base
                    } else if together < 0.0 {
                        rule.lr / rule.base
                    } else {
                        rule.lr
                    };
                    let kept = expected[i] - reference::scale(expected[i], 0.1 * 0.5);
                    expected[i] = kept - reference::scale(g[i], lr);
                }
            }
            for level in Level::available() {
                for parallelism in [Parallelism::Serial, Parallelism::default()] {
                    let mut optimizer = Optimizer::new(rule.clone(), n).unwrap();
                    optimizer.set_level(level);
                    optimizer.set_parallelism(parallelism);
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
    let rule = PowerSign { lr: 0.1, beta: 0.9, base: 2.0, weight_decay: 0.0 };
    for (rule, name, found, allowed) in [
        (PowerSign { beta: 1.5, ..rule.clone() }, "beta", 1.5, "in [0, 1)"),
        (PowerSign { base: 0.0, ..rule.clone() }, "base", 0.0, "above 0"),
    ] {
        let error = Optimizer::new(rule, 3).unwrap_err();
        assert_eq!(error, Error::Hyperparameter { name, found, allowed });
    }
}

/// `p - g` and nothing else, so that the sign of a zero is seen.
#[derive(Clone, Copy)]
struct Bare;

impl Formula<0> for Bare {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, []: [L; 0]) -> (L, [L; 0]) {
        (p - g, [])
    }
}

impl Rule for Bare {
    fn slots(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared { maximize: true, ..Shared::new(1.0) }
    }

    fn set_lr(&mut self, _lr: f64) {}

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula(*self)
    }
}

#[test]
fn a_negated_zero_is_the_same_where_a_copy_is_written() {
    let begin = [-0.0_f32, 0.0, -1.0, 1.0];
    let grads = [0.0; 4];
    let (mut plain, mut mirrored, mut copy) = (begin, begin, [7.0_f32; 4]);
    Optimizer::new(Bare, 4).unwrap().step(&mut plain, &grads).unwrap();
    let tensor = Tensor::new(&mut mirrored, &grads).mirrored(&mut copy);
    Optimizer::new(Bare, 4).unwrap().step_with(&mut [tensor], &Pipeline::default()).unwrap();
    // The negated gradient is -0, which takes the sign off a parameter of -0.
    let expected = begin.map(|p| p - -0.0);
    for found in [plain, mirrored, copy] {
        assert_bits(&found, &expected, &"after a step along -0");
    }
}
