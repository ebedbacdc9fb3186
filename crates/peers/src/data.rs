//! The numbers that all peers begin with, and where they lie.

use anyhow::Result;
use lanestep::Buffer;
use std::ops::{Deref, DerefMut};

const PAGE: usize = 4096;

/// Parameters and gradients, tensor by tensor.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) params: Vec<Vec<f32>>,
    pub(crate) grads: Vec<Vec<f32>>,
}

impl Numbers {
    /// Parameters within 0.5 of zero, gradients of several magnitudes: the same ones for the same lengths.
    pub(crate) fn draw(lens: &[usize]) -> Self {
        let rng = &mut fastrand::Rng::with_seed(7);
        let sizes = [1.0, 1e-1, 1e-2, 1e-4];
        let params = lens.iter().map(|&len| (0..len).map(|_| rng.f32() - 0.5).collect()).collect();
        let mut grad = || (rng.f32() - 0.5) * sizes[rng.usize(..4)];
        let grads = lens.iter().map(|&len| (0..len).map(|_| grad()).collect()).collect();
        Self { params, grads }
    }

    pub(crate) fn lens(&self) -> impl Iterator<Item = usize> {
        self.params.iter().map(Vec::len)
    }
}

/// Numbers that begin at a random cache line of a page, as where an allocator puts them is luck that a peer should
/// neither profit nor suffer from in all rounds.
pub(crate) struct Placed<T> {
    memory: Box<dyn DerefMut<Target = [T]>>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default + 'static> Placed<T> {
    pub(crate) fn at_random(numbers: impl ExactSizeIterator<Item = T>) -> Self {
        Self::at(fastrand::usize(..PAGE / 64) * 64, numbers)
    }

    /// At `offset` bytes in a page.
    pub(crate) fn at(offset: usize, numbers: impl ExactSizeIterator<Item = T>) -> Self {
        let (len, size) = (numbers.len(), size_of::<T>());
        let mut memory: Vec<T> = Vec::with_capacity(len + PAGE / size);
        let start = (PAGE + offset - memory.as_ptr().addr() % PAGE) % PAGE / size;
        memory.resize(start, T::default());
        memory.extend(numbers);
        Self { memory: Box::new(memory), start, len }
    }

    /// As many zeros, written one by one: pages that were never touched would all be one page.
    pub(crate) fn zeros(len: usize) -> Self {
        Self::at_random((0..len).map(|_| T::default()))
    }
}

impl Placed<f32> {
    /// At `offset` bytes in a page, which is a huge one where the system has them and the numbers are many.
    pub(crate) fn huge(offset: usize, numbers: &[f32]) -> Result<Self> {
        let mut memory = Buffer::zeroed(numbers.len() + PAGE / 4)?;
        let start = (PAGE + offset - memory.as_ptr().addr() % PAGE) % PAGE / 4;
        memory[start..][..numbers.len()].copy_from_slice(numbers);
        Ok(Self { memory: Box::new(memory), start, len: numbers.len() })
    }
}

impl<T> Deref for Placed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..][..self.len]
    }
}

impl<T> DerefMut for Placed<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..][..self.len]
    }
}

/// Each tensor on memory of its own, converted.
pub(crate) fn placed<T: Copy + Default + 'static>(
    tensors: &[Vec<f32>],
    from: fn(f32) -> T,
) -> Vec<Placed<T>> {
    tensors.iter().map(|tensor| Placed::at_random(tensor.iter().map(|&x| from(x)))).collect()
}

/// All a loop of one's own needs: parameters, gradients and two moments.
pub(crate) struct Streams {
    pub(crate) params: Vec<Placed<f32>>,
    pub(crate) grads: Vec<Placed<f32>>,
    pub(crate) m: Vec<Placed<f32>>,
    pub(crate) v: Vec<Placed<f32>>,
}

impl Streams {
    pub(crate) fn new(numbers: &Numbers) -> Self {
        let zeros = || numbers.lens().map(Placed::zeros).collect();
        let [params, grads] = [&numbers.params, &numbers.grads].map(|tensors| placed(tensors, |x| x));
        Self { params, grads, m: zeros(), v: zeros() }
    }

    /// Tensor by tensor: parameters, gradients, moments.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (&mut [f32], &[f32], &mut [f32], &mut [f32])> {
        let moments = self.m.iter_mut().zip(&mut self.v);
        let tensors = self.params.iter_mut().zip(&self.grads).zip(moments);
        tensors.map(|((p, g), (m, v))| (&mut **p, &**g, &mut **m, &mut **v))
    }
}

pub(crate) fn scale(tensors: &mut [Placed<f32>], factor: f32) {
    tensors.iter_mut().flat_map(|tensor| tensor.iter_mut()).for_each(|x| *x *= factor);
}

/// Tensor after tensor.
pub(crate) fn concat(tensors: &[Placed<f32>]) -> Vec<f32> {
    tensors.iter().flat_map(|tensor| tensor.iter().copied()).collect()
}
