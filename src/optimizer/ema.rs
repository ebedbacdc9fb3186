//! The average of the weights over time.

use super::slot::Slot;
use super::{Optimizer, split};
use crate::Error;
use crate::engine::{Follow, Tensor};
use crate::rule::range;
use crate::store::Code;

pub(super) struct Ema {
    decay: f64,
    pub(super) begun: bool,
    /// Whether the parameters are in its place.
    swapped: bool,
    pub(super) average: Slot,
}

impl Ema {
    pub(super) fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { average: self.average.try_clone()?, ..*self })
    }

    /// How the average takes in the next parameters.
    pub(super) fn follow(&self) -> Follow {
        if self.begun { Follow::Moving(self.decay) } else { Follow::Copying }
    }
}

impl<R> Optimizer<R> {
    /// Whether the parameters are where they belong.
    pub(super) fn check_unswapped(&self) -> Result<(), Error> {
        if self.ema.as_ref().is_some_and(|ema| ema.swapped) { Err(Error::Swapped) } else { Ok(()) }
    }

    /// Keeps an exponential moving average of the parameters, which often generalizes better than the last of them, or
    /// changes how much of itself it keeps, or with `None` ends and forgets it.
    ///
    /// It begins as the parameters that the next step leaves, and from then on moves by `1 - decay` of the way to them
    /// at every step that is not skipped, as `torch.optim.swa_utils.get_ema_multi_avg_fn`. It is computed in the pass of
    /// the step, while the parameters are in the cache. `decay` is in `[0, 1)`.
    ///
    /// Before the parameters have settled, an average is worse than they are: begin it after the warm-up, or let it grow up
    /// by setting `decay` to the lesser of the last one and `(1 + t) / (10 + t)` at each step `t`.
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
    /// [`Error::Hyperparameter`] if `decay` is out of range, [`Error::Memory`] if there is no room for the average,
    /// [`Error::Swapped`] if it is to end while the parameters are in its place. The optimizer is as it was then.
    pub fn set_ema(&mut self, decay: impl Into<Option<f64>>) -> Result<(), Error> {
        let Some(decay) = decay.into() else {
            self.check_unswapped()?;
            self.ema = None;
            return Ok(());
        };
        range::fraction("decay", decay)?;
        if let Some(ema) = &mut self.ema {
            ema.decay = decay;
        } else {
            let len = self.len();
            let memory = Error::Memory { slots: 1, len };
            let average = Slot::new("ema", Code::F32, &self.edges, self.taken()).ok_or(memory)?;
            self.ema = Some(Ema { decay, begun: false, swapped: false, average });
        }
        Ok(())
    }

    /// The average of the parameters over time; `None` if it was not asked for, if no step has been taken since, or while the
    /// parameters are [in its place](Self::swap_ema).
    #[must_use]
    pub fn ema(&self) -> Option<&[f32]> {
        self.ema.as_ref().filter(|ema| ema.begun && !ema.swapped).and_then(|ema| ema.average.plain())
    }

    /// How much of itself the average keeps at a step; `None` if there is none.
    #[must_use]
    pub fn ema_decay(&self) -> Option<f64> {
        self.ema.as_ref().map(|ema| ema.decay)
    }

    /// Goes on from an average of an earlier run, bit for bit.
    ///
    /// # Errors
    /// [`Error::NoEma`] if [none is kept](Self::set_ema), [`Error::Length`] if there is not a number for each parameter,
    /// [`Error::Swapped`] if the parameters are in its place. Nothing has been written then.
    pub fn restore_ema(&mut self, average: &[f32]) -> Result<(), Error> {
        self.layout.check_len("ema", average.len())?;
        self.ema.as_ref().ok_or(Error::NoEma)?;
        self.check_unswapped()?;
        self.settled();
        if let Some(ema) = &mut self.ema {
            ema.average.put(self.layout.places(), average);
            ema.begun = true;
        }
        Ok(())
    }

    /// Lets parameters and average change places: to evaluate or ship the average in the place where the parameters are.
    /// The second call puts both back, bit for bit; until then, steps are an error. The tensors are those of a
    /// [step](Self::step_with); their gradients and [copies](Tensor::mirrored) are not looked at, and may be left out.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, Sgd, Tensor};
    /// let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 3)?;
    /// optimizer.set_ema(0.5)?;
    /// let mut params = [3.0, 3.0, 1.0];
    /// optimizer.step(&mut params, &[1.0; 3])?;
    /// optimizer.step(&mut params, &[1.0; 3])?;
    /// optimizer.swap_ema(&mut [Tensor::of(&mut params)])?;
    /// assert_eq!(params, [1.5, 1.5, -0.5]); // evaluate now
    /// optimizer.swap_ema(&mut [Tensor::of(&mut params)])?;
    /// assert_eq!(params, [1.0, 1.0, -1.0]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::SwapFormat`] if parameters are neither `f32` nor [split](Self::set_split), [`Error::Split`] if split ones are no
    /// `bf16`, [`Error::NoEma`] if there is no average, as before the first step that was not skipped ([`ema`](Self::ema) tells); for
    /// other tensors, as [`step_with`](Self::step_with). Nothing has been written then.
    pub fn swap_ema(&mut self, tensors: &mut [Tensor<'_>]) -> Result<(), Error> {
        self.layout.check(tensors)?;
        self.check_split(tensors)?;
        let ema = self.ema.as_mut().filter(|ema| ema.begun).ok_or(Error::NoEma)?;
        if self.lower.is_none() && tensors.iter().any(|tensor| tensor.params().plain().is_none()) {
            return Err(Error::SwapFormat);
        }
        let mut average = ema.average.plain_mut().unwrap_or_default();
        let mut lower = self.lower.as_mut().map(Slot::bytes_mut).unwrap_or_default();
        for tensor in tensors {
            let len = tensor.lens().0;
            let average = average.split_off_mut(..len).unwrap_or_default();
            match lower.split_off_mut(..2 * len) {
                Some(lower) if len > 0 => split::swap(self.level, average, lower, tensor),
                _ => tensor.params_mut().into_plain().unwrap_or_default().swap_with_slice(average),
            }
        }
        ema.swapped = !ema.swapped;
        Ok(())
    }
}
