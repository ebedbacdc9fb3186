//! Any rule, stepping only where the gradient agrees.

use super::{Rule, Shared};
use crate::formula::Cautious as Masked;
use crate::{Error, Formula, WithFormula};

/// A rule whose momentum is not followed where it points up the present gradient.
///
/// ```text
/// mask = 1 where the rule's step and the gradient have opposite signs, else 0
/// p = p + step*mask * n/(sum of mask + 1)              n elements in the layer
/// ```
///
/// A layer is a [`Tensor`](crate::Tensor) of the call; where groups divide it, each unbroken stretch of one group. The
/// mask is counted in a pass before, which reads what the step reads. Decoupled decay stays outside of the mask; the
/// gradient is the one that the rule sees, with its other decays. Hyperparameters and state are the rule's own.
///
/// Made for Adam-like rules, whose step depends on gradient and state alone: those whose formula [says
/// so](Formula::SHIFTS). Others, such as [`Asgd`](super::Asgd), a schedule-free one, or one with a decay of its own, are
/// refused, and so is one that measures layers itself.
///
/// Liang et al., *Cautious Optimizers: Improving Training with One Line of Code*, <https://arxiv.org/abs/2411.16085>, whose
/// formula this is, and that of the authors' C-Lion (<https://github.com/kyleliang919/C-Optim>). Their C-AdamW has since
/// taken timm's, which divides by the mask's mean, at least 1e-3: one element of a million that agrees goes a thousand
/// times as far there, and half a million times here. Options and defaults are the wrapped rule's: so
/// [`CautiousLion`](super::CautiousLion) has Lion's betas, (0.9, 0.99), where the authors' file has (0.95, 0.98), which Lion's
/// paper takes for language models.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{Optimizer, Sgd, rule::Cautious};
/// let rule = Cautious(Sgd { lr: 1.0, momentum: 0.5, ..Sgd::default() });
/// let mut optimizer = Optimizer::new(rule, 3)?;
/// let mut params = [0.0; 3];
/// optimizer.step(&mut params, &[1.0, 1.0, 1.0])?;
/// assert_eq!(params, [-0.75; 3]); // three of three, so 3/4
/// optimizer.step(&mut params, &[-0.25, 0.5, 0.5])?; // the first buffer is 0.25 still
/// assert_eq!(params, [-0.75, -1.75, -1.75]); // two of three, so 3/3
/// # Ok(()) }
/// ```
///
/// With feature `serde`, it is read and written as the rule inside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Cautious<R>(pub R);

impl<R: Rule> Rule for Cautious<R> {
    fn slots(&self) -> &'static [&'static str] {
        self.0.slots()
    }

    fn meaning(&self, slot: &'static str) -> &'static str {
        self.0.meaning(slot)
    }

    fn non_negative(&self, slot: &'static str) -> bool {
        self.0.non_negative(slot)
    }

    fn check(&self) -> Result<(), Error> {
        self.0.check()?;
        // Some rules begin with another formula.
        self.0.at(1, Look)?;
        self.0.at(2, Look)
    }

    fn shared(&self) -> Shared {
        self.0.shared()
    }

    fn set_lr(&mut self, lr: f64) {
        self.0.set_lr(lr);
    }

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        self.0.at(t, Mask { with })
    }
}

/// Puts the mask around a rule's formula.
struct Mask<W> {
    with: W,
}

impl<W: WithFormula> WithFormula for Mask<W> {
    type Output = W::Output;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> W::Output {
        self.with.formula(Masked::new(formula))
    }
}

/// Whether a formula can be masked.
struct Look;

impl WithFormula for Look {
    type Output = Result<(), Error>;

    fn formula<F: Formula<S>, const S: usize>(self, _formula: F) -> Self::Output {
        match (F::LAYERWISE, F::SHIFTS) {
            (true, _) => Err(Error::Cautious { found: "measures its layer" }),
            (false, false) => Err(Error::Cautious { found: "depends on the parameter" }),
            (false, true) => Ok(()),
        }
    }
}
