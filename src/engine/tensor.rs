//! Many slices in one call.

use crate::Element;
use crate::buffer::PAGE;
use crate::store::{Source, Stream};
use core::mem::take;

/// Parameters with their gradients, as they are handed to a step.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{Optimizer, Pipeline, Sgd, Tensor};
/// let (mut weight, mut bias) = ([1.0; 6], [0.0; 2]);
/// let (weight_grad, mut bias_grad) = ([0.5; 6], [0.25; 2]);
/// let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 8)?;
/// let tensors =
///     &mut [Tensor::new(&mut weight, &weight_grad), Tensor::zeroing(&mut bias, &mut bias_grad)];
/// optimizer.step_with(tensors, &Pipeline::default())?;
/// assert_eq!((weight, bias, bias_grad), ([0.5; 6], [-0.25; 2], [0.0; 2]));
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Tensor<'a> {
    pub(super) params: Stream<'a>,
    pub(super) grads: Grads<'a>,
    pub(crate) name: Option<&'a str>,
}

#[derive(Debug)]
pub(super) enum Grads<'a> {
    Keep(Source<'a>),
    Zero(Stream<'a>),
}

impl<'a> Tensor<'a> {
    /// Gradients that are only read. A step checks that there are as many as parameters. Each of the two may be of any
    /// [`Element`].
    #[must_use]
    pub fn new<P: Element, G: Element>(params: &'a mut [P], grads: &'a [G]) -> Self {
        Self { params: P::stream(params), grads: Grads::Keep(G::source(grads)), name: None }
    }

    /// Gradients that are set to zero in the same pass, also by a step that is skipped, but not by one that fails.
    #[must_use]
    pub fn zeroing<P: Element, G: Element>(params: &'a mut [P], grads: &'a mut [G]) -> Self {
        Self { params: P::stream(params), grads: Grads::Zero(G::stream(grads)), name: None }
    }

    /// Parameters alone, where no gradients are asked for.
    #[must_use]
    pub fn of<P: Element>(params: &'a mut [P]) -> Self {
        Self { params: P::stream(params), ..Self::default() }
    }

    /// The same with a name, which must then be that of its place in the optimizer's [`Layout`](crate::Layout). It says
    /// nothing to an optimizer that was made without one.
    #[must_use]
    pub fn named(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// How many parameters and how many gradients.
    pub(crate) const fn lens(&self) -> (usize, usize) {
        (self.params.len(), self.grads().len())
    }

    #[cfg(feature = "checkpoint")]
    pub(crate) const fn params(&self) -> Source<'_> {
        self.params.as_source()
    }

    pub(crate) const fn params_mut(&mut self) -> Stream<'_> {
        self.params.borrow()
    }

    /// Where in their pages parameters and gradients begin.
    pub(crate) fn offsets(&self) -> [usize; 2] {
        [self.params.as_source(), self.grads()].map(|numbers| numbers.addr() % PAGE)
    }

    /// Gradients that are only to be measured have no parameters.
    pub(super) const fn len(&self) -> usize {
        self.grads().len()
    }

    pub(super) const fn grads(&self) -> Source<'_> {
        match &self.grads {
            Grads::Keep(grads) => *grads,
            Grads::Zero(grads) => grads.as_source(),
        }
    }

    pub(crate) fn zero(&mut self) {
        if let Grads::Zero(grads) = &mut self.grads {
            grads.clear();
        }
    }

    /// Its parameters and gradients.
    pub(super) const fn both(&mut self) -> (Stream<'_>, Source<'_>) {
        let grads = match &self.grads {
            Grads::Keep(grads) => *grads,
            Grads::Zero(grads) => grads.as_source(),
        };
        (self.params.borrow(), grads)
    }

    fn borrow(&mut self) -> Tensor<'_> {
        let grads = match &mut self.grads {
            Grads::Keep(grads) => Grads::Keep(*grads),
            Grads::Zero(grads) => Grads::Zero(grads.borrow()),
        };
        Tensor { params: self.params.borrow(), grads, name: None }
    }

    pub(super) fn split_at(self, mid: usize) -> (Self, Self) {
        let (params, params_right) =
            if self.params.is_empty() { Default::default() } else { self.params.split_at(mid) };
        let (grads, grads_right) = match self.grads {
            Grads::Keep(grads) => {
                let (left, right) = grads.split_at(mid);
                (Grads::Keep(left), Grads::Keep(right))
            }
            Grads::Zero(grads) => {
                let (left, right) = grads.split_at(mid);
                (Grads::Zero(left), Grads::Zero(right))
            }
        };
        let right = Self { params: params_right, grads: grads_right, name: None };
        (Self { params, grads, name: None }, right)
    }
}

impl Default for Grads<'_> {
    fn default() -> Self {
        Self::Keep(Source::default())
    }
}

/// Consecutive elements of a list of tensors: the end of one, whole ones, the beginning of another.
#[derive(Default)]
pub(super) struct Span<'a, 'b> {
    first: Tensor<'a>,
    whole: &'a mut [Tensor<'b>],
    last: Tensor<'a>,
}

impl<'a, 'b> Span<'a, 'b> {
    pub(super) fn new(tensors: &'a mut [Tensor<'b>]) -> Self {
        match tensors {
            [tensor] => Self { first: tensor.borrow(), ..Self::default() },
            whole => Self { whole, ..Self::default() },
        }
    }

    pub(super) fn borrow(&mut self) -> Span<'_, 'b> {
        Span { first: self.first.borrow(), whole: self.whole, last: self.last.borrow() }
    }

    /// The end of the tensor that holds the middle, or else the last one before it; `None` if there is but one tensor.
    pub(super) fn middle(&self, len: usize) -> Option<usize> {
        let (mut middle, mut end) = (None, 0);
        let tensors = [&self.first].into_iter().chain(&*self.whole).chain([&self.last]);
        for tensor in tensors {
            end += tensor.len();
            if end > 0 && end < len {
                middle = Some(end);
            }
            if end >= len / 2 {
                break;
            }
        }
        middle
    }

    /// Walks over the whole tensors, but not their elements.
    pub(super) fn split_at(self, mid: usize) -> (Self, Self) {
        let Self { first, whole, last } = self;
        let mut before = first.len();
        if mid <= before {
            let (first, right) = first.split_at(mid);
            return (Self { first, ..Self::default() }, Self { first: right, whole, last });
        }
        let holds_mid = |tensor: &Tensor<'_>| {
            let holds = mid < before + tensor.len();
            before += if holds { 0 } else { tensor.len() };
            holds
        };
        let left = whole.iter().position(holds_mid).unwrap_or(whole.len());
        let (whole, right) = whole.split_at_mut(left);
        match right.split_first_mut() {
            Some((tensor, right)) => {
                let (end, begin) = tensor.borrow().split_at(mid - before);
                (Self { first, whole, last: end }, Self { first: begin, whole: right, last })
            }
            None => {
                let (end, begin) = last.split_at(mid - before);
                (Self { first, whole, last: end }, Self { first: begin, ..Self::default() })
            }
        }
    }
}

/// The slices that are not empty, in order.
impl<'a> Iterator for Span<'a, '_> {
    type Item = Tensor<'a>;

    #[inline]
    fn next(&mut self) -> Option<Tensor<'a>> {
        let some = |tensor: &Tensor<'_>| tensor.len() > 0;
        if some(&self.first) {
            return Some(take(&mut self.first));
        }
        while let Some((tensor, rest)) = take(&mut self.whole).split_first_mut() {
            self.whole = rest;
            if some(tensor) {
                return Some(tensor.borrow());
            }
        }
        Some(take(&mut self.last)).filter(some)
    }
}
