//! Whether what is written is anybody else's.

use crate::status::{Failure, LanestepStatus};
use std::fmt;

/// Memory that a call reads or writes.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    start: usize,
    end: usize,
    writes: bool,
    whose: Whose,
}

/// What lies in a region.
#[derive(Clone, Copy)]
pub(crate) enum Whose {
    Params(usize),
    Grads(usize),
    Mirror(usize),
    Name(usize),
    Masters,
}

impl Region {
    pub(crate) fn new<T>(pointer: *const T, bytes: usize, writes: bool, whose: Whose) -> Self {
        Self { start: pointer.addr(), end: pointer.addr() + bytes, writes, whose }
    }
}

/// Whether no byte that is written is in another region too. What is only read may be.
///
/// In order of where they begin, a region meets one before it if one before it ends behind its beginning, so it is enough to keep the
/// one that ends last. Regions come in order where a model lies in one piece, and are not sorted then.
pub(crate) fn check(mut regions: Vec<Region>) -> Result<(), Failure> {
    regions.retain(|region| region.start < region.end);
    if !regions.is_sorted_by_key(|region| region.start) {
        regions.sort_unstable_by_key(|region| region.start);
    }
    let (mut read, mut written): (Option<Region>, Option<Region>) = (None, None);
    for region in regions {
        let meets = |other: &Region| other.end > region.start;
        if let Some(other) = written.filter(meets).or(read.filter(|other| region.writes && meets(other))) {
            let message = format!("{} and {} overlap", other.whose, region.whose);
            return Err(Failure::new(LanestepStatus::Overlap, message));
        }
        let last = if region.writes { &mut written } else { &mut read };
        if last.is_none_or(|last| last.end < region.end) {
            *last = Some(region);
        }
    }
    Ok(())
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Params(tensor) => write!(f, "the parameters of tensor {tensor}"),
            Self::Grads(tensor) => write!(f, "the gradients of tensor {tensor}"),
            Self::Mirror(tensor) => write!(f, "the mirror of tensor {tensor}"),
            Self::Name(tensor) => write!(f, "the name of tensor {tensor}"),
            Self::Masters => f.write_str("the masters"),
        }
    }
}
