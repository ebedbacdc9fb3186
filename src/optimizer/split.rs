//! Parameters of which the upper halves are the caller's.

use super::Optimizer;
use super::slot::Slot;
use crate::engine::{Level, Tensor, join, split};
use crate::store::Code;
use crate::{Error, Format};
use core::ops::Range;

impl<R> Optimizer<R> {
    /// Keeps the lower sixteen bits of parameters whose upper ones are the caller's, as `bf16`, or forgets them.
    ///
    /// Together they are an `f32`, which is what steps compute with: a run has the bits of one with parameters in `f32`. So
    /// there are no masters beside the parameters that a model computes with, and a step moves two bytes less for each than one
    /// that rounds a copy. What the caller sees is the `bf16` nearest to the parameter, the one farther from zero if two are.
    ///
    /// It begins with lower halves of zero, with which parameters are what they are in `bf16`; to begin with others there is
    /// [`set_masters`](Self::set_masters). Who changes a parameter between steps changes its upper half alone, and its lower one,
    /// which goes on, is then up to half of the last place off: for new weights, set masters.
    ///
    /// ```
    /// # #[cfg(feature = "half")]
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use half::bf16;
    /// use lanestep::{AdamW, Optimizer, Pipeline, Tensor};
    /// let (mut params, mut halves) = (vec![0.1_f32; 100], vec![bf16::ZERO; 100]);
    /// let mut whole = Optimizer::new(AdamW::default(), 100)?;
    /// let mut split = whole.clone();
    /// split.set_split(true)?;
    /// split.set_masters(&params, &mut [Tensor::of(&mut halves)])?;
    /// for _ in 0..10 {
    ///     whole.step(&mut params, &[0.5; 100])?;
    ///     split.step_with(&mut [Tensor::new(&mut halves, &[0.5_f32; 100])], &Pipeline::default())?;
    /// }
    /// let mut masters = vec![0.0; 100];
    /// split.masters(&[Tensor::of(&mut halves)], &mut masters)?;
    /// assert_eq!(masters, params);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "half"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no room for them, [`Error::Swapped`] if the parameters are in the place of their
    /// [average](Self::swap_ema). Nothing has changed then.
    pub fn set_split(&mut self, split: bool) -> Result<(), Error> {
        self.check_unswapped()?;
        if split != self.lower.is_some() {
            let memory = Error::Memory { slots: 1, len: self.len() };
            let lower = || Slot::new("lower", Code::Bf16, &self.edges, self.taken()).ok_or(memory);
            self.lower = split.then(lower).transpose()?;
        }
        Ok(())
    }

    /// Whether it keeps the lower halves of parameters.
    #[must_use]
    pub const fn is_split(&self) -> bool {
        self.lower.is_some()
    }

    /// The parameters, whole. The tensors are those of a [step](Self::step_with); their gradients are not looked at, and may be
    /// left out.
    ///
    /// # Errors
    /// [`Error::NoSplit`] if there are no lower halves, [`Error::Split`] if a tensor is not of `bf16`, [`Error::Length`] if
    /// `masters` is not as long as all; for other tensors, as [`step_with`](Self::step_with). Nothing has been written then.
    pub fn masters(&self, tensors: &[Tensor<'_>], masters: &mut [f32]) -> Result<(), Error> {
        self.layout.check(tensors)?;
        self.layout.check_len("masters", masters.len())?;
        self.check_split(tensors)?;
        let (mut lower, mut masters) = (self.lower.as_ref().ok_or(Error::NoSplit)?.bytes(), masters);
        for tensor in tensors {
            let len = tensor.lens().0;
            let lower = lower.split_off(..2 * len).unwrap_or_default();
            join(self.level, tensor.params(), lower, masters.split_off_mut(..len).unwrap_or_default());
        }
        Ok(())
    }

    /// Begins with these parameters: their upper halves go to the tensors, and their lower ones are kept. A NaN becomes another.
    ///
    /// # Errors
    /// As [`masters`](Self::masters), and [`Error::Swapped`] if the parameters are in the place of their [average](Self::swap_ema).
    pub fn set_masters(&mut self, masters: &[f32], tensors: &mut [Tensor<'_>]) -> Result<(), Error> {
        self.check_unswapped()?;
        self.layout.check(tensors)?;
        self.layout.check_len("masters", masters.len())?;
        self.check_split(tensors)?;
        let (mut lower, mut masters) = (self.lower.as_mut().ok_or(Error::NoSplit)?.bytes_mut(), masters);
        for tensor in tensors {
            let len = tensor.lens().0;
            let lower = lower.split_off_mut(..2 * len).unwrap_or_default();
            split(self.level, masters.split_off(..len).unwrap_or_default(), lower, &mut tensor.params_mut());
        }
        self.settled();
        Ok(())
    }

    /// The lower halves of some parameters; empty if they are whole.
    pub(super) fn lower_of(&self, range: &Range<usize>) -> &[u8] {
        let first = self.layout.places().start;
        let within = 2 * (range.start - first)..2 * (range.end - first);
        self.lower.as_ref().map_or(&[], |lower| &lower.bytes()[within])
    }

    /// Whether the parameters are as they must be where their lower halves are here.
    pub(super) fn check_split(&self, tensors: &[Tensor<'_>]) -> Result<(), Error> {
        if self.lower.is_none() {
            return Ok(());
        }
        for (index, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.lens().0 > 0) {
            let found = tensor.params().code.format();
            if found != Format::Bf16 {
                return Err(Error::Split { index, name: self.layout.name_of(index), found });
            }
        }
        Ok(())
    }
}

/// Lets an average change places with parameters whose lower halves are here.
pub(super) fn swap(level: Level, average: &mut [f32], lower: &mut [u8], tensor: &mut Tensor<'_>) {
    let mut chunk = [0.0; 1 << 10];
    let mut params = tensor.params_mut();
    for (average, lower) in average.chunks_mut(chunk.len()).zip(lower.chunks_mut(2 * chunk.len())) {
        let chunk = &mut chunk[..average.len()];
        let (mut here, rest) = params.split_at(average.len());
        join(level, here.as_source(), lower, chunk);
        split(level, average, lower, &mut here);
        average.copy_from_slice(chunk);
        params = rest;
    }
}
