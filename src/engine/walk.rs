//! The loops.

use super::Level;
use super::fold::Sums;
use super::level::Pass;
use crate::Formula;
use crate::lane::{Vector, Wide};
use crate::store::{Rest, Tile};
use core::mem::take;

/// Parallel slices of one length.
pub(super) struct Streams<'a, const S: usize, T = f32> {
    pub(super) params: &'a mut [f32],
    pub(super) grads: &'a [f32],
    pub(super) state: [&'a mut [T]; S],
}

/// The same, that are only read.
pub(super) struct Read<'a, const S: usize, T = f32> {
    pub(super) params: &'a [T],
    pub(super) grads: &'a [T],
    pub(super) state: [&'a [T]; S],
}

impl<'a, const S: usize> Read<'a, S> {
    /// At an element, or at the end if there are fewer.
    pub(super) fn split_at(self, mid: usize) -> (Self, Self) {
        let mid = mid.min(self.params.len());
        let (params, grads) = (self.params.split_at(mid), self.grads.split_at(mid));
        let state = self.state.map(|slot| slot.split_at(mid));
        (
            Self { params: params.0, grads: grads.0, state: state.map(|slot| slot.0) },
            Self { params: params.1, grads: grads.1, state: state.map(|slot| slot.1) },
        )
    }
}

/// Applies the formula to every element, sixteen at a time in the level's vectors, and the tail one at a time.
#[inline(never)] // so that each formula's loops are compiled once
pub(super) fn walk<F: Formula<S>, const S: usize, T: Rest>(
    level: Level,
    formula: &F,
    mut streams: Streams<'_, S, T>,
) {
    level.pass(Walk { formula, streams: &mut streams });
}

/// Adds the squares of what the formula [measures](Formula::measure) and of the parameters, both from lane 0 on, and
/// writes nothing.
#[inline(always)]
pub(super) fn survey<F: Formula<S>, const S: usize>(
    level: Level,
    formula: &F,
    read: Read<'_, S>,
    sums: &mut [Sums; 2],
) {
    level.pass(Survey { formula, read, sums });
}

/// The same of elements of which the first is in another lane, and which end with the last lane at most.
pub(super) fn survey_rest<F: Formula<S>, const S: usize>(
    formula: &F,
    lane: usize,
    read: Read<'_, S>,
    sums: &mut [Sums; 2],
) {
    survey_tiles::<f32, F, S>((), formula, read, |k, found, p| {
        sums[0].add_square(lane + k, *found);
        sums[1].add_square(lane + k, *p);
    });
}

struct Walk<'a, 'b, F, const S: usize, T> {
    formula: &'a F,
    /// By reference: what has just been written is read again slowly if it is by other pieces.
    streams: &'a mut Streams<'b, S, T>,
}

impl<F: Formula<S>, const S: usize, T: Rest> Pass for Walk<'_, '_, F, S, T> {
    #[inline(always)]
    fn run<V: Wide>(self, proof: V::Proof) {
        let (whole, tail) = tiles(self.streams);
        walk_tiles::<V, F, S, _>(proof, self.formula, whole);
        walk_tiles::<f32, F, S, _>((), self.formula, tail);
    }
}

struct Survey<'a, F, const S: usize> {
    formula: &'a F,
    read: Read<'a, S>,
    sums: &'a mut [Sums; 2],
}

impl<F: Formula<S>, const S: usize> Pass for Survey<'_, F, S> {
    #[inline(always)]
    fn run<V: Wide>(self, proof: V::Proof) {
        let Read { params, grads, state } = self.read;
        let ((params, params_tail), (grads, grads_tail)) = (params.as_chunks(), grads.as_chunks());
        let state = state.map(|slot| slot.as_chunks());
        let whole = Read { params, grads, state: state.map(|(whole, _)| whole) };
        let tail = Read { params: params_tail, grads: grads_tail, state: state.map(|(_, tail)| tail) };
        // In registers, so the compiler must see that nothing else is touched.
        let mut sums = *self.sums;
        survey_tiles::<V, F, S>(proof, self.formula, whole, |_, found, p| {
            for k in 0..16 {
                sums[0].add_square(k, found[k]);
                sums[1].add_square(k, p[k]);
            }
        });
        survey_tiles::<f32, F, S>((), self.formula, tail, |k, found, p| {
            sums[0].add_square(k, *found);
            sums[1].add_square(k, *p);
        });
        *self.sums = sums;
    }
}

/// Slices of tiles, or of single numbers.
type Tiles<'a, const S: usize, P, T> = (&'a mut [P], &'a [P], [&'a mut [T]; S]);
/// Of whole tiles, and of the rest.
type Both<'a, const S: usize, T> = (Tiles<'a, S, [f32; 16], [T; 16]>, Tiles<'a, S, f32, T>);

#[inline(always)]
fn tiles<'a, const S: usize, T>(streams: &'a mut Streams<'_, S, T>) -> Both<'a, S, T> {
    let (params, params_tail) = streams.params.as_chunks_mut();
    let (grads, grads_tail) = streams.grads.as_chunks();
    let mut halves = streams.state.each_mut().map(|slot| slot.as_chunks_mut());
    let state_tail = halves.each_mut().map(|(_, tail)| take(tail));
    let state = halves.map(|(whole, _)| whole);
    ((params, grads, state), (params_tail, grads_tail, state_tail))
}

/// Body and tail are this one function, at two widths.
#[inline(always)]
fn walk_tiles<V: Vector, F: Formula<S>, const S: usize, T: Tile<V>>(
    proof: V::Proof,
    formula: &F,
    (params, grads, state): Tiles<'_, S, V::Tile, T>,
) {
    let formula = *formula;
    let len = params.len();
    // One length that the compiler can see, so that no access in the loop is checked.
    let grads = &grads[..len];
    let state = state.map(|slot| &mut slot[..len]);
    for i in 0..len {
        let p = V::load(proof, &params[i]);
        let g = V::load(proof, &grads[i]);
        let mut s = [p; S];
        for k in 0..S {
            s[k] = T::load(proof, &state[k][i]);
        }
        let (p, s) = formula.update(p, g, s);
        p.store(&mut params[i]);
        for k in 0..S {
            let s = if F::NORMAL[k] { s[k] } else { s[k].flush() };
            T::store(s, &mut state[k][i]);
        }
    }
}

#[inline(always)]
fn survey_tiles<V: Vector, F: Formula<S>, const S: usize>(
    proof: V::Proof,
    formula: &F,
    Read { params, grads, state }: Read<'_, S, V::Tile>,
    mut add: impl FnMut(usize, &V::Tile, &V::Tile),
) {
    let formula = *formula;
    let len = params.len();
    let (params, grads) = (&params[..len], &grads[..len]);
    let state = state.map(|slot| &slot[..len]);
    for i in 0..len {
        let p = V::load(proof, &params[i]);
        let g = V::load(proof, &grads[i]);
        let mut s = [p; S];
        for k in 0..S {
            s[k] = V::load(proof, &state[k][i]);
        }
        let mut found = V::Tile::default();
        formula.measure(p, g, s).store(&mut found);
        add(i, &found, &params[i]);
    }
}
