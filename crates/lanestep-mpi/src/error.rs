//! What can go wrong.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Why there is no sharded optimizer, or no step. Every rank returns an error then, and nothing has been written on any.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the optimizer refuses.
    #[error(transparent)]
    Optimizer(#[from] lanestep::Error),
    /// A part of a checkpoint cannot be written or read. Or what the optimizer is cannot be told to other ranks, as its rule has no form
    /// in texts.
    #[error(transparent)]
    Checkpoint(#[from] lanestep::checkpoint::Error),
    /// The list of a checkpoint's parts cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What should be the list of a checkpoint's parts is not.
    #[error("{}: no list of the parts of a checkpoint: {reason}", path.display())]
    Index {
        /// Where it is.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A number of micro-batches in a step that cannot be.
    #[error("a step takes the gradients of 1 to {allowed} micro-batches, but {found} were asked for")]
    MicroBatches {
        /// How many there may be.
        allowed: usize,
        /// How many were asked for.
        found: usize,
    },
    /// Not the parameters that this rank's optimizer must be for: of all, if it is to be made; of its range, if it is to step.
    #[error("a layout of the parameters {}..{} of {}, but it must be of {}..{} of {}",
        found.0.start, found.0.end, found.1, expected.0.start, expected.0.end, expected.1)]
    Layout {
        /// The places that it must have, and how many there are in all.
        expected: (Range<usize>, usize),
        /// Those that it has.
        found: (Range<usize>, usize),
    },
    /// Gradients of a micro-batch that is not the next of this rank.
    #[error("gradients of micro-batch {found}, but {}", next(*expected))]
    MicroBatch {
        /// The next one; `None` if all have been there.
        expected: Option<usize>,
        /// The one that was asked for.
        found: usize,
    },
    /// A step before the gradients of all micro-batches of this rank are there.
    #[error("a step, but the gradients of micro-batch {next} are still to come")]
    Missing {
        /// The next one.
        next: usize,
    },
    /// There are so many ranks that counts of what they exchange go beyond those of MPI.
    #[error("{ranks} ranks, with {roots} sums of gradients between them, are too many")]
    TooMany {
        /// How many ranks there are.
        ranks: usize,
        /// How many partial sums are exchanged.
        roots: usize,
    },
    /// What must be alike on all ranks is not.
    #[error("on rank {rank}, {what} is {found}, but {expected} on rank 0")]
    Unlike {
        /// The first rank that differs from rank 0.
        rank: usize,
        /// What differs, as a path in what rank 0 has.
        what: String,
        /// What it is on rank 0, in JSON.
        expected: String,
        /// What it is on that rank.
        found: String,
    },
    /// The first step begins with other parameters than on rank 0.
    #[error("the parameters of rank {rank} are not those of rank 0, as they must be before the first step")]
    Params {
        /// The first rank that differs from rank 0.
        rank: usize,
    },
    /// Another rank has found an error.
    #[error("on rank {rank}: {message}")]
    Elsewhere {
        /// The first such rank.
        rank: usize,
        /// Its error.
        message: String,
    },
}

fn next(expected: Option<usize>) -> String {
    expected.map_or_else(|| "all of this rank are there".to_owned(), |next| format!("{next} comes next"))
}
