//! The least rule: a formula without state or hyperparameters.

use lanestep::rule::Shared;
use lanestep::{Error, Formula, Rule, WithFormula};

#[derive(Clone, Copy)]
pub struct Bare<F>(pub F);

impl<F: Formula<0>> Rule for Bare<F> {
    fn slots(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(0.0)
    }

    fn set_lr(&mut self, _lr: f64) {}

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula(self.0)
    }
}
