//! Formats that are not computed with: block by block, into scratch and back.
//!
//! A block stays in the nearest cache, so that memory sees each byte once. The loop over it is the one that there is, so formats
//! add to what is compiled and do not multiply it.

use super::Level;
use super::fold::Sums;
use super::sweep::split_off;
use super::walk::{self, Streams};
use crate::Formula;
use crate::store::{Source, Stream};
use core::mem::take;

/// So many elements that the scratch of some slots is a fraction of the nearest cache; a multiple of a lane. Where blocks are
/// longer, memory waits while one is computed.
pub(super) const STAGE: usize = 512;

/// Parallel numbers of one length, in any formats.
pub(super) struct Stored<'a, const S: usize> {
    pub(super) params: Stream<'a>,
    pub(super) grads: Source<'a>,
    pub(super) state: [Stream<'a>; S],
}

/// Applies the formula to every element. What is common has a loop of its own.
#[inline(always)]
pub(super) fn walk<F: Formula<S>, const S: usize>(level: Level, formula: &F, stored: Stored<'_, S>) {
    match stored.plain() {
        Ok(streams) => walk::walk(level, formula, streams),
        Err(stored) => in_formats(level, formula, stored),
    }
}

#[inline(never)]
fn in_formats<F: Formula<S>, const S: usize>(level: Level, formula: &F, stored: Stored<'_, S>) {
    #[cfg(feature = "half")]
    if stored.state.iter().all(|slot| matches!(slot, Stream::Bf16(_))) {
        let Stored { params, grads, state } = stored;
        let state = state.map(|slot| if let Stream::Bf16(slot) = slot { slot } else { &mut [] });
        return match (params, grads) {
            (Stream::F32(params), Source::F32(grads)) => {
                walk::walk(level, formula, Streams { params, grads, state });
            }
            (Stream::F32(params), Source::Bf16(grads)) => {
                walk::walk(level, formula, Streams { params, grads, state });
            }
            (Stream::Bf16(params), Source::Bf16(grads)) => {
                walk::walk(level, formula, Streams { params, grads, state });
            }
            (params, grads) => {
                staged(level, formula, Stored { params, grads, state: state.map(Stream::Bf16) });
            }
        };
    }
    staged(level, formula, stored);
}

fn staged<F: Formula<S>, const S: usize>(level: Level, formula: &F, stored: Stored<'_, S>) {
    stored.blocks(level, true, |streams| walk::walk(level, formula, streams));
}

/// Adds the squares of what the formula [measures](Formula::measure) and of the parameters, and writes nothing.
#[inline(always)]
pub(super) fn survey<F: Formula<S>, const S: usize>(
    level: Level,
    formula: &F,
    stored: Stored<'_, S>,
    sums: &mut [Sums; 2],
) {
    match stored.plain() {
        Ok(streams) => walk::survey(level, formula, streams, sums),
        Err(stored) => stored.blocks(level, false, |streams| walk::survey(level, formula, streams, sums)),
    }
}

impl<'a, const S: usize> Stored<'a, S> {
    /// As they are, if all are computed with so.
    #[inline(always)]
    fn plain(self) -> Result<Streams<'a, S>, Self> {
        match self {
            Self { params: Stream::F32(params), grads: Source::F32(grads), state }
                if state.iter().all(Stream::is_plain) =>
            {
                let state = state.map(|slot| slot.into_plain().unwrap_or_default());
                Ok(Streams { params, grads, state })
            }
            other => Err(other),
        }
    }

    /// Visits all as they are computed with. What is `written` goes back, but gradients.
    #[inline(always)]
    fn blocks(mut self, level: Level, written: bool, mut visit: impl FnMut(Streams<'_, S>)) {
        let mut scratch = [[0.0; STAGE]; S];
        let [mut params_scratch, mut grads_scratch] = [[0.0; STAGE]; 2];
        while !self.grads.is_empty() {
            let len = STAGE.min(self.grads.len());
            let (grads, rest) = self.grads.split_at(len);
            self.grads = rest;
            let (mut params, rest) = take(&mut self.params).split_at(len);
            self.params = rest;
            let mut state = split_off(&mut self.state, len);
            let [p, g] = [&mut params_scratch, &mut grads_scratch].map(|scratch| &mut scratch[..len]);
            let mut s = scratch.each_mut().map(|scratch| &mut scratch[..len]);
            level.run(
                #[inline(always)]
                || {
                    if !params.is_plain() {
                        params.as_source().decode(p);
                    }
                    if grads.plain().is_none() {
                        grads.decode(g);
                    }
                    for k in 0..S {
                        if !state[k].is_plain() {
                            state[k].as_source().decode(s[k]);
                        }
                    }
                },
            );
            visit(Streams {
                params: here(&mut params, p),
                grads: grads.plain().unwrap_or(g),
                state: pairs(&mut state, &mut s),
            });
            if written {
                level.run(
                    #[inline(always)]
                    || {
                        if !params.is_plain() {
                            params.encode(p);
                        }
                        for k in 0..S {
                            if !state[k].is_plain() {
                                state[k].encode(s[k]);
                            }
                        }
                    },
                );
            }
        }
    }
}

/// The numbers themselves if they are computed with, else their scratch.
#[inline(always)]
fn here<'a>(stream: &'a mut Stream<'_>, scratch: &'a mut [f32]) -> &'a mut [f32] {
    stream.borrow().into_plain().unwrap_or(scratch)
}

#[inline(always)]
fn pairs<'a, const S: usize>(
    streams: &'a mut [Stream<'_>; S],
    scratch: &'a mut [&mut [f32]; S],
) -> [&'a mut [f32]; S] {
    let mut scratch = scratch.iter_mut();
    streams.each_mut().map(|stream| scratch.next().map(|scratch| here(stream, scratch)).unwrap_or_default())
}
