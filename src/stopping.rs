//! When to stop.

use crate::Error;
use crate::rule::range;

/// Watches a number that should fall: a loss, the norm of the gradients, the size of updates.
///
/// ```
/// use lanestep::Stopping;
/// let mut stopping = Stopping { patience: 2, tolerance: 0.01, ..Stopping::default() };
/// let losses = [1.0, 0.5, 0.499, 0.498, 0.1];
/// assert_eq!(losses.iter().position(|&loss| stopping.observe(loss)), Some(3));
/// assert_eq!(stopping.best, Some(0.5));
/// ```
///
/// With feature `serde`, options and state are read and written, with all their [numbers](crate::AnyRule#numbers-in-files).
/// What is left out has its default.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Stopping {
    /// So many observations in a row without progress stop, as in Keras and Lightning: 0, like 1, at the first. Default:
    /// `10`. ([`ReduceOnPlateau`](crate::ReduceOnPlateau) waits for one more, as PyTorch's.)
    pub patience: u64,
    /// How much lower than the best a number must be to be progress. Not negative. Default: `0.0`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub tolerance: f64,
    /// Stops at once at this or less: what counts as having arrived. Not NaN. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub goal: Option<f64>,
    /// The lowest number, as of the last progress. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub best: Option<f64>,
    /// How many observations ago that was. Default: `0`.
    pub waited: u64,
}

/// Ten observations without any progress.
impl Default for Stopping {
    fn default() -> Self {
        Self { patience: 10, tolerance: 0.0, goal: None, best: None, waited: 0 }
    }
}

impl Stopping {
    /// Whether each field is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        range::check("tolerance", self.tolerance, self.tolerance >= 0.0, "at least 0")?;
        range::check("goal", self.goal.unwrap_or(0.0), !self.goal.is_some_and(f64::is_nan), "a number")?;
        range::check("best", self.best.unwrap_or(0.0), !self.best.is_some_and(f64::is_nan), "a number")
    }

    /// Takes the next number; says whether to stop. If it was the best so far, [`waited`](Self::waited) is 0 then. NaN is no
    /// progress. Progress does not stop, unless it arrives at the goal.
    pub fn observe(&mut self, value: f64) -> bool {
        let progress = !value.is_nan() && self.best.is_none_or(|best| value < best - self.tolerance);
        if progress {
            (self.best, self.waited) = (Some(value), 0);
        } else {
            self.waited = self.waited.saturating_add(1);
        }
        self.goal.is_some_and(|goal| value <= goal) || !progress && self.waited >= self.patience
    }
}
