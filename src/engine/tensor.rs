//! Many slices in one call.

use crate::Element;
use crate::buffer::PAGE;
use crate::store::{Code, Source, Stream};
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
    /// A copy of the parameters in another format.
    pub(super) mirror: Option<Stream<'a>>,
    pub(crate) name: Option<&'a str>,
}

#[derive(Debug)]
pub(super) enum Grads<'a> {
    Keep(Source<'a>),
    Zero(Stream<'a>),
    /// There are none.
    Idle,
}

impl<'a> Tensor<'a> {
    /// Gradients that are only read. A step checks that there are as many as parameters. Each of the two may be of any
    /// [`Element`].
    #[must_use]
    pub fn new<P: Element, G: Element>(params: &'a mut [P], grads: &'a [G]) -> Self {
        Self { params: Stream::of(params), grads: Grads::Keep(Source::of(grads)), ..Self::default() }
    }

    /// Gradients that are set to zero in the same pass, also by a step that is skipped, but not by one that fails.
    #[must_use]
    pub fn zeroing<P: Element, G: Element>(params: &'a mut [P], grads: &'a mut [G]) -> Self {
        Self { params: Stream::of(params), grads: Grads::Zero(Stream::of(grads)), ..Self::default() }
    }

    /// Parameters alone, where no gradients are asked for.
    ///
    /// A step leaves them alone, as it does those of a frozen group, for what no gradient has come to this time. Their state stays too
    /// (but what shares a block of [`Format::Block8`](crate::Format::Block8) with others may be rounded again with it). Their
    /// group's step count goes on.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{AdamW, Optimizer, Pipeline, Tensor};
    /// let (mut used, mut unused) = ([1.0; 6], [1.0; 2]);
    /// let mut optimizer = Optimizer::new(AdamW::default(), 8)?;
    /// let tensors = &mut [Tensor::new(&mut used, &[0.5; 6]), Tensor::of(&mut unused)];
    /// optimizer.step_with(tensors, &Pipeline::default())?;
    /// assert!(used[0] < 1.0 && unused == [1.0; 2]); // which not even decay has touched
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn of<P: Element>(params: &'a mut [P]) -> Self {
        Self { params: Stream::of(params), grads: Grads::Idle, ..Self::default() }
    }

    /// The same with a copy of the parameters, which is written in the same pass: rounded to the nearest number that it can hold,
    /// whatever the parameters are rounded to. That of parameters that are not stepped is not written: in a frozen group, or where
    /// a step is skipped. A step checks that it is as long as they are.
    ///
    /// ```
    /// # #[cfg(feature = "half")]
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use half::bf16;
    /// use lanestep::{AdamW, Optimizer, Pipeline, Tensor};
    /// let (mut params, mut copy) = ([1.0; 3], [bf16::ZERO; 3]); // the copy goes back to the device
    /// let mut optimizer = Optimizer::new(AdamW::default(), 3)?;
    /// let tensor = Tensor::new(&mut params, &[0.5; 3]).mirrored(&mut copy);
    /// optimizer.step_with(&mut [tensor], &Pipeline::default())?;
    /// assert_eq!(copy, params.map(bf16::from_f32));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "half"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn mirrored<M: Element>(self, copy: &'a mut [M]) -> Self {
        Self { mirror: Some(Stream::of(copy)), ..self }
    }

    /// The same with a name, which must then be that of its place in the optimizer's [`Layout`](crate::Layout). It says
    /// nothing to an optimizer that was made without one.
    #[must_use]
    pub fn named(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// How many parameters and how many gradients.
    pub(crate) const fn lens(&self) -> (usize, usize) {
        (self.params.as_source().len(), self.grads().len())
    }

    /// Whether a step leaves it alone.
    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self.grads, Grads::Idle)
    }

    /// Of its copy, if it has one.
    pub(crate) fn mirror_len(&self) -> Option<usize> {
        self.mirror.as_ref().map(|mirror| mirror.as_source().len())
    }

    /// Whether all are as they are computed with, and nothing else is written.
    pub(super) fn is_plain(&self) -> bool {
        self.mirror.is_none() && self.params.code == Code::F32 && self.grads().code == Code::F32
    }

    pub(crate) const fn params(&self) -> Source<'_> {
        self.params.as_source()
    }

    pub(crate) const fn params_mut(&mut self) -> Stream<'_> {
        self.params.borrow()
    }

    /// Where in their pages parameters and gradients begin.
    pub(crate) fn offsets(&self) -> [usize; 2] {
        [self.params.as_source(), self.grads()].map(|numbers| numbers.bytes.as_ptr().addr() % PAGE)
    }

    /// Gradients that are only to be measured have no parameters.
    pub(super) const fn len(&self) -> usize {
        match &self.grads {
            Grads::Idle => self.params().len(),
            _ => self.grads().len(),
        }
    }

    pub(crate) const fn grads(&self) -> Source<'_> {
        self.grads.as_source()
    }

    pub(crate) fn zero(&mut self) {
        if let Grads::Zero(grads) = &mut self.grads {
            grads.bytes.fill(0);
        }
    }

    /// Its parameters, gradients and copy.
    pub(super) fn parts(&mut self) -> (Stream<'_>, Source<'_>, Option<Stream<'_>>) {
        let grads = self.grads.as_source();
        (self.params.borrow(), grads, self.mirror.as_mut().map(Stream::borrow))
    }

    pub(super) fn borrow(&mut self) -> Tensor<'_> {
        let grads = match &mut self.grads {
            Grads::Keep(grads) => Grads::Keep(*grads),
            Grads::Zero(grads) => Grads::Zero(grads.borrow()),
            Grads::Idle => Grads::Idle,
        };
        let mirror = self.mirror.as_mut().map(Stream::borrow);
        Tensor { params: self.params.borrow(), grads, mirror, name: None }
    }

    pub(super) fn split_at(self, mid: usize) -> (Self, Self) {
        let (params, params_right) =
            if self.params.as_source().is_empty() { Default::default() } else { self.params.split_at(mid) };
        let (mirror, mirror_right) = self.mirror.map(|mirror| mirror.split_at(mid)).unzip();
        let (grads, grads_right) = match self.grads {
            Grads::Keep(grads) => {
                let (left, right) = grads.split_at(mid);
                (Grads::Keep(left), Grads::Keep(right))
            }
            Grads::Zero(grads) => {
                let (left, right) = grads.split_at(mid);
                (Grads::Zero(left), Grads::Zero(right))
            }
            Grads::Idle => (Grads::Idle, Grads::Idle),
        };
        let right = Self { params: params_right, grads: grads_right, mirror: mirror_right, name: None };
        (Self { params, grads, mirror, name: None }, right)
    }
}

impl Grads<'_> {
    const fn as_source(&self) -> Source<'_> {
        match self {
            Self::Keep(grads) => *grads,
            Self::Zero(grads) => grads.as_source(),
            Self::Idle => Source { code: Code::F32, bytes: &[] },
        }
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
