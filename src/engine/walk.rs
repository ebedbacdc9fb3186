//! The loop.

use super::Level;
use super::level::Isa;
use crate::Formula;
use crate::lane::Vector;

/// Parallel slices of one length.
pub(super) struct Streams<'a, const S: usize> {
    pub(super) params: &'a mut [f32],
    pub(super) grads: &'a [f32],
    pub(super) state: [&'a mut [f32]; S],
}

/// Applies the formula to every element, sixteen at a time in the level's vectors, and the tail one at a time.
#[inline(always)]
pub(super) fn walk<F: Formula<S>, const S: usize>(level: Level, formula: &F, streams: Streams<'_, S>) {
    match level.0 {
        Isa::Portable => whole::<wide::f32x16, F, S>((), formula, streams),
        #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
        Isa::Avx2(proof) => vectorized(proof, formula, streams),
        #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
        Isa::Avx512(proof) => vectorized(proof, formula, streams),
    }
}

/// The same in a function of its own that is compiled for the instructions `proof` stands for.
#[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
#[inline(always)]
fn vectorized<V: fearless_simd::Simd, F: Formula<S>, const S: usize>(
    proof: V,
    formula: &F,
    streams: Streams<'_, S>,
) {
    proof.vectorize(
        #[inline(always)]
        || whole::<fearless_simd::f32x16<V>, F, S>(proof, formula, streams),
    );
}

#[inline(always)]
fn whole<V: Vector<Tile = [f32; 16]>, F: Formula<S>, const S: usize>(
    proof: V::Proof,
    formula: &F,
    streams: Streams<'_, S>,
) {
    let (params, params_tail) = streams.params.as_chunks_mut();
    let (grads, grads_tail) = streams.grads.as_chunks();
    let mut halves = streams.state.map(|slot| slot.as_chunks_mut());
    let state_tail = halves.each_mut().map(|(_, tail)| core::mem::take(tail));
    let state = halves.map(|(whole, _)| whole);
    tiles::<V, F, S>(proof, formula, params, grads, state);
    tiles::<f32, F, S>((), formula, params_tail, grads_tail, state_tail);
}

/// Body and tail are this one function, at two widths.
#[inline(always)]
fn tiles<V: Vector, F: Formula<S>, const S: usize>(
    proof: V::Proof,
    formula: &F,
    params: &mut [V::Tile],
    grads: &[V::Tile],
    state: [&mut [V::Tile]; S],
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
            s[k] = V::load(proof, &state[k][i]);
        }
        let (p, s) = formula.update(p, g, s);
        p.store(&mut params[i]);
        for k in 0..S {
            s[k].flush().store(&mut state[k][i]);
        }
    }
}
