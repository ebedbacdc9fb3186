//! How far a trajectory may be from the truth: as far as another in `f32` is, twice.

use approx::relative_eq;
use std::fmt::Display;

/// The element that is farthest from the truth, and how far that is: NaN if one is.
fn farthest(found: &[f64], truth: &[f64]) -> (usize, f64) {
    assert_eq!(found.len(), truth.len());
    let distances = found.iter().zip(truth).map(|(found, truth)| (found - truth).abs());
    distances.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).expect("some numbers")
}

/// The largest distance of an element.
pub(crate) fn distance(found: &[f64], truth: &[f64]) -> f64 {
    farthest(found, truth).1
}

/// No farther from the truth than twice what `theirs` is, plus 8 units in the last place of the largest number.
pub(crate) fn assert_near(ours: &[f32], theirs: &[f64], truth: &[f64], context: &dyn Display) {
    let largest = truth.iter().fold(0.0, |max: f64, p| max.max(p.abs())) as f32;
    let ulp = f64::from(largest.next_up() - largest);
    let ours: Vec<f64> = ours.iter().copied().map(f64::from).collect();
    let ((element, far), theirs) = (farthest(&ours, truth), distance(theirs, truth));
    let bound = 2.0 * theirs + 8.0 * ulp;
    assert!(
        far <= bound,
        "{context}: ours is {far:e} from the truth in f64, theirs in f32 {theirs:e}, and {bound:e} is allowed. \
         Farthest is element {element}: found {:e}, expected {:e}",
        ours[element],
        truth[element],
    );
}

/// What a slot holds in the end.
pub(crate) fn assert_state(found: &[f32], truth: &[f64], max_relative: f64, context: &dyn Display) {
    assert_eq!(found.len(), truth.len(), "{context}");
    for (i, (&found, &truth)) in found.iter().zip(truth).enumerate() {
        let near = relative_eq!(f64::from(found), truth, max_relative = max_relative, epsilon = 1e-7);
        assert!(
            near,
            "{context}, element {i}: found {found:e}, expected {truth:e} to within {max_relative:e} of it"
        );
    }
}
