//! The memory ceiling: the streams of a step with next to no arithmetic.
//!
//! Loops of their own beside rayon, nothing of the crate's engine: what a step takes longer than this is arithmetic
//! or overhead. Where the streams lie in their pages matters as much, so it is the best of several layouts, or it is none.

use super::data::Data;
use super::parts::in_parts;
use super::widest::widest;
use std::hint::black_box;
use wide::f32x16;

/// What passes over memory a step takes.
#[derive(Clone, Copy)]
pub(crate) struct Passes {
    /// Whether a first pass reads parameters and gradients, and whether state too.
    pub(crate) first: Option<bool>,
    pub(crate) parallel: bool,
}

impl Passes {
    /// Numbers read and written for each parameter.
    pub(crate) fn streams(self, slots: usize) -> usize {
        let first = match self.first {
            None => 0,
            Some(false) => 2,
            Some(true) => 2 + slots,
        };
        first + 3 + 2 * slots
    }

    /// Reads what the first pass reads; then reads parameters, gradients and state, and writes parameters and state,
    /// once.
    pub(crate) fn run(self, data: &mut Data) {
        match data.state.len() {
            0 => self.over::<0>(data),
            1 => self.over::<1>(data),
            2 => self.over::<2>(data),
            3 => self.over::<3>(data),
            4 => self.over::<4>(data),
            5 => self.over::<5>(data),
            6 => self.over::<6>(data),
            7 => self.over::<7>(data),
            8 => self.over::<8>(data),
            more => panic!("{more} slots"),
        }
    }

    /// The number of slots as a constant, so that the loop over them is unrolled.
    fn over<const S: usize>(self, data: &mut Data) {
        let Data { params, grads, state } = data;
        let state: &mut [_; S] = (&mut state[..]).try_into().expect("as many slots");
        let mut state = state.each_mut().map(|slot| &mut **slot);
        match self.first {
            None => {}
            Some(false) => in_parts(self.parallel, params, grads, [], read),
            Some(true) => {
                in_parts(self.parallel, params, grads, state.each_mut().map(|slot| &mut **slot), read);
            }
        }
        in_parts(self.parallel, params, grads, state, add);
    }
}

fn add<const S: usize>(params: &mut [f32], grads: &[f32], state: [&mut [f32]; S]) {
    widest(
        #[inline(always)]
        || {
            let (params, _) = params.as_chunks_mut::<16>();
            let n = params.len();
            let grads = &grads.as_chunks::<16>().0[..n];
            let mut state = state.map(|slot| &mut slot.as_chunks_mut::<16>().0[..n]);
            for i in 0..n {
                let g = f32x16::from(grads[i]);
                params[i] = (f32x16::from(params[i]) + g).to_array();
                for slot in &mut state {
                    slot[i] = (f32x16::from(slot[i]) + g).to_array();
                }
            }
        },
    );
}

fn read<const S: usize>(params: &mut [f32], grads: &[f32], state: [&mut [f32]; S]) {
    widest(
        #[inline(always)]
        || {
            let params = &params.as_chunks::<16>().0;
            let n = params.len();
            let grads = &grads.as_chunks::<16>().0[..n];
            let state = state.map(|slot| &slot.as_chunks::<16>().0[..n]);
            let mut sums = [f32x16::ZERO; 2];
            for i in 0..n {
                sums[0] += f32x16::from(params[i]);
                sums[1] += f32x16::from(grads[i]);
                for (k, slot) in state.iter().enumerate() {
                    sums[k % 2] += f32x16::from(slot[i]);
                }
            }
            black_box(sums);
        },
    );
}
