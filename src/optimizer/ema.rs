//! The average of the weights over time.

use super::Optimizer;
use super::slot::Slot;
use crate::Error;
use crate::engine::Follow;
use crate::rule::range;

pub(super) struct Ema {
    decay: f64,
    begun: bool,
    pub(super) average: Slot,
}

impl Ema {
    pub(super) fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { average: self.average.try_clone()?, ..*self })
    }

    /// How the average takes in the next parameters.
    pub(super) fn next(&mut self) -> Follow {
        if core::mem::replace(&mut self.begun, true) { Follow::Moving(self.decay) } else { Follow::Copying }
    }
}

impl<R> Optimizer<R> {
    /// Keeps an exponential moving average of the parameters, which often generalizes better than the last of them, or
    /// changes how much of itself it keeps.
    ///
    /// It begins as the parameters that the next step leaves, and from then on moves by `1 - decay` of the way to them
    /// at every step that is not skipped, as `torch.optim.swa_utils.get_ema_multi_avg_fn`. It is computed in the pass of
    /// the step, while the parameters are in the cache. `decay` is in `[0, 1)`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, Sgd};
    /// let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 1)?;
    /// optimizer.set_ema(0.75)?;
    /// let mut params = [3.0];
    /// optimizer.step(&mut params, &[1.0])?;
    /// optimizer.step(&mut params, &[1.0])?;
    /// assert_eq!((params, optimizer.ema()), ([1.0], Some(&[1.75][..])));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if `decay` is out of range, [`Error::Memory`] if there is no room for the average. The
    /// optimizer is as it was then.
    pub fn set_ema(&mut self, decay: f64) -> Result<(), Error> {
        range::fraction("decay", decay)?;
        if let Some(ema) = &mut self.ema {
            ema.decay = decay;
        } else {
            let average =
                Slot::new("ema", self.len, self.taken()).ok_or(Error::Memory { slots: 1, len: self.len })?;
            self.ema = Some(Ema { decay, begun: false, average });
        }
        Ok(())
    }

    /// The average of the parameters over time; `None` if it was not asked for, or if no step has been taken since.
    #[must_use]
    pub fn ema(&self) -> Option<&[f32]> {
        self.ema.as_ref().filter(|ema| ema.begun).map(|ema| &*ema.average.numbers)
    }
}
