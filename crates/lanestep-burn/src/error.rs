//! What can go wrong.

use burn::tensor::{DType, DataError};
use std::fmt;

/// Why a step was refused. Nothing has been written then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What lanestep refuses.
    #[error(transparent)]
    Lanestep(#[from] lanestep::Error),
    /// The layout has a parameter that is not in the module, or not in this place.
    #[error("the optimizer knows a parameter {path:?}, but the module has none there")]
    Missing {
        /// Its path.
        path: String,
    },
    /// There is a gradient for a parameter that is not in the layout.
    #[error("there is a gradient for {path:?}, but the optimizer does not know that parameter")]
    Unknown {
        /// Its path.
        path: String,
    },
    /// Parameters or gradients are in a format that lanestep does not have.
    #[error("{what} of {path:?} has the type {found:?}, but must have one of {allowed:?}")]
    DType {
        /// The parameter's path.
        path: String,
        /// Which of the two.
        what: &'static str,
        /// The formats that there are.
        allowed: Vec<DType>,
        /// Their format.
        found: DType,
    },
    /// A parameter has another shape than its gradient, than the layout's in its place, or than another of its id.
    #[error("{what} of {path:?} has the shape {found:?}, but must have {expected:?}")]
    Shape {
        /// The parameter's path.
        path: String,
        /// What has the wrong shape.
        what: &'static str,
        /// The right one.
        expected: Vec<usize>,
        /// Its own.
        found: Vec<usize>,
    },
    /// burn does not hand out its numbers as such.
    #[error("the numbers of {path:?} cannot be read: {error}")]
    Data {
        /// The parameter's path.
        path: String,
        /// What burn says.
        #[source]
        error: DataError,
    },
}

/// A module whose step was refused, as it was before.
///
/// Where the module is of no use any more, `?` makes an [`Error`] of it.
pub struct Refused<M> {
    /// The module.
    pub module: M,
    /// What was wrong.
    pub error: Error,
}

/// Without the module, which may be long.
impl<M> fmt::Debug for Refused<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<M> fmt::Display for Refused<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M> std::error::Error for Refused<M> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl<M> From<Refused<M>> for Error {
    fn from(refused: Refused<M>) -> Self {
        refused.error
    }
}
