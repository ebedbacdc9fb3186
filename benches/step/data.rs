//! What a step works on, laid out in several ways.

use lanestep::Buffer;
use std::ops::{Deref, DerefMut};

type Memory = Box<dyn DerefMut<Target = [f32]> + Send + Sync>;

/// Numbers that begin where an allocator puts them, or at an offset of a page.
pub(crate) struct Placed {
    memory: Memory,
    start: usize,
    len: usize,
}

const PAGE: usize = 4096;

impl Placed {
    pub(crate) fn new(numbers: &[f32], offset: Option<usize>) -> Self {
        let spare = if offset.is_some() { PAGE / 4 } else { 0 };
        Self::within(Box::new(vec![0.0; numbers.len() + spare]), numbers, offset)
    }

    /// In huge pages, if there are any and the numbers are many.
    fn huge(numbers: &[f32], offset: usize) -> Self {
        let memory = Buffer::zeroed(numbers.len() + PAGE / 4).expect("memory");
        Self::within(Box::new(memory), numbers, Some(offset))
    }

    fn within(memory: Memory, numbers: &[f32], offset: Option<usize>) -> Self {
        let start = offset.map_or(0, |offset| (PAGE + offset - memory.as_ptr().addr() % PAGE) % PAGE / 4);
        let mut placed = Self { memory, start, len: numbers.len() };
        placed.copy_from_slice(numbers);
        placed
    }
}

impl Deref for Placed {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.start..][..self.len]
    }
}

impl DerefMut for Placed {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.len]
    }
}

/// Where parameters, gradients and slots of state lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Layout {
    /// All where the allocator puts them.
    Vecs,
    /// Parameters and gradients so, and state apart from them and from itself.
    StateApart,
    /// The same with state in huge pages.
    StateHuge,
    /// All apart from each other and in huge pages.
    Huge,
    /// All apart from each other.
    Apart,
    /// All at the beginning of a page.
    Pages,
}

impl Layout {
    /// Those that a ceiling is the best of.
    pub(crate) const ALL: [Self; 6] =
        [Self::Vecs, Self::StateApart, Self::StateHuge, Self::Huge, Self::Apart, Self::Pages];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vecs => "vecs",
            Self::StateApart => "state-apart",
            Self::StateHuge => "state-huge",
            Self::Huge => "huge",
            Self::Apart => "apart",
            Self::Pages => "pages",
        }
    }

    /// Where in its page the `k`th array begins: parameters, gradients, then state.
    fn offset(self, k: usize) -> Option<usize> {
        match self {
            Self::Vecs => None,
            Self::StateApart | Self::StateHuge if k < 2 => None,
            Self::StateApart | Self::StateHuge | Self::Huge | Self::Apart => Some(512 * k % 4096),
            Self::Pages => Some(0),
        }
    }
}

pub(crate) struct Data {
    pub(crate) params: Placed,
    pub(crate) grads: Placed,
    pub(crate) state: Vec<Placed>,
}

impl Data {
    /// Parameters and gradients of a few sizes and both signs, no two neighbours alike; state of zeros.
    pub(crate) fn new(n: usize, slots: usize) -> Self {
        let rng = &mut fastrand::Rng::with_seed(n as u64);
        let params: Vec<f32> = (0..n).map(|_| rng.f32() - 0.5).collect();
        let sizes = [1.0, 1e-1, 1e-2, 1e-4];
        let grads: Vec<f32> = (0..n).map(|_| (rng.f32() - 0.5) * sizes[rng.usize(..4)]).collect();
        let zeros = vec![0.0; n];
        let [params, grads] = [params, grads].map(|numbers| Placed::new(&numbers, None));
        Self { params, grads, state: (0..slots).map(|_| Placed::new(&zeros, None)).collect() }
    }

    /// The same numbers elsewhere.
    pub(crate) fn laid_out(&self, layout: Layout) -> Self {
        let placed = |k: usize, numbers: &[f32]| match (layout.offset(k), layout) {
            (Some(offset), Layout::StateHuge | Layout::Huge) => Placed::huge(numbers, offset),
            (offset, _) => Placed::new(numbers, offset),
        };
        let state = (2..).zip(&self.state).map(|(k, slot)| placed(k, slot));
        Self { params: placed(0, &self.params), grads: placed(1, &self.grads), state: state.collect() }
    }
}
