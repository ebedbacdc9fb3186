//! What can go wrong.

use candle_core::{Context, DType, Shape};
use std::fmt;

/// What an [`Optimizer`](crate::Optimizer) refuses. Whenever a call returns one of these, it has written nothing.
///
/// Variables are told by their names in the `VarMap`, or by their places in the list, from 0.
///
/// What comes through candle's own trait is one of candle's errors, and [`of`](Self::of) finds this one in it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What lanestep refuses: a hyperparameter, a group, gradients that are not finite.
    #[error(transparent)]
    Step(#[from] lanestep::Error),
    /// What is wrong with a file.
    #[error(transparent)]
    Checkpoint(#[from] lanestep::checkpoint::Error),
    /// What candle refuses: variables and gradients on another device than the CPU, variables that are not contiguous.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A variable or a gradient of other numbers than can be stepped.
    #[error("{what} {name:?} is of {found:?}, but must be of F32, BF16 or F16")]
    DType {
        /// `"the variable"` or `"the gradient of"`.
        what: &'static str,
        /// Of which variable.
        name: String,
        /// What it is of.
        found: DType,
    },
    /// A variable is given twice, or two share memory: both could not be written at once.
    #[error("the variables {first:?} and {second:?} are one, or share memory: leave one of them out")]
    Shared {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// A gradient lies in the memory of a variable: it would be written while it is read.
    #[error("the gradient of {name:?} shares the memory of the variable {variable:?}: copy it")]
    SharedGradient {
        /// Whose gradient it is.
        name: String,
        /// In whose memory it lies.
        variable: String,
    },
    /// A gradient has another shape than its variable.
    #[error("the gradient of {name:?} has the shape {found:?}, but must have {expected:?}")]
    Shape {
        /// Of which variable.
        name: String,
        /// The variable's shape.
        expected: Shape,
        /// The gradient's.
        found: Shape,
    },
    /// Files tell variables by their names, and these have none.
    #[error(
        "the variables have no names, and a VarMap lists them in another order each time: make the optimizer from the VarMap itself"
    )]
    NoNames,
}

impl Error {
    /// The error of this crate in one of candle's, if it is there.
    ///
    /// ```
    /// use candle_core::{Device, Var};
    /// use candle_nn::Optimizer as _;
    /// use lanestep_candle::{AdamW, Error, lanestep};
    /// # fn main() -> candle_core::Result<()> {
    /// let var = Var::new(0_f64, &Device::Cpu)?;
    /// let error = AdamW::new(vec![var], lanestep::AdamW::default()).unwrap_err();
    /// assert!(matches!(Error::of(&error), Some(Error::DType { .. })));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn of(error: &candle_core::Error) -> Option<&Self> {
        match error {
            candle_core::Error::WrappedContext { wrapped, .. } => wrapped.downcast_ref(),
            candle_core::Error::Context { inner, .. }
            | candle_core::Error::WithPath { inner, .. }
            | candle_core::Error::WithBacktrace { inner, .. } => Self::of(inner),
            _ => None,
        }
    }
}

/// As the message, which is what candle prints of an error in its own.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            // Of the ways to wrap an error, the one that lets it be taken out again.
            error => match Err::<std::convert::Infallible, _>(error).context("lanestep") {
                Err(error) => error,
                Ok(never) => match never {},
            },
        }
    }
}
