//! State in formats that are not computed with: block by block, into scratch and back.
//!
//! A block stays in the nearest cache, so that memory sees each byte once. The loop over it is the one that there is, so formats
//! add to what is compiled and do not multiply it.

use super::Level;
use super::fold::Sums;
use super::sweep::split_off;
use super::walk::{self, Streams};
use crate::Formula;
use crate::store::Stream;
use core::mem::take;

/// So many elements that the scratch of some slots is a fraction of the nearest cache; a multiple of a lane. Where blocks are
/// longer, memory waits while one is computed.
const STAGE: usize = 512;

/// Applies the formula to every element.
#[inline(always)]
pub(super) fn walk<F: Formula<S>, const S: usize>(
    level: Level,
    formula: &F,
    params: &mut [f32],
    grads: &[f32],
    state: [Stream<'_>; S],
) {
    match plain(state) {
        Ok(state) => walk::walk(level, formula, Streams { params, grads, state }),
        Err(state) => staged(level, formula, params, grads, state),
    }
}

/// Adds the squares of what the formula [measures](Formula::measure) and of the parameters, and writes nothing.
#[inline(always)]
pub(super) fn survey<F: Formula<S>, const S: usize>(
    level: Level,
    formula: &F,
    params: &mut [f32],
    grads: &[f32],
    state: [Stream<'_>; S],
    sums: &mut [Sums; 2],
) {
    match plain(state) {
        Ok(state) => walk::survey(level, formula, Streams { params, grads, state }, sums),
        Err(state) => blocks(level, params, grads, state, false, |streams| {
            walk::survey(level, formula, streams, sums);
        }),
    }
}

/// As they are, if all are computed with so.
#[inline(always)]
fn plain<const S: usize>(state: [Stream<'_>; S]) -> Result<[&mut [f32]; S], [Stream<'_>; S]> {
    if state.iter().all(Stream::is_plain) {
        Ok(state.map(|slot| slot.into_plain().unwrap_or_default()))
    } else {
        Err(state)
    }
}

#[inline(never)]
fn staged<F: Formula<S>, const S: usize>(
    level: Level,
    formula: &F,
    params: &mut [f32],
    grads: &[f32],
    state: [Stream<'_>; S],
) {
    blocks(level, params, grads, state, true, |streams| walk::walk(level, formula, streams));
}

#[inline(always)]
fn blocks<const S: usize>(
    level: Level,
    mut params: &mut [f32],
    grads: &[f32],
    mut state: [Stream<'_>; S],
    written: bool,
    mut visit: impl FnMut(Streams<'_, S>),
) {
    let mut scratch = [[0.0; STAGE]; S];
    for grads in grads.chunks(STAGE) {
        let len = grads.len();
        let (here, rest) = take(&mut params).split_at_mut(len);
        params = rest;
        let mut slots = split_off(&mut state, len);
        let mut scratch = scratch.each_mut().map(|scratch| &mut scratch[..len]);
        level.run(
            #[inline(always)]
            || {
                for k in 0..S {
                    if !slots[k].is_plain() {
                        slots[k].decode(scratch[k]);
                    }
                }
            },
        );
        let mut scratch_of = scratch.each_mut().into_iter();
        let state = slots.each_mut().map(|slot| match (slot, scratch_of.next()) {
            (Stream::F32(numbers), _) => &mut **numbers,
            #[cfg(feature = "half")]
            (_, Some(scratch)) => &mut **scratch,
            #[cfg(feature = "half")]
            (_, None) => &mut [],
        });
        drop(scratch_of);
        visit(Streams { params: here, grads, state });
        if written {
            level.run(
                #[inline(always)]
                || {
                    for k in 0..S {
                        if !slots[k].is_plain() {
                            slots[k].encode(scratch[k]);
                        }
                    }
                },
            );
        }
    }
}
