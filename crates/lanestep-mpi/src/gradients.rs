//! The gradients of a rank's micro-batches, and what has been summed of them.

use crate::Error;
use crate::tree::Counter;
use std::ops::Range;

#[derive(Debug)]
pub(crate) struct Gradients {
    len: usize,
    batches: Range<usize>,
    /// The next one to come.
    next: usize,
    /// Those that are being filled.
    open: Option<Vec<f32>>,
    sums: Counter<Vec<f32>>,
    /// Buffers for others.
    spare: Vec<Vec<f32>>,
}

impl Gradients {
    /// So many numbers of each of these micro-batches.
    pub(crate) const fn new(len: usize, batches: Range<usize>) -> Self {
        let next = batches.start;
        Self { len, batches, next, open: None, sums: Counter::new(), spare: Vec::new() }
    }

    pub(crate) fn batches(&self) -> Range<usize> {
        self.batches.clone()
    }

    /// Zeros for the gradients of the next micro-batch. Those before are summed.
    pub(crate) fn begin(&mut self, batch: usize) -> Result<&mut [f32], Error> {
        if batch != self.next || batch >= self.batches.end {
            let expected = Some(self.next).filter(|next| *next < self.batches.end);
            return Err(Error::MicroBatch { expected, found: batch });
        }
        self.close();
        let mut buffer = self.spare.pop().unwrap_or_default();
        let memory = lanestep::Error::Memory { slots: 1, len: self.len };
        buffer.try_reserve_exact(self.len - buffer.len()).map_err(|_| memory)?;
        buffer.clear();
        buffer.resize(self.len, 0.0);
        self.next += 1;
        Ok(self.open.insert(buffer))
    }

    /// Forgets what there is, to begin anew.
    pub(crate) fn forget(&mut self) {
        let sums = self.take();
        self.recycle(sums);
    }

    fn close(&mut self) {
        if let Some(grads) = self.open.take() {
            let Self { next, sums, spare, .. } = self;
            sums.push_leaf(*next - 1, grads, |mut left, right| {
                add(&right, &mut left);
                spare.push(right);
                left
            });
        }
    }

    /// Whether all are there.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let next = self.next;
        if next < self.batches.end { Err(Error::Missing { next }) } else { Ok(()) }
    }

    /// The sums, from left to right, which are to be [given back](Self::recycle).
    pub(crate) fn take(&mut self) -> Vec<Vec<f32>> {
        self.close();
        self.next = self.batches.start;
        self.sums.drain().collect()
    }

    pub(crate) fn recycle(&mut self, buffers: Vec<Vec<f32>>) {
        self.spare.extend(buffers);
    }
}

/// Adds the right subtree to the left one.
pub(crate) fn add(right: &[f32], left: &mut [f32]) {
    lanestep::axpy(1.0, right, left).expect("1 is finite, and siblings are of one length");
}
