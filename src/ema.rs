//! Averages of weights over time.

use crate::engine::{Level, Parallelism, apply};
use crate::formula::Average;
use crate::rule::range;
use crate::{Error, Formula, Lane};

/// An exponential moving average of the weights, which often generalizes better than the last of them.
///
/// `average + (1 - decay) * (params - average)`, as `torch.optim.swa_utils.get_ema_multi_avg_fn`; call
/// [`update`](Self::update) after each step.
///
/// Polyak & Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::Ema;
/// let mut ema = Ema::new(&[0.0, 0.0], 0.75)?;
/// ema.update(&[1.0, 2.0])?;
/// assert_eq!(ema.params(), [0.25, 0.5]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Ema {
    average: Vec<f32>,
    decay: f64,
    level: Level,
    parallelism: Parallelism,
}

impl Ema {
    /// An average that begins as `params`, and keeps `decay` of itself at each update, in `[0, 1)`.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if `decay` is out of range, [`Error::Memory`] if there is no room for the average.
    pub fn new(params: &[f32], decay: f64) -> Result<Self, Error> {
        range::fraction("decay", decay)?;
        let mut average = Vec::new();
        let no_memory = |_| Error::Memory { slots: 1, len: params.len() };
        average.try_reserve_exact(params.len()).map_err(no_memory)?;
        average.extend_from_slice(params);
        Ok(Self { average, decay, level: Level::best(), parallelism: Parallelism::default() })
    }

    /// Computes with the vectors of `level`.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// Computes on the calling thread or over rayon.
    #[must_use]
    pub fn with_parallelism(self, parallelism: Parallelism) -> Self {
        Self { parallelism, ..self }
    }

    /// How much of itself the average keeps from the next update on: less in the beginning, if it is to forget where
    /// it came from.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if `decay` is not in `[0, 1)`.
    pub fn set_decay(&mut self, decay: f64) -> Result<(), Error> {
        range::fraction("decay", decay)?;
        self.decay = decay;
        Ok(())
    }

    /// Takes in the parameters after a step.
    ///
    /// # Errors
    /// [`Error::Length`] if there are more or fewer than the average was made for. Nothing has been written then.
    pub fn update(&mut self, params: &[f32]) -> Result<(), Error> {
        let Self { average, decay, level, parallelism } = self;
        if params.len() != average.len() {
            return Err(Error::Length { what: "params", expected: average.len(), found: params.len() });
        }
        if Average::from_x(*decay) {
            apply(*level, *parallelism, Follow(Average::<true>::new(*decay)), average, params);
        } else {
            apply(*level, *parallelism, Follow(Average::<false>::new(*decay)), average, params);
        }
        Ok(())
    }

    /// The average.
    #[must_use]
    pub fn params(&self) -> &[f32] {
        &self.average
    }
}

#[derive(Clone, Copy)]
struct Follow<const FROM_X: bool>(Average<FROM_X>);

impl<const FROM_X: bool> Formula<0> for Follow<FROM_X> {
    #[inline(always)]
    fn update<L: Lane>(&self, average: L, x: L, []: [L; 0]) -> (L, [L; 0]) {
        (self.0.update(average, x), [])
    }
}
