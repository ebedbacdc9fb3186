//! Names for ranges of the flat vector.

use crate::engine::LEAF;
use crate::{Error, Tensor};
use core::ops::Range;

/// Named tensors laid end to end, or just a number of parameters.
///
/// An optimizer that is made from one with names knows its tensors: each call must hand them over in this order, and what
/// has another length, or says that it has another [name](Tensor::named), is an error. One slice of all parameters will do as
/// well.
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
///     &layout,
/// )?;
/// assert_eq!(layout.range("norm.bias"), Some(1010..1020));
/// # Ok(()) }
/// ```
///
/// It has no `serde`, as it is the model's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Named>,
    /// How many elements all tensors have.
    whole: usize,
    /// Those of the [part](Self::part) that this is.
    part: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: String,
    range: Range<usize>,
    shape: Vec<usize>,
}

impl Layout {
    /// Where parameters may be cut into [parts](Self::part): at multiples of so many, which sums are made of.
    pub const LEAF: usize = LEAF;

    /// From names and numbers of elements, in order.
    ///
    /// # Errors
    /// [`Error::Name`] if two have one name, [`Error::TooManyElements`] if there are more than addresses.
    pub fn new<N: Into<String>>(tensors: impl IntoIterator<Item = (N, usize)>) -> Result<Self, Error> {
        Self::with_shapes(tensors.into_iter().map(|(name, len)| (name, [len])))
    }

    /// From names and shapes, in order. A step does not ask for shapes; files tell them to those who read tensors.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// let layout = lanestep::Layout::with_shapes([("weight", vec![10, 64]), ("bias", vec![10])])?;
    /// assert_eq!((layout.range("bias"), layout.shape("weight")), (Some(640..650), Some(&[10, 64][..])));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_shapes<N: Into<String>, S: Into<Vec<usize>>>(
        tensors: impl IntoIterator<Item = (N, S)>,
    ) -> Result<Self, Error> {
        let (mut layout, mut names) = (Self::default(), std::collections::HashSet::new());
        let too_many = Error::TooManyElements { allowed: usize::MAX };
        for (name, shape) in tensors {
            let (name, shape) = (name.into(), shape.into());
            if !names.insert(name.clone()) {
                return Err(Error::Name { what: "tensors", name });
            }
            let start = layout.whole;
            let len = shape.iter().try_fold(1_usize, |len, &size| len.checked_mul(size));
            layout.whole = len.and_then(|len| start.checked_add(len)).ok_or_else(|| too_many.clone())?;
            layout.tensors.push(Named { name, range: start..layout.whole, shape });
        }
        layout.part = 0..layout.whole;
        Ok(layout)
    }

    /// Some of these parameters, where others have the rest: an optimizer that is made for a part keeps their state alone.
    ///
    /// Places, the ranges of [`Group`](crate::Group)s, names and shapes are those of the whole, and so are the bits of what depends
    /// on a place. Numbers of elements are those of the part. To step over parts as over the whole there is
    /// [`in_parts`](crate::Optimizer::in_parts).
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{AdamW, Layout, Optimizer};
    /// let layout = Layout::new([("embed", 50_000), ("head", 50_000)])?;
    /// let part = layout.part(2 * Layout::LEAF..4 * Layout::LEAF)?;
    /// assert_eq!((part.len(), part.range("head")), (32_768, Some(50_000..100_000)));
    /// assert_eq!(Optimizer::new(AdamW::default(), part)?.state("exp_avg").unwrap().len(), 32_768);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Part`] if it does not lie within this one, or begins or ends elsewhere than at a multiple of
    /// [`LEAF`](Self::LEAF) or where this one does.
    pub fn part(&self, range: Range<usize>) -> Result<Self, Error> {
        self.check_part(&range)?;
        Ok(Self { part: range, ..self.clone() })
    }

    /// Where a tensor is.
    #[must_use]
    pub fn range(&self, name: &str) -> Option<Range<usize>> {
        self.iter().find(|(of, _)| *of == name).map(|(_, range)| range)
    }

    /// What the sizes of a tensor are; of one that was given with its number of elements, that alone.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.iter().find(|tensor| tensor.name == name).map(|tensor| &*tensor.shape)
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
        let tensor = self.tensors.partition_point(|tensor| tensor.range.end <= place);
        self.tensors.get(tensor).map(|Named { name, range, .. }| (&**name, place - range.start))
    }

    /// All names and ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.tensors.iter().map(|Named { name, range, .. }| (&**name, range.clone()))
    }

    /// How many elements there are in all, or in the [part](Self::part) that this is.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.part.end - self.part.start
    }

    /// The places of the elements: from 0, unless this is a [part](Self::part).
    #[must_use]
    pub const fn places(&self) -> Range<usize> {
        self.part.start..self.part.end
    }

    /// How many elements there are in all, whether this is a [part](Self::part) or not.
    #[must_use]
    pub const fn whole(&self) -> usize {
        self.whole
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether others have some of the parameters.
    pub(super) const fn is_part(&self) -> bool {
        self.len() < self.whole
    }

    /// Whether a range of places is one that this may be cut into.
    pub(super) fn check_part(&self, range: &Range<usize>) -> Result<(), Error> {
        let Range { start, end } = self.part;
        let cut = |place: usize| place.is_multiple_of(LEAF) || place == start || place == end;
        if start <= range.start
            && range.start <= range.end
            && range.end <= end
            && cut(range.start)
            && cut(range.end)
        {
            return Ok(());
        }
        Err(Error::Part { start: range.start, end: range.end, of: (start, end) })
    }

    /// What [`with_shapes`](Self::with_shapes) was given, with ranges.
    #[cfg(feature = "checkpoint")]
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&str, Range<usize>, &[usize])> {
        self.tensors.iter().map(|Named { name, range, shape }| (&**name, range.clone(), &**shape))
    }

    /// Another part of the same whole.
    #[cfg(feature = "checkpoint")]
    pub(super) fn with_places(self, part: Range<usize>) -> Self {
        Self { part, ..self }
    }

    #[cfg(feature = "checkpoint")]
    pub(super) const fn is_named(&self) -> bool {
        !self.tensors.is_empty()
    }

    /// The name of the tensor that holds an element.
    pub(super) fn name_at(&self, place: usize) -> Option<String> {
        self.at(place).map(|(name, _)| name.to_owned())
    }

    /// An error that says which group it is about.
    pub(super) fn in_group(&self, group: usize, first: Option<&Range<usize>>, error: Error) -> Error {
        let tensor = first.and_then(|range| self.name_at(range.start));
        Error::Group { group, tensor, error: Box::new(error) }
    }

    /// Whether there is a gradient for each parameter.
    pub(super) fn check_grads(&self, tensors: &[Tensor<'_>]) -> Result<(), Error> {
        for (index, tensor) in tensors.iter().enumerate() {
            let (params, grads) = tensor.lens();
            if params != grads && !tensor.is_idle() {
                return Err(Error::Tensor { index, name: self.name_of(index), params, grads });
            }
            if let Some(copy) = tensor.mirror_len().filter(|copy| *copy != params) {
                return Err(Error::Mirror { index, name: self.name_of(index), params, copy });
            }
        }
        Ok(())
    }

    /// What a tensor is named, if it is.
    pub(super) fn name_of(&self, index: usize) -> Option<String> {
        self.tensors.get(index).filter(|_| !self.is_part()).map(|of| of.name.clone())
    }

    /// Whether these are the tensors, or one slice of all.
    pub(super) fn check(&self, tensors: &[Tensor<'_>]) -> Result<(), Error> {
        self.check_all(tensors.iter().map(|tensor| (tensor.name, tensor.lens().0)))
    }

    /// The same of names, if they are known, and lengths.
    pub(super) fn check_all<'n>(
        &self,
        tensors: impl ExactSizeIterator<Item = (Option<&'n str>, usize)> + Clone,
    ) -> Result<(), Error> {
        let count = tensors.len();
        let all = tensors.clone().fold(0_usize, |all, (_, len)| all.saturating_add(len));
        let flat = count == 1 && all == self.len() && tensors.clone().all(|(name, _)| name.is_none());
        if self.tensors.is_empty() || flat || self.is_part() {
            return self.check_len("params", all);
        }
        for (index, ((of, found), Named { name, range, .. })) in tensors.zip(&self.tensors).enumerate() {
            let expected = range.len();
            if let Some(of) = of.filter(|of| of != name) {
                return Err(Error::TensorName { index, expected: name.clone(), found: of.to_owned() });
            }
            if found != expected {
                return Err(Error::TensorLength { index, name: name.clone(), expected, found });
            }
        }
        let (expected, found) = (self.tensors.len(), count);
        if found == expected { Ok(()) } else { Err(Error::TensorCount { expected, found }) }
    }

    /// Whether a slice of all parameters has their number.
    pub(super) fn check_len(&self, what: &'static str, found: usize) -> Result<(), Error> {
        let expected = self.len();
        if found == expected { Ok(()) } else { Err(Error::Length { what, expected, found }) }
    }
}

/// So many parameters, of no tensors in particular.
impl From<usize> for Layout {
    fn from(len: usize) -> Self {
        Self { tensors: vec![], whole: len, part: 0..len }
    }
}

impl From<&Self> for Layout {
    fn from(layout: &Self) -> Self {
        layout.clone()
    }
}
