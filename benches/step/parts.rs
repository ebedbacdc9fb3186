//! Equal parts for all threads, as an OpenMP loop has them: what loops that are not the crate's are run over.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `each` for one part, or for one on each thread of the pool, of which the caller is one.
pub(crate) fn in_parts<const S: usize>(
    parallel: bool,
    params: &mut [f32],
    grads: &[f32],
    state: [&mut [f32]; S],
    each: impl Fn(&mut [f32], &[f32], [&mut [f32]; S]) + Sync,
) {
    let threads = if parallel { rayon::current_num_threads() } else { 1 };
    if threads == 1 {
        return each(params, grads, state);
    }
    let len = grads.len().div_ceil(threads).next_multiple_of(16);
    let mut state = state.map(|slot| slot.chunks_mut(len));
    let mut parts = params.chunks_mut(len).zip(grads.chunks(len));
    let mut next = || {
        let (params, grads) = parts.next()?;
        Some((params, grads, state.each_mut().map(|slot| slot.next().expect("slices of one length"))))
    };
    let Some((params, grads, own)) = next() else { return };
    let (mut others, done, each) = (0, AtomicUsize::new(0), &each);
    rayon::in_place_scope(|scope| {
        while let Some((params, grads, state)) = next() {
            others += 1;
            let done = &done;
            scope.spawn(move |_| {
                each(params, grads, state);
                done.fetch_add(1, Ordering::Release);
            });
        }
        each(params, grads, own);
        // OpenMP's threads spin as well; to sleep takes longer than to wait.
        for _ in 0..1000 {
            if done.load(Ordering::Acquire) == others {
                break;
            }
            std::hint::spin_loop();
        }
    });
}
