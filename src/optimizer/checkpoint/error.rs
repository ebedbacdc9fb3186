//! What can go wrong with files.

use super::tensors::EXTRA;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a checkpoint, or why it could not be written. What was on disk, and what was in memory, is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or replaced: there is no such folder, no permission, no room on the disk.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was opened could not be read, or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file ends too early, or goes on behind its end.
    #[error("the file has {found} bytes, but must have {expected}")]
    FileLength {
        /// The length that its header tells.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// The header is longer than safetensors allows.
    #[error("the header has {found} bytes, but that of a safetensors file may have {allowed}")]
    HeaderLength {
        /// The longest that there may be.
        allowed: u64,
        /// What the file says.
        found: u64,
    },
    /// The header is none of a safetensors file.
    #[error("not the header of a safetensors file: {reason}")]
    Header {
        /// Why.
        reason: String,
    },
    /// A safetensors file, but nobody has written into its metadata what a checkpoint must say.
    #[error("the metadata has no key \"lanestep\": it is no checkpoint")]
    NoRecord,
    /// A checkpoint of another version of the format.
    #[error("a checkpoint of version {found}, but none after version {known} can be read")]
    Version {
        /// The newest version that can be read.
        known: u64,
        /// The file's.
        found: u64,
    },
    /// What the metadata says cannot be understood.
    #[error("the metadata's \"lanestep\" is not what it must be: {reason}")]
    Record {
        /// Why.
        reason: String,
    },
    /// A group has a rule that this optimizer cannot have.
    #[error("group {group} has the rule {found:?}, but must have {expected:?}")]
    Rule {
        /// Which group, from 0.
        group: usize,
        /// The name of the optimizer's rule.
        expected: &'static str,
        /// The file's.
        found: String,
    },
    /// The options of a group's rule cannot be understood.
    #[error("the options of group {group}: {reason}")]
    Options {
        /// Which group, from 0.
        group: usize,
        /// Why.
        reason: String,
    },
    /// No file was given.
    #[error("there is no file to read from")]
    NoFile,
    /// Files are not of one optimizer after one step.
    #[error("file {index} of the list is of another step or another optimizer than the first")]
    Apart {
        /// Which file, from 0.
        index: usize,
    },
    /// No file has some of the parameters.
    #[error("no file has the parameters {start}..{end}")]
    Hole {
        /// The first that is missing.
        start: usize,
        /// The next that is not.
        end: usize,
    },
    /// Two files have the same parameters.
    #[error("two files have the parameters {start}..{end}")]
    Twice {
        /// The first in both.
        start: usize,
        /// The next that is not.
        end: usize,
    },
    /// A tensor that must be there is not, or one that is asked for.
    #[error("there is no tensor {name:?}{}", hint(name))]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor that no part of the optimizer stands for.
    #[error("the tensor {name:?} belongs to nothing")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// Two tensors, or two checksums, have one name.
    #[error("{name:?} is there twice")]
    Doubled {
        /// The name.
        name: String,
    },
    /// The parameters of one tensor are of several formats.
    #[error(
        "the tensor {name:?} would have numbers of several types: a layout with names can tell them apart"
    )]
    Mixed {
        /// Its name.
        name: String,
    },
    /// A tensor has numbers of another kind.
    #[error("the tensor {name:?} has numbers of the type {found}, but must have {expected}")]
    Dtype {
        /// Its name.
        name: String,
        /// What it must have.
        expected: String,
        /// What it has.
        found: String,
    },
    /// A scale is none that a block can have.
    #[error("the tensor {name:?} has a number at {block} that is not the scale of a block")]
    Scale {
        /// Its name.
        name: String,
        /// Which of its numbers, from 0.
        block: usize,
    },
    /// A tensor has another shape.
    #[error("the tensor {name:?} has the shape {found:?}, but must have {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// What it must have.
        expected: Vec<usize>,
        /// What it has.
        found: Vec<usize>,
    },
    /// Bytes are not those that were written.
    #[error("{name:?} has the checksum {found:016x}, but must have {expected:016x}")]
    Checksum {
        /// The tensor, or `checksum`, which is that of the header.
        name: String,
        /// What was written.
        expected: u64,
        /// Of what is there.
        found: u64,
    },
    /// A tensor of steps does not say what the metadata says.
    #[error("the tensor {name:?} says {found} steps, but must say {expected}")]
    Steps {
        /// Its name.
        name: String,
        /// What the metadata says, as an `f32`.
        expected: f32,
        /// What the tensor says.
        found: f32,
    },
    /// What a trainer has added cannot be written, or is of another type.
    #[error("what was added to the checkpoint: {reason}")]
    Extra {
        /// Why.
        reason: String,
    },
    /// The parameters of the file are not those that are asked for, or its contents make no optimizer.
    #[error(transparent)]
    Optimizer(#[from] crate::Error),
}

fn hint(name: &str) -> &'static str {
    match name {
        EXTRA => ": was anything added when it was saved?",
        name if name.starts_with("model.") => ": were parameters saved with it?",
        _ => "",
    }
}

impl Error {
    /// With the file that it is about.
    pub(super) fn of(self, path: &Path) -> Self {
        match self {
            Self::Io(source) => Self::File { path: path.to_owned(), source },
            other => other,
        }
    }
}
