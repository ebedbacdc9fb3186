//! What is not computed with as it is: formats, and gradients under a condition. Piece by piece, into scratch and back.
//!
//! A piece stays in the nearest cache, so that memory sees each byte once. The loop over it is the one that there is, so formats
//! add to what is compiled and do not multiply it; but state in upper halves, which is common, has a loop of its own. Where blocks
//! share a scale, pieces end with them, and what a step leaves in a block is written when all of it is known, however its
//! elements are cut into tensors.

use super::codec::{self, Rounds};
use super::condition::Condition;
use super::fold::LEAF;
use super::layer::Known;
use super::tensor::{Grads, Tensor};
use super::tree::Part;
use super::visit::Visit;
use super::walk::{Streams, walk};
use super::{Level, PARAMS};
use crate::Formula;
use crate::store::{BLOCK, Code, Shelf, Stream, numbers_mut};
use core::array::from_fn;
use core::mem::take;
use core::ops::Range;

/// So many elements that the scratch of some slots is a fraction of the nearest cache; a multiple of a lane. Where pieces are
/// longer, memory waits while one is computed.
pub(super) const STAGE: usize = 512;

// Lanes begin anew with each piece, and blocks are cut by no thread.
const _: () = assert!(STAGE.is_multiple_of(16) && STAGE >= BLOCK && LEAF.is_multiple_of(BLOCK));

/// The state of consecutive elements of one run, that a formula takes.
pub(super) struct State<'a, const S: usize> {
    /// Where they begin.
    start: usize,
    len: usize,
    /// Which slots of the optimizer.
    slots: [usize; S],
    codes: [Code; S],
    bytes: [&'a mut [u8]; S],
}

impl<'a, const S: usize> State<'a, S> {
    /// The slots that a formula takes, in its order.
    pub(super) fn select(part: &mut Part<'_, 'a, '_>, slots: [usize; S]) -> Self {
        Self {
            start: part.start,
            len: part.len,
            slots,
            codes: slots.map(|slot| part.codes.all[slot]),
            bytes: slots.map(|slot| take(&mut part.state[slot])),
        }
    }

    /// Whether it is as it is computed with.
    pub(super) fn is_plain(&self) -> bool {
        self.codes.iter().all(|code| *code == Code::F32)
    }

    pub(super) fn plain(self) -> [&'a mut [f32]; S] {
        self.bytes.map(numbers_mut)
    }

    /// That of the first `len` elements. Not within a block.
    pub(super) fn split_off(&mut self, len: usize) -> Self {
        let bytes = from_fn(|k| self.split_off_slot(k, len).bytes);
        let here = Self { len, bytes, ..*self };
        (self.start, self.len) = (self.start + len, self.len - len);
        here
    }

    /// One slot of the first `len` elements; of what is in blocks, nothing is taken.
    fn split_off_slot(&mut self, k: usize, len: usize) -> Stream<'a> {
        let code = self.codes[k];
        if code.in_blocks() {
            return Stream::default();
        }
        Stream { code, bytes: self.bytes[k].split_off_mut(..code.bytes(self.start, len)).unwrap_or_default() }
    }
}

/// Where elements are computed whose formats are others.
pub(super) struct Stage<'a, 'r, const S: usize> {
    state: State<'a, S>,
    condition: Option<Condition>,
    rounding: Rounds<'r>,
    /// Of slots in blocks, the one that is open: some of its elements have been stepped. Or where the next one begins.
    block: Range<usize>,
    scratch: Scratch<S>,
}

/// Numbers as they are computed with. State in blocks is at its place in the block.
struct Scratch<const S: usize> {
    params: [f32; STAGE],
    grads: [f32; STAGE],
    state: [[f32; STAGE]; S],
    random: [u16; STAGE],
}

impl<'a, 'r, const S: usize> Stage<'a, 'r, S> {
    pub(super) fn new(state: State<'a, S>, condition: Option<Condition>, rounding: Rounds<'r>) -> Self {
        let (params, grads, random) = ([0.0; STAGE], [0.0; STAGE], [0; STAGE]);
        let scratch = Scratch { params, grads, state: [[0.0; STAGE]; S], random };
        Self { block: state.start..state.start, state, condition, rounding, scratch }
    }

    /// The same with other elements, if no block is open.
    pub(super) fn begin(&mut self, state: State<'a, S>) -> &mut Self {
        self.block = state.start..state.start;
        self.state = state;
        self
    }

    /// The next elements, for a layer that begins with them.
    pub(super) fn known<'t>(&'t self, tensor: &'t Tensor<'_>, lower: &'t [u8]) -> Known<'t, S> {
        let start = self.state.start;
        let state = from_fn(|k| {
            let code = self.state.codes[k];
            let start = if code.in_blocks() { self.block.start } else { start };
            Shelf { code, start, bytes: &*self.state.bytes[k] }
        });
        let condition = self.condition;
        Known { params: tensor.params(), lower, grads: tensor.grads(), condition, start, state }
    }

    /// Steps over the next elements.
    pub(super) fn update<F: Formula<S>>(
        &mut self,
        formula: &F,
        mut tensor: Tensor<'_>,
        visit: &mut Visit<'_, '_>,
    ) {
        let in_blocks = self.state.codes.iter().any(|code| code.in_blocks());
        // Gradients are set to zero while they are in the cache.
        let kept = matches!(tensor.grads, Grads::Keep(_));
        let idle = tensor.is_idle();
        let plain = tensor.is_plain() && self.condition.is_none() && visit.nothing_beside();
        let at_once = kept && self.in_halves() && plain;
        while tensor.len() > 0 {
            let at = self.state.start;
            let longest = match in_blocks {
                true => BLOCK - at % BLOCK,
                false if at_once => usize::MAX,
                false => STAGE,
            };
            let len = longest.min(tensor.len());
            let (mut piece, rest) = tensor.split_at(len);
            if in_blocks && self.block.is_empty() {
                self.block = at..at + self.state.len.min(longest);
                self.open(visit.level);
            }
            let first = if in_blocks { at % BLOCK } else { 0 };
            if idle {
                self.state.split_off(len);
                visit.leave(piece.borrow());
            } else {
                self.piece(formula, &mut piece, visit, first);
            }
            if in_blocks && self.block.end == self.state.start {
                self.close(visit.level);
            }
            piece.zero();
            tensor = rest;
        }
    }

    /// Whether all state is in upper halves, to be rounded to the nearest.
    fn in_halves(&self) -> bool {
        !self.rounding.stochastic && self.state.codes.iter().all(|code| *code == Code::Bf16)
    }

    /// Decodes blocks.
    fn open(&mut self, level: Level) {
        for k in (0..S).filter(|k| self.state.codes[*k].in_blocks()) {
            let numbers = &mut self.scratch.state[k][places(&self.block)];
            codec::decode_block(level, self.state.codes[k], &*self.state.bytes[k], numbers);
        }
    }

    /// Encodes them.
    fn close(&mut self, level: Level) {
        let (start, len) = (self.block.start, self.block.len());
        for k in (0..S).filter(|k| self.state.codes[*k].in_blocks()) {
            let (code, slot) = (self.state.codes[k], self.state.slots[k]);
            let bytes = self.state.bytes[k].split_off_mut(..code.bytes(start, len)).unwrap_or_default();
            let numbers = &self.scratch.state[k][places(&self.block)];
            let random = &mut self.scratch.random[..len];
            self.rounding.encode_block(level, (slot, start), numbers, (code, bytes), random);
        }
        self.block = start + len..start + len;
    }

    /// Updates what is of one piece.
    fn piece<F: Formula<S>>(
        &mut self,
        formula: &F,
        piece: &mut Tensor<'_>,
        visit: &mut Visit<'_, '_>,
        first: usize,
    ) {
        let in_halves = self.in_halves();
        let Self { state, condition, rounding, scratch, .. } = self;
        let (at, len, level) = (state.start, piece.len(), visit.level);
        let lower = visit.lower_of(len);
        let (mut params, grads, mirror) = piece.parts();
        let p = if params.code == Code::F32 {
            numbers_mut(take(&mut params.bytes))
        } else {
            codec::decode(level, params.as_source(), lower, &mut scratch.params[..len]);
            &mut scratch.params[..len]
        };
        let grads = match (grads.plain(), &condition) {
            (Some(grads), None) => grads,
            _ => {
                let decoded = &mut scratch.grads[..len];
                codec::decode(level, grads, &[], decoded);
                if let Some(condition) = condition {
                    condition.gradients(level, p, decoded);
                }
                decoded
            }
        };
        visit.before(p);
        let random = &mut scratch.random[..len.min(STAGE)];
        if in_halves {
            let state = state.split_off(len).bytes.map(numbers_mut::<u16>);
            walk(level, formula, Streams { params: p, grads, state });
        } else {
            // Loops, as arrays that are mapped are moved about in pieces, which takes longer than all else here.
            let mut slots: [Stream<'_>; S] = from_fn(|_| Stream::default());
            let mut s: [&mut [f32]; S] = from_fn(|_| Default::default());
            let places = first..first + len;
            for (k, (slot, numbers)) in slots.iter_mut().zip(&mut scratch.state).enumerate() {
                *slot = state.split_off_slot(k, len);
                if slot.code != Code::F32 {
                    codec::decode(level, slot.as_source(), &[], &mut numbers[places.clone()]);
                }
            }
            (state.start, state.len) = (at + len, state.len - len);
            for ((s, slot), numbers) in s.iter_mut().zip(&mut slots).zip(&mut scratch.state) {
                // Of what is in blocks there is nothing here.
                let plain = slot.code == Code::F32 && !slot.bytes.is_empty();
                *s = if plain { numbers_mut(slot.bytes) } else { &mut numbers[places.clone()] };
            }
            walk(level, formula, Streams { params: p, grads, state: s });
            for ((slot, numbers), which) in slots.iter_mut().zip(&scratch.state).zip(state.slots) {
                if slot.code != Code::F32 {
                    rounding.encode(level, (which, at), &numbers[places.clone()], slot, random);
                }
            }
        }
        if let Some(condition) = condition {
            condition.params(level, p, grads);
        }
        if let Some(mut mirror) = mirror {
            codec::encode(level, p, &mut [], &mut mirror);
        }
        if !lower.is_empty() {
            codec::encode(level, p, lower, &mut params);
        } else if params.code != Code::F32 {
            rounding.encode(level, (PARAMS, at), p, &mut params, random);
            if !visit.nothing_beside() {
                codec::decode(level, params.as_source(), &[], p);
            }
        }
        visit.after(p);
    }
}

/// Where in a block consecutive elements are.
fn places(elements: &Range<usize>) -> Range<usize> {
    let first = elements.start % BLOCK;
    first..first + elements.len()
}
