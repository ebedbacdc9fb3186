use super::{Paper, c, follows, grads, params};
use lanestep::rule::Cautious;
use lanestep::{
    AdamW, AdamWScheduleFree, Adan, Adopt, AnyRule, Asgd, CautiousAdamW, Error, Lamb, Lars, Optimizer, Rule,
    Sgd,
};
use num_traits::Float;

impl Paper for CautiousAdamW {
    /// Algorithm 1 of <https://arxiv.org/abs/2411.16085>.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]) {
        let AdamW { lr, betas: (beta1, beta2), eps, weight_decay, .. } = self.0;
        let mut u = vec![T::zero(); p.len()];
        for i in 0..p.len() {
            s[0][i] = s[0][i] + c::<T>(1.0 - beta1) * (g[i] - s[0][i]);
            s[1][i] = c::<T>(beta2) * s[1][i] + c::<T>(1.0 - beta2) * g[i] * g[i];
            let (m, v) = (s[0][i] / c(1.0 - beta1.powi(t)), s[1][i] / c(1.0 - beta2.powi(t)));
            u[i] = m / (v.sqrt() + c(eps));
        }
        masked(p, g, &u, lr, weight_decay);
    }
}

/// The last lines of the algorithm: where update and gradient agree, a step.
pub fn masked<T: Float>(p: &mut [T], g: &[T], u: &[T], lr: f64, weight_decay: f64) {
    let agrees: Vec<bool> = u.iter().zip(g).map(|(&u, &g)| u * g > T::zero()).collect();
    let longer = p.len() as f64 / (agrees.iter().filter(|&&agrees| agrees).count() as f64 + 1.0);
    for i in 0..p.len() {
        let step = if agrees[i] { c::<T>(lr * longer) * u[i] } else { T::zero() };
        p[i] = p[i] - c::<T>(lr * weight_decay) * p[i] - step;
    }
}

#[test]
fn options_follow_the_paper() {
    follows(&Cautious(AdamW { lr: 1e-2, weight_decay: 0.3, ..AdamW::default() }));
    follows(&Cautious(AdamW { betas: (0.95, 0.99), eps: 1e-3, ..AdamW::default() }));
}

/// Section 3: no element moves along its gradient, which momentum alone does not keep.
#[test]
fn no_element_climbs() {
    fn climbs<R: Rule>(rule: R) -> usize {
        let mut optimizer = Optimizer::new(rule, params().len()).unwrap();
        let (mut params, mut climbs) = (params(), 0);
        for grads in grads() {
            let before = params.clone();
            optimizer.step(&mut params, &grads).unwrap();
            let moved = |i: usize| (params[i] - before[i]) * grads[i];
            climbs += (0..grads.len()).filter(|&i| moved(i) > 0.0).count();
        }
        climbs
    }
    let adamw = AdamW { weight_decay: 0.0, ..AdamW::default() };
    assert_eq!(climbs(Cautious(adamw)), 0);
    assert_eq!(climbs(Cautious(Sgd { momentum: 0.9, ..Sgd::default() })), 0);
    assert!(climbs(adamw) > 1000);
}

#[test]
fn a_rule_of_two_passes_cannot_be_cautious() {
    let error = Optimizer::new(Cautious(Lamb::default()), 4).unwrap_err();
    assert_eq!(error, Error::Cautious { found: "measures its layer" });
    let layerwise: Result<_, Error> = Optimizer::new(Cautious(AnyRule::from(Lars::default())), 4);
    assert!(layerwise.is_err());
    let error = Optimizer::new(Cautious(AdamW { lr: -1.0, ..AdamW::default() }), 4).unwrap_err();
    assert!(matches!(error, Error::Hyperparameter { name: "lr", .. }), "{error}");
}

/// The mask would take away the decay as well, or the average that is stepped to.
#[test]
fn a_rule_whose_step_is_not_of_gradient_and_state_alone_cannot_be_cautious() {
    let refused = |rule: AnyRule| Optimizer::new(Cautious(rule), 4).is_err();
    for eps in [1e-8, 0.0] {
        assert!(refused(Adan { weight_decay: 1.0, eps, ..Adan::default() }.into()));
        let adopt = Adopt { weight_decay: 0.5, eps, ..Adopt::default() };
        assert!(refused(Adopt { decoupled_weight_decay: true, ..adopt }.into()));
        assert!(refused(AdamWScheduleFree { eps, ..AdamWScheduleFree::default() }.into()));
        assert!(
            !refused(adopt.into()) && !refused(AdamW { weight_decay: 0.5, eps, ..AdamW::default() }.into())
        );
    }
    assert!(refused(Asgd { lambd: 0.0, t0: 0.0, ..Asgd::default() }.into()));
}

/// Its mask leaves it out, but not what it says.
#[test]
fn a_step_that_is_not_finite_is_not_hidden() {
    let mut params = [1.0; 2];
    let mut optimizer = Optimizer::new(CautiousAdamW::default(), 2).unwrap();
    optimizer.step(&mut params, &[f32::NAN, 1.0]).unwrap();
    assert!(params[0].is_nan() && params[1] < 1.0, "{params:?}");
}
