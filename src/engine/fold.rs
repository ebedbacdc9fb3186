//! Sums over many elements, the same to the bit whatever the vectors, the threads, and the cut into tensors.

use super::codes::Codes;
use super::tree::{Part, listed, tree};
use super::visit::each_decoded;
use super::{Level, Parallelism, Run, Tensor};
use core::mem::take;

/// How many elements are added up in lanes before the partial sums are joined pair by pair.
pub(crate) const LEAF: usize = 1 << 14;

/// So few elements that what is done with them next finds them in the cache of the core.
pub(super) const BLOCK: usize = 1 << 12;

/// What one read of gradients tells of a leaf of their [sums](crate::Layout::LEAF), which other processes may want to know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Magnitude {
    /// The sum of squares, not scaled.
    pub squares: f64,
    /// The largest magnitude, not scaled; NaN if there is one.
    pub max_abs: f32,
    /// How many are not finite once scaled.
    pub non_finite: u64,
    /// The place of the first of these.
    pub first_non_finite: Option<usize>,
}

/// Gradients that are to be read, of which the first has the place `start`.
pub(crate) struct Measure<'a, 'b, F> {
    pub(crate) level: Level,
    pub(crate) parallelism: Parallelism,
    pub(crate) start: usize,
    pub(crate) tensors: &'a mut [Tensor<'b>],
    /// Which group elements are of. Those of none are frozen, and not read.
    pub(crate) run: F,
    /// What is larger counts as not finite.
    pub(crate) limit: f32,
}

impl<F: Fn(usize) -> Run + Sync> Measure<'_, '_, F> {
    /// All of them.
    pub(crate) fn all(self) -> Magnitude {
        self.tree(|magnitude| magnitude, Magnitude::join)
    }

    /// Those of each leaf.
    pub(crate) fn leaves(self) -> Vec<Magnitude> {
        self.tree(|magnitude| vec![magnitude], listed)
    }

    fn tree<T: Send>(self, of_leaf: fn(Magnitude) -> T, join: fn(T, T) -> T) -> T {
        let Self { level, parallelism, start, tensors, run, limit } = self;
        let leaf = |part: &mut Part<'_, '_, '_>| {
            let mut gradients = MagnitudeSums::new(limit);
            part.each_run(&run, |group, part| {
                if group.is_some() {
                    let mut start = part.start;
                    take(&mut part.span).for_each(|tensor| {
                        let mut at = start;
                        each_decoded(level, tensor.grads(), &[], |grads| {
                            gradients.add(level, at, grads);
                            at += grads.len();
                        });
                        start += tensor.len();
                    });
                }
            });
            of_leaf(gradients.total())
        };
        let part = &mut Part::new(start, tensors, &mut [], &Codes::PLAIN);
        // To read so many takes some 25 microseconds, as long as to wake the pool from outside.
        let worth_it = part.len / 8 > parallelism.grain();
        let parallelism = if worth_it { parallelism } else { Parallelism::Serial };
        tree(parallelism, part, &leaf, join)
    }
}

impl Magnitude {
    /// For [`tree`].
    pub(crate) fn join(self, right: Self) -> Self {
        Self {
            squares: self.squares + right.squares,
            max_abs: f32::from_bits(self.max_abs.to_bits().max(right.max_abs.to_bits())),
            non_finite: self.non_finite + right.non_finite,
            first_non_finite: self.first_non_finite.or(right.first_non_finite),
        }
    }
}

/// Sums of sixteen lanes: an element belongs to the lane of its place in the call.
#[derive(Clone, Copy)]
pub(crate) struct Sums(pub(crate) [f64; 16]);

impl Sums {
    pub(crate) const NONE: Self = Self([0.0; 16]);

    #[inline(always)]
    pub(super) fn add_square(&mut self, k: usize, x: f32) {
        self.0[k] += f64::from(x) * f64::from(x);
    }

    /// Halves upon halves.
    pub(super) fn total(mut self) -> f64 {
        for half in [8, 4, 2, 1] {
            for k in 0..half {
                self.0[k] += self.0[k + half];
            }
        }
        self.0[0]
    }
}

struct MagnitudeSums {
    squares: Sums,
    /// As bits, whose order is that of magnitudes, NaN above all.
    max: [u32; 16],
    limit: u32,
    non_finite: u64,
    first_non_finite: Option<usize>,
}

const MAGNITUDE: u32 = !(1 << 31);

impl MagnitudeSums {
    fn new(limit: f32) -> Self {
        let (limit, non_finite) = (limit.to_bits(), 0);
        Self { squares: Sums::NONE, max: [0; 16], limit, non_finite, first_non_finite: None }
    }

    /// Adds consecutive elements, of which the first is the `start`th of the call.
    fn add(&mut self, level: Level, start: usize, grads: &[f32]) {
        let (lane, head, tiles, tail) = in_lanes(start, grads);
        (lane..).zip(head).for_each(|(k, g)| self.add_one(k, *g));
        level.run(
            #[inline(always)]
            || self.add_tiles(tiles),
        );
        (0..).zip(tail).for_each(|(k, g)| self.add_one(k, *g));
        if self.max.iter().any(|&max| max > self.limit) {
            let beyond = |g: &f32| g.to_bits() & MAGNITUDE > self.limit;
            self.non_finite += grads.iter().filter(|g| beyond(g)).count() as u64;
            let first = grads.iter().position(beyond).map(|i| start + i);
            self.first_non_finite = self.first_non_finite.or(first);
        }
    }

    fn add_one(&mut self, k: usize, g: f32) {
        self.squares.add_square(k, g);
        self.max[k] = self.max[k].max(g.to_bits() & MAGNITUDE);
    }

    /// In registers, so the compiler must see that nothing else is touched.
    #[inline(always)]
    fn add_tiles(&mut self, tiles: &[[f32; 16]]) {
        let (mut squares, mut max) = (self.squares.0, self.max);
        for tile in tiles {
            for k in 0..16 {
                squares[k] += f64::from(tile[k]) * f64::from(tile[k]);
                max[k] = max[k].max(tile[k].to_bits() & MAGNITUDE);
            }
        }
        (self.squares.0, self.max) = (squares, max);
    }

    fn total(self) -> Magnitude {
        let max = self.max.into_iter().fold(0, u32::max);
        Magnitude {
            squares: self.squares.total(),
            max_abs: f32::from_bits(max),
            non_finite: self.non_finite,
            first_non_finite: self.first_non_finite,
        }
    }
}

/// How far parameters have moved, and how large they are now.
pub(super) struct ChangeSums {
    sums: [Sums; 2],
    before: [f32; BLOCK],
}

impl ChangeSums {
    /// What `add` adds up.
    #[inline(never)] // keeps a block off the stack of a step that measures nothing
    pub(super) fn of(add: impl FnOnce(&mut Self)) -> [f64; 2] {
        let mut changes = Self { sums: [Sums::NONE; 2], before: [0.0; BLOCK] };
        add(&mut changes);
        changes.sums.map(Sums::total)
    }

    /// Remembers a block of parameters as they are.
    pub(super) fn before(&mut self, params: &[f32]) {
        self.before[..params.len()].copy_from_slice(params);
    }

    /// Adds the block as it is now, of which the first is the `start`th element of the call.
    pub(super) fn after(&mut self, level: Level, start: usize, params: &[f32]) {
        let mut sums = self.sums;
        let (lane, head_before, tiles_before, tail_before) = in_lanes(start, &self.before[..params.len()]);
        let (_, head, tiles, tail) = in_lanes(start, params);
        (lane..).zip(head_before.iter().zip(head)).for_each(|(k, (a, b))| add_change(&mut sums, k, *a, *b));
        level.run(
            #[inline(always)]
            || {
                // In registers, so the compiler must see that nothing else is touched.
                let mut in_registers = sums;
                for (before, after) in tiles_before.iter().zip(tiles) {
                    for k in 0..16 {
                        add_change(&mut in_registers, k, before[k], after[k]);
                    }
                }
                sums = in_registers;
            },
        );
        (0..).zip(tail_before.iter().zip(tail)).for_each(|(k, (a, b))| add_change(&mut sums, k, *a, *b));
        self.sums = sums;
    }
}

#[inline(always)]
fn add_change([moved, size]: &mut [Sums; 2], k: usize, before: f32, after: f32) {
    let (before, after) = (f64::from(before), f64::from(after));
    moved.0[k] += (after - before) * (after - before);
    size.0[k] += after * after;
}

/// For [`tree`].
pub(crate) fn join(left: [f64; 2], right: [f64; 2]) -> [f64; 2] {
    [left[0] + right[0], left[1] + right[1]]
}

/// Elements of which the first is the `start`th of the call: the lane of the first, those before a whole tile, whole
/// tiles, and those after, which begin again at lane 0.
fn in_lanes(start: usize, x: &[f32]) -> (usize, &[f32], &[[f32; 16]], &[f32]) {
    let (head, whole) = x.split_at(x.len().min(start.wrapping_neg() % 16));
    let (tiles, tail) = whole.as_chunks();
    (start % 16, head, tiles, tail)
}
