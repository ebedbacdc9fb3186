//! Equal parts for the threads that there are.

use super::Parallelism;
use super::tree::Part;

/// Visits all elements, in as many parts at once as `parallelism` makes of them.
#[cfg_attr(not(feature = "rayon"), allow(unused_variables, reason = "there is but one thread"))]
pub(super) fn share(
    parallelism: Parallelism,
    part: &mut Part<'_, '_, '_>,
    visit: &(impl Fn(&mut Part<'_, '_, '_>) + Sync),
) {
    #[cfg(feature = "rayon")]
    match parallelism.parts(part.len) {
        ..=1 => {}
        parts if rayon::current_thread_index().is_some() => return pool::join(parts, part, visit),
        parts => return pool::join_from_outside(parts, part, visit),
    }
    visit(part);
}

#[cfg(feature = "rayon")]
mod pool {
    use crate::engine::tree::{Part, Room};
    use crate::store::BLOCK;
    use core::sync::atomic::{AtomicBool, Ordering};

    /// How often a caller that is done looks whether the others are, before it goes to sleep: for some 30 microseconds. To be
    /// woken takes about as long, which is longer than many a part. It does not yield in between, so that the system moves a
    /// thread that it has put on the caller's core to another; two that make way for each other may share one for long.
    const LOOKS: usize = 1000;

    /// On threads of the pool, of which the caller is one.
    pub(super) fn join(
        parts: usize,
        part: &mut Part<'_, '_, '_>,
        visit: &(impl Fn(&mut Part<'_, '_, '_>) + Sync),
    ) {
        if parts == 1 {
            return visit(part);
        }
        let (left, mut room) = (parts / 2, Room::default());
        let front = &mut part.take_front(portion(part, left, parts), &mut room);
        rayon::join(|| join(left, front, visit), || join(parts - left, part, visit));
    }

    /// On the caller's thread and those of the pool. `rayon::join` would have the caller sleep meanwhile, and wake two
    /// threads one after the other.
    pub(super) fn join_from_outside(
        parts: usize,
        part: &mut Part<'_, '_, '_>,
        visit: &(impl Fn(&mut Part<'_, '_, '_>) + Sync),
    ) {
        let (done, mut room) = (AtomicBool::new(false), Room::default());
        let own = &mut part.take_front(portion(part, 1, parts), &mut room);
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| {
                join(parts - 1, part, visit);
                done.store(true, Ordering::Release);
            });
            visit(own);
            for _ in 0..LOOKS {
                if done.load(Ordering::Acquire) {
                    break;
                }
                core::hint::spin_loop();
            }
        });
    }

    /// How many elements `some` of `all` parts have, in whole lanes or blocks.
    fn portion(part: &Part<'_, '_, '_>, some: usize, all: usize) -> usize {
        let (start, len) = (part.start, part.len / all * some);
        let len = if part.codes.in_blocks {
            (start + len).next_multiple_of(BLOCK) - start
        } else {
            len.next_multiple_of(16)
        };
        len.min(part.len)
    }
}
