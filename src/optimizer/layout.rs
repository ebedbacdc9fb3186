//! Names for ranges of the flat vector.

use crate::Error;
use core::ops::Range;

/// Named tensors laid end to end.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{AdamW, Group, Layout, Optimizer};
/// let layout = Layout::new([("embed", 1000), ("norm.weight", 10), ("norm.bias", 10), ("head", 1000)])?;
/// let decays = |name: &str| !name.starts_with("norm");
/// let adamw = AdamW::default();
/// let optimizer = Optimizer::with_groups(
///     [
///         Group::over(adamw, layout.select(decays)),
///         Group::over(AdamW { weight_decay: 0.0, ..adamw }, layout.select(|name| !decays(name))),
///     ],
///     layout.len(),
/// )?;
/// assert_eq!(layout.range("norm.bias"), Some(1010..1020));
/// # Ok(()) }
/// ```
///
/// It has no `serde`, as it is the model's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<(String, Range<usize>)>,
}

impl Layout {
    /// From names and numbers of elements, in order.
    ///
    /// # Errors
    /// [`Error::Name`] if two have one name, [`Error::TooManyElements`] if there are more than addresses.
    pub fn new<N: Into<String>>(tensors: impl IntoIterator<Item = (N, usize)>) -> Result<Self, Error> {
        let (mut layout, mut names, mut start) = (Self::default(), std::collections::HashSet::new(), 0_usize);
        for (name, len) in tensors {
            let name = name.into();
            if !names.insert(name.clone()) {
                return Err(Error::Name { what: "tensors", name });
            }
            let end = start.checked_add(len).ok_or(Error::TooManyElements { allowed: usize::MAX })?;
            layout.tensors.push((name, start..end));
            start = end;
        }
        Ok(layout)
    }

    /// Where a tensor is.
    #[must_use]
    pub fn range(&self, name: &str) -> Option<Range<usize>> {
        self.iter().find(|(of, _)| *of == name).map(|(_, range)| range)
    }

    /// Where the tensors are whose name is wanted, without those that have no elements.
    pub fn select(&self, mut wanted: impl FnMut(&str) -> bool) -> Vec<Range<usize>> {
        self.iter()
            .filter(|(name, range)| wanted(name) && !range.is_empty())
            .map(|(_, range)| range)
            .collect()
    }

    /// The name of the tensor that holds an element, and its place there: what a
    /// [`first_non_finite`](crate::Gradients::first_non_finite) means.
    ///
    /// ```
    /// let layout = lanestep::Layout::new([("weight", 6), ("none", 0), ("bias", 2)]).unwrap();
    /// assert_eq!([5, 6, 8].map(|place| layout.at(place)), [Some(("weight", 5)), Some(("bias", 0)), None]);
    /// ```
    #[must_use]
    pub fn at(&self, place: usize) -> Option<(&str, usize)> {
        let tensor = self.tensors.partition_point(|(_, range)| range.end <= place);
        self.tensors.get(tensor).map(|(name, range)| (&**name, place - range.start))
    }

    /// All names and ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.tensors.iter().map(|(name, range)| (&**name, range.clone()))
    }

    /// How many elements there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |(_, range)| range.end)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
