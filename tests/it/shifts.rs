//! Steps that can be had without the parameter.

use crate::variants::{each_option, layerwise};
use lanestep::rule::Cautious;
use lanestep::{Formula, Optimizer, Rule, WithFormula};

/// Whether a formula says that it can be masked, and whether it does: makes of a parameter what it makes of zero, plus the
/// parameter.
struct Look(f32);

impl WithFormula for Look {
    type Output = (bool, bool);

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output {
        let rng = &mut fastrand::Rng::with_seed(9);
        let does = (0..20).all(|_| {
            let (g, s) = (rng.f32() - 0.5, [(); S].map(|()| 10.0 * rng.f32() + 0.01));
            let (step, alone) = formula.update(0.0, g, s);
            let (p, beside) = formula.update(self.0, g, s);
            let same = self.0 + step == p || p.is_nan() && step.is_nan();
            same && alone.map(f32::to_bits) == beside.map(f32::to_bits)
        });
        (F::SHIFTS, does)
    }
}

#[test]
fn a_formula_says_that_it_shifts_if_and_only_if_it_does() {
    for rule in each_option() {
        let mut always = true;
        for (t, p) in [1, 2, 5, 1000].into_iter().flat_map(|t| [(t, -0.5), (t, 3.0)]) {
            let (says, does) = rule.at(t, Look(p));
            assert!(
                does || !says,
                "SHIFTS is said at step {t}, but the step depends on the parameter: {rule:?}"
            );
            always &= does;
        }
        let cautious = Optimizer::new(Cautious(rule), 4).is_ok();
        assert_eq!(cautious, always && !layerwise(&rule), "SHIFTS should be said of its formula: {rule:?}");
    }
}
