//! Steps that can be had without the parameter.

use crate::variants::each_option;
use lanestep::{Formula, Rule, WithFormula};

/// A formula that says that it can be masked makes of any parameter what it makes of zero, plus the parameter.
#[test]
fn what_says_that_it_shifts_does() {
    struct Look(f32);
    impl WithFormula for Look {
        type Output = ();
        fn formula<F: Formula<S>, const S: usize>(self, formula: F) {
            let rng = &mut fastrand::Rng::with_seed(9);
            for _ in 0..20 {
                let (g, s) = (rng.f32() - 0.5, [(); S].map(|()| 10.0 * rng.f32() + 0.01));
                let (step, alone) = formula.update(0.0, g, s);
                let (p, beside) = formula.update(self.0, g, s);
                let same = self.0 + step == p || p.is_nan() && step.is_nan();
                let same = same && alone.map(f32::to_bits) == beside.map(f32::to_bits);
                assert!(same || !F::SHIFTS, "{}: {p}, {step}", std::any::type_name::<F>());
            }
        }
    }
    for rule in each_option() {
        for t in [1, 2, 5, 1000] {
            rule.at(t, Look(-0.5));
            rule.at(t, Look(3.0));
        }
    }
}
