//! The memory ceiling: the streams of a step with next to no arithmetic.
//!
//! Loops of their own beside rayon, nothing of the crate's engine: what a step takes longer than this is arithmetic
//! or overhead. Where the streams lie in their pages matters as much, so it is the best of several layouts, or it is none.
//! Four lines of the cache of each stream in turn, as the ceilings of formats have them: in L2 that is faster than one.

use std::hint::black_box;

use super::data::Data;
use super::parts::in_parts;
use super::widest::widest;
use wide::f32x16;

const AT_ONCE: usize = 64;

/// What passes over memory a step takes.
#[derive(Clone, Copy)]
pub(crate) struct Passes {
    /// Whether a first pass reads parameters and gradients, and whether state too.
    pub(crate) first: Option<bool>,
    pub(crate) parallel: bool,
}

impl Passes {
    /// Numbers that are read and written for each parameter.
    pub(crate) fn streams(self, slots: usize) -> usize {
        let first = self.first.map_or(0, |state| if state { 2 + slots } else { 2 });
        first + 3 + 2 * slots
    }

    /// Once over all streams.
    pub(crate) fn run(self, data: &mut Data) {
        match data.state.len() {
            0 => self.over::<0>(data),
            1 => self.over::<1>(data),
            2 => self.over::<2>(data),
            3 => self.over::<3>(data),
            4 => self.over::<4>(data),
            more => panic!("no rule has {more} slots"),
        }
    }

    fn over<const S: usize>(self, Data { params, grads, state }: &mut Data) {
        let state: &mut [_; S] = (&mut state[..]).try_into().expect("as many slots");
        if self.first == Some(false) {
            in_parts(self.parallel, params, grads, [], read);
        }
        if self.first == Some(true) {
            in_parts(self.parallel, params, grads, state.each_mut().map(|slot| &mut slot[..]), read);
        }
        in_parts(self.parallel, params, grads, state.each_mut().map(|slot| &mut slot[..]), add);
    }
}

/// Reads all of it.
pub(crate) fn read<const S: usize>(params: &mut [f32], grads: &[f32], state: [&mut [f32]; S]) {
    widest(
        #[inline(always)]
        || {
            let params = params.as_chunks::<AT_ONCE>().0;
            let n = params.len();
            let grads = &grads.as_chunks::<AT_ONCE>().0[..n];
            let state = state.map(|slot| &slot.as_chunks::<AT_ONCE>().0[..n]);
            let mut sums = [f32x16::ZERO; AT_ONCE / 16];
            for i in 0..n {
                sum(&mut sums, &params[i]);
                sum(&mut sums, &grads[i]);
                state.iter().for_each(|slot| sum(&mut sums, &slot[i]));
            }
            black_box(sums);
        },
    );
}

#[inline(always)]
fn sum(sums: &mut [f32x16; AT_ONCE / 16], numbers: &[f32; AT_ONCE]) {
    let parts = numbers.as_chunks().0;
    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += f32x16::from(*part));
}

fn add<const S: usize>(params: &mut [f32], grads: &[f32], state: [&mut [f32]; S]) {
    widest(
        #[inline(always)]
        || {
            let params = params.as_chunks_mut::<AT_ONCE>().0;
            let n = params.len();
            let grads = &grads.as_chunks::<AT_ONCE>().0[..n];
            let mut state = state.map(|slot| &mut slot.as_chunks_mut::<AT_ONCE>().0[..n]);
            for i in 0..n {
                params[i].iter_mut().zip(&grads[i]).for_each(|(p, g)| *p += g);
                state.iter_mut().for_each(|slot| slot[i].iter_mut().for_each(|x| *x += 1.0));
            }
        },
    );
}
