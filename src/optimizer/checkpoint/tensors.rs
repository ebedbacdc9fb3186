//! Which tensor of a file is which part of an optimizer.

use super::Error;
use crate::store::{Source, Stream};
use crate::{Format, Layout, Optimizer, Rule};
use core::ops::Range;
use safetensors::Dtype;

/// The name of the one tensor of parameters that have no names.
const PARAMS: &str = "params";
/// What a trainer has added.
pub(super) const EXTRA: &str = "extra";

/// What numbers of a format are in a file.
pub(super) const fn dtype(format: Format) -> Dtype {
    match format {
        Format::F32 => Dtype::F32,
        Format::Bf16 => Dtype::BF16,
        Format::F16 => Dtype::F16,
        Format::Block8 => Dtype::U8,
    }
}

/// The scales of the blocks of a slot.
pub(super) fn scales(slot: &str) -> String {
    format!("scales.{slot}")
}

/// A parameter of a file: a tensor of the layout, or all parameters.
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    pub(super) range: Range<usize>,
    pub(super) shape: Vec<usize>,
}

impl Parameter<'_> {
    pub(super) fn state(&self, slot: &str) -> String {
        format!("state.{}.{slot}", self.name)
    }

    pub(super) fn model(&self) -> String {
        format!("model.{}", self.name)
    }
}

impl Layout {
    /// All but what has no elements. What is cut has the shape of a vector.
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let places = self.places();
        let all = Parameter { name: PARAMS, range: places.clone(), shape: vec![self.len()] };
        let named = self.tensors().map(|(name, whole, shape)| {
            let range = whole.start.max(places.start)..whole.end.min(places.end);
            let shape = if range == whole { shape.to_owned() } else { vec![range.len()] };
            Parameter { name, range, shape }
        });
        let parameters = if self.is_named() { named.collect() } else { vec![all] };
        parameters.into_iter().filter(|parameter| !parameter.range.is_empty()).collect()
    }

    /// This layout, if it may stand where another is expected; names and shapes are of the one that has them.
    pub(super) fn in_place_of(&self, expected: Self) -> Result<Self, Error> {
        if !self.is_named() || !expected.is_named() {
            let (what, expected_len, found) = ("the checkpoint", expected.whole(), self.whole());
            if found != expected_len {
                return Err(crate::Error::Length { what, expected: expected_len, found }.into());
            }
            let places = expected.places();
            return Ok(if self.is_named() { self.clone().with_places(places) } else { expected });
        }
        let mut tensors = Vec::new();
        for (index, (found, expected)) in self.tensors().zip(expected.tensors()).enumerate() {
            let ((name, range, shape), (expected_name, expected_range, expected_shape)) = (found, expected);
            if name != expected_name {
                let (expected, found) = (expected_name.to_owned(), name.to_owned());
                return Err(crate::Error::TensorName { index, expected, found }.into());
            }
            let (name, expected, found) = (name.to_owned(), expected_range.len(), range.len());
            if found != expected {
                return Err(crate::Error::TensorLength { index, name, expected, found }.into());
            }
            let has_shape = |shape: &[usize]| shape != [expected];
            if has_shape(shape) && has_shape(expected_shape) && shape != expected_shape {
                let (expected, found) = (expected_shape.to_owned(), shape.to_owned());
                return Err(Error::Shape { name, expected, found });
            }
            tensors.push((name, if has_shape(expected_shape) { expected_shape } else { shape }));
        }
        let (count, found) = (expected.tensors().count(), self.tensors().count());
        if found != count {
            return Err(crate::Error::TensorCount { expected: count, found }.into());
        }
        Ok(Self::with_shapes(tensors)?.with_places(expected.places()))
    }
}

impl<R: Rule> Optimizer<R> {
    /// All that a file has of the optimizer for a parameter, and what it is called there.
    pub(super) fn tensors_of(&self, parameter: &Parameter<'_>) -> Vec<(String, Content)> {
        let parts = self.parts(&parameter.range);
        let has = |slot: &usize| parts.iter().any(|(_, group)| self.members[*group].slots.contains(slot));
        let slots = (0..self.state.len()).filter(has);
        let state = slots.map(|slot| (parameter.state(self.state[slot].name), Content::Slot(slot)));
        let average = self.ema.as_ref().filter(|ema| ema.begun);
        let average = average.map(|_| (format!("ema.{}", parameter.name), Content::Average));
        let lower = self.lower.as_ref().map(|_| (format!("lower.{}", parameter.name), Content::Lower));
        let steps = (parameter.state("step"), Content::Steps(self.members[parts[0].1].steps as f32));
        state.chain(average).chain(lower).chain([steps]).collect()
    }

    /// What a tensor's numbers are in a file.
    pub(super) fn dtype_of(&self, content: &Content) -> Dtype {
        match content {
            Content::Slot(slot) => dtype(self.state[*slot].format()),
            Content::Lower => Dtype::U16,
            Content::Average | Content::Steps(_) => Dtype::F32,
        }
    }

    /// The slots whose blocks have scales, which the file has in tensors of their own.
    pub(super) fn scaled(&self) -> Vec<usize> {
        (0..self.state.len()).filter(|slot| self.state[*slot].code.in_blocks()).collect()
    }
}

/// What a tensor of a file is.
pub(super) enum Content {
    /// A slot of state.
    Slot(usize),
    /// The average of the weights.
    Average,
    /// The lower halves of the parameters.
    Lower,
    /// How many steps the group of the first element has taken.
    Steps(f32),
}

impl Content {
    pub(super) fn shape<'a>(&self, parameter: &'a Parameter<'_>) -> &'a [usize] {
        if matches!(self, Self::Steps(_)) { &[] } else { &parameter.shape }
    }
}

/// Slices of any format, to be read or written.
pub(super) trait Slice: Default {
    fn len(&self) -> usize;
    fn split_at(self, mid: usize) -> (Self, Self);
}

impl Slice for Source<'_> {
    fn len(&self) -> usize {
        Source::len(self)
    }

    fn split_at(self, mid: usize) -> (Self, Self) {
        Source::split_at(self, mid)
    }
}

impl Slice for Stream<'_> {
    fn len(&self) -> usize {
        self.as_source().len()
    }

    fn split_at(self, mid: usize) -> (Self, Self) {
        Stream::split_at(self, mid)
    }
}

/// How many elements each has.
pub(super) fn lens(parameters: &[Parameter<'_>]) -> Vec<usize> {
    parameters.iter().map(|parameter| parameter.range.len()).collect()
}

/// Slices, cut into others that laid end to end have these lengths.
pub(super) fn cut<S: Slice>(
    slices: impl IntoIterator<Item = S>,
    lens: impl IntoIterator<Item = usize>,
) -> Vec<Vec<S>> {
    let mut slices = slices.into_iter();
    let (mut rest, mut all) = (S::default(), Vec::new());
    for len in lens {
        let (mut missing, mut pieces) = (len, Vec::new());
        while missing > 0 {
            if rest.len() == 0 {
                match slices.next() {
                    Some(slice) => rest = slice,
                    None => break,
                }
            }
            let here = missing.min(rest.len());
            let (piece, after) = rest.split_at(here);
            missing -= here;
            pieces.push(piece);
            rest = after;
        }
        all.push(pieces);
    }
    all
}
