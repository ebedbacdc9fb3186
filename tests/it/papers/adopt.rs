use super::{Paper, c, follows};
use lanestep::{Adam, Adopt, AnyRule, Optimizer, Pipeline, Rule, Tensor};
use num_traits::Float;

impl Paper for Adopt {
    /// The clipped algorithm of <https://arxiv.org/abs/2411.02853>, or Algorithm 1 without the clamp; decay is where the
    /// authors' code has it.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let (beta1, beta2) = self.betas;
        for i in 0..p.len() {
            let l2 = if self.decoupled_weight_decay { 0.0 } else { self.weight_decay };
            let g = g[i] + c::<T>(l2) * p[i];
            if t == 1 {
                s[1][i] = g * g;
                continue;
            }
            if self.decoupled_weight_decay {
                p[i] = p[i] - c::<T>(self.lr * self.weight_decay) * p[i];
            }
            let bound = if self.clip { f64::from(t - 1).powf(0.25) } else { f64::INFINITY };
            let normed = (g / s[1][i].sqrt().max(c(self.eps))).max(c(-bound)).min(c(bound));
            s[0][i] = c::<T>(beta1) * s[0][i] + c::<T>(1.0 - beta1) * normed;
            p[i] = p[i] - c::<T>(self.lr) * s[0][i];
            s[1][i] = c::<T>(beta2) * s[1][i] + c::<T>(1.0 - beta2) * g * g;
        }
    }
}

#[test]
fn options_follow_the_paper() {
    let rule = Adopt { lr: 1e-2, ..Adopt::default() };
    follows(&Adopt { weight_decay: 0.3, ..rule });
    follows(&Adopt { weight_decay: 0.3, decoupled_weight_decay: true, ..rule });
    follows(&Adopt { clip: false, betas: (0.5, 0.9), ..rule });
    follows(&Adopt { eps: 0.3, betas: (0.0, 0.99), ..rule });
}

/// The last of 30,000 steps for 16 runs of the paper's problem with `k = 10`: a slope that is 100 in one step of ten and
/// -10 in the others, so 1 on average, on [-1, 1].
fn slope_of_one(rule: impl Rule) -> [f32; 16] {
    let rng = &mut fastrand::Rng::with_seed(3);
    let pipeline = Pipeline { min_param: Some(-1.0), max_param: Some(1.0), ..Pipeline::default() };
    let mut optimizer = Optimizer::new(rule, 16).unwrap();
    let mut params = [0.0; 16];
    for _ in 0..30_000 {
        let grads = [(); 16].map(|()| if rng.u8(..10) == 0 { 100.0 } else { -10.0 });
        optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline).unwrap();
    }
    params
}

/// The toy problem of the paper's experiments: Adam goes uphill unless `beta2` is near enough to 1, ADOPT goes downhill with any.
#[test]
fn converges_with_any_beta2_where_adam_does_not() {
    let mean = |params: [f32; 16]| params.iter().sum::<f32>() / 16.0;
    for beta2 in [0.1, 0.5, 0.9, 0.999] {
        let betas = (0.9, beta2);
        let found = mean(slope_of_one(Adopt { betas, clip: false, ..Adopt::default() }));
        assert!(found < -0.8, "beta2 {beta2}: {found}");
        let adam = mean(slope_of_one(Adam { betas, ..Adam::default() }));
        assert!(if beta2 < 0.95 { adam > 0.5 } else { adam < -0.5 }, "Adam, beta2 {beta2}: {adam}");
    }
}

/// Without the clamp, a first gradient of nearly zero makes a second step of any size.
#[test]
fn the_clamp_bounds_each_step() {
    let run = |clip| {
        let rule = Adopt { lr: 1.0, betas: (0.0, 0.9), clip, ..Adopt::default() };
        let mut optimizer = Optimizer::new(rule, 1).unwrap();
        let mut params = [0.0];
        [1e-9, -1.0, 16.0].map(|gradient| {
            let before = params[0];
            optimizer.step(&mut params, &[gradient]).unwrap();
            params[0] - before
        })
    };
    assert_eq!(run(true), [0.0, 1.0, -(2_f32.powf(0.25))]);
    assert_eq!(run(false)[1], 1e6);
}

#[test]
fn the_first_gradient_is_only_looked_at() {
    let decayed = Adopt { lr: 0.5, weight_decay: 0.5, betas: (0.0, 0.5), ..Adopt::default() };
    for (decoupled, square, second) in [(false, 9.0, 2.0 - 0.5), (true, 4.0, 2.0 * 0.75 - 0.5)] {
        let rule = Adopt { decoupled_weight_decay: decoupled, ..decayed };
        let mut optimizer = Optimizer::new(rule, 1).unwrap();
        let mut params = [2.0];
        optimizer.step(&mut params, &[2.0]).unwrap();
        assert_eq!((params[0], optimizer.state("exp_avg_sq").unwrap()[0]), (2.0, square));
        assert_eq!(optimizer.state("exp_avg"), Some(&[0.0][..]));
        optimizer.step(&mut params, &[2.0]).unwrap();
        assert_eq!(params[0], second);
    }
}

#[test]
fn it_does_not_go_on_with_adams_averages() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 1).unwrap();
    optimizer.step(&mut [0.0], &[2.0]).unwrap();
    optimizer.set_rule(0, Adopt::default()).unwrap();
    for name in ["exp_avg", "exp_avg_sq"] {
        assert_eq!((optimizer.state(name), optimizer.group_steps(0)), (Some(&[0.0][..]), Some(0)));
    }
}
