//! AdamW in `f64`, as its paper has it: what every peer is held against before it is timed.

use crate::case::{Case, MAX_NORM, Work};
use crate::data::Numbers;
use anyhow::{Result, ensure};
use lanestep::rule::bias_correction;

pub(crate) const LR: f64 = 1e-3;
pub(crate) const BETAS: (f64, f64) = (0.9, 0.999);
pub(crate) const EPS: f64 = 1e-8;
pub(crate) const WEIGHT_DECAY: f64 = 1e-2;

/// `1 - beta^t`.
fn correction(beta: f64, t: u64) -> f64 {
    1.0 - (0..t).map(|_| beta).product::<f64>()
}

/// What loops of one's own compute with: the corrections are folded into the learning rate and `eps`, which saves a loop two
/// divisions for each element.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Coefficients {
    pub(crate) decay: f32,
    pub(crate) rest1: f32,
    pub(crate) beta2: f32,
    pub(crate) rest2: f32,
    pub(crate) lr: f32,
    pub(crate) eps: f32,
}

impl Coefficients {
    /// Of the step `t`, counted from 1.
    pub(crate) fn at(t: u64) -> Self {
        let root = bias_correction(BETAS.1, t).sqrt();
        Self {
            decay: (LR * WEIGHT_DECAY) as f32,
            rest1: (1.0 - BETAS.0) as f32,
            beta2: BETAS.1 as f32,
            rest2: (1.0 - BETAS.1) as f32,
            lr: (LR / bias_correction(BETAS.0, t) * root) as f32,
            eps: (EPS * root) as f32,
        }
    }
}

/// The parameters after some steps of a case, all tensors after another.
pub(crate) fn truth(case: &Case, numbers: &Numbers, steps: u64) -> Vec<f64> {
    let squares = |grads: &Vec<f32>| grads.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
    let norm = numbers.grads.iter().map(squares).sum::<f64>().sqrt();
    let mut factor = 1.0;
    let mut factors = vec![];
    for t in 0..steps as usize {
        factor *= t.checked_sub(1).and_then(|t| case.scales().get(t).copied()).map_or(1.0, f64::from);
        let clip = if case.work == Work::Clip { (MAX_NORM / (norm * factor.abs())).min(1.0) } else { 1.0 };
        factors.push((factor * clip, correction(BETAS.0, t as u64 + 1), correction(BETAS.1, t as u64 + 1)));
    }
    let elements = numbers.params.iter().flatten().zip(numbers.grads.iter().flatten());
    let run = |(&p, &g): (&f32, &f32)| {
        let (mut p, mut m, mut v) = (f64::from(p), 0.0, 0.0);
        for (factor, correction1, correction2) in &factors {
            let g = f64::from(g) * factor;
            m = BETAS.0 * m + (1.0 - BETAS.0) * g;
            v = BETAS.1 * v + (1.0 - BETAS.1) * g * g;
            p -= LR * WEIGHT_DECAY * p;
            p -= LR * (m / correction1) / ((v / correction2).sqrt() + EPS);
        }
        p
    };
    elements.map(run).collect()
}

/// The largest distance of a parameter from the truth.
///
/// # Errors
/// Where it is beyond `bound`, or a parameter is not a number.
pub(crate) fn check(found: &[f32], truth: &[f64], bound: f64) -> Result<f64> {
    ensure!(found.len() == truth.len(), "{} parameters instead of {}", found.len(), truth.len());
    let mut farthest = 0.0;
    for (i, (&found, &truth)) in found.iter().zip(truth).enumerate() {
        let distance = (f64::from(found) - truth).abs();
        // So written, a distance that is not a number is too far.
        ensure!(distance <= bound, "parameter {i} is {found} instead of {truth}, further than {bound:e}");
        if distance > farthest {
            farthest = distance;
        }
    }
    Ok(farthest)
}
