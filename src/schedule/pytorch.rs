//! PyTorch's defaults, for options that a dictionary leaves out.

use super::{Anneal, OneCycle, ReduceOnPlateau};

pub(super) const fn factor() -> f64 {
    1.0 / 3.0
}

pub(super) const fn one() -> f64 {
    1.0
}

pub(super) const fn total_iters() -> u64 {
    5
}

pub(super) const fn gamma() -> f64 {
    0.1
}

pub(super) const fn t_mult() -> u64 {
    1
}

pub(super) const fn step_size_up() -> u64 {
    2000
}

pub(super) const fn pct_start() -> f64 {
    OneCycle::new(0.0, 1).pct_start
}

pub(super) const fn anneal_strategy() -> Anneal {
    OneCycle::new(0.0, 1).anneal_strategy
}

pub(super) const fn div_factor() -> f64 {
    OneCycle::new(0.0, 1).div_factor
}

pub(super) const fn final_div_factor() -> f64 {
    OneCycle::new(0.0, 1).final_div_factor
}

pub(super) const fn patience() -> u64 {
    ReduceOnPlateau::new(0.0).patience
}

pub(super) const fn threshold() -> f64 {
    ReduceOnPlateau::new(0.0).threshold
}

pub(super) const fn eps() -> f64 {
    ReduceOnPlateau::new(0.0).eps
}
