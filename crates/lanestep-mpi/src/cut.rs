//! Who has what, and in which pieces it travels.

use lanestep::Layout;
use std::ops::Range;

/// Parameters are cut at multiples of it, so that no sum over them is cut apart.
const LEAF: usize = Layout::LEAF;

/// What a rank has of `all`, as equal as can be, in the order of ranks.
pub(crate) const fn share(rank: usize, ranks: usize, all: usize) -> Range<usize> {
    const fn start(rank: usize, ranks: usize, all: usize) -> usize {
        // In a wider number, as `all` may be large.
        (rank as u128 * all as u128 / ranks as u128) as usize
    }
    start(rank, ranks, all)..start(rank + 1, ranks, all)
}

/// Parameters over ranks, and in rounds: in each, every rank has a piece of its own range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) len: usize,
    pub(crate) ranks: usize,
    /// Elements of each rank in a round, a multiple of the leaf.
    piece: usize,
}

impl Cut {
    /// With rounds of about `bucket` elements of all ranks together.
    pub(crate) fn new(len: usize, ranks: usize, bucket: usize) -> Self {
        let leaves = (bucket / ranks / LEAF).clamp(1, len.div_ceil(LEAF).max(1));
        Self { len, ranks, piece: leaves * LEAF }
    }

    /// What a rank owns.
    pub(crate) fn own(&self, rank: usize) -> Range<usize> {
        let Range { start, end } = share(rank, self.ranks, self.len.div_ceil(LEAF));
        (start * LEAF).min(self.len)..(end * LEAF).min(self.len)
    }

    /// What of it is on its way in a round.
    pub(crate) fn part(&self, rank: usize, round: usize) -> Range<usize> {
        let Range { start, end } = self.own(rank);
        let at = |round| end.min(start + round * self.piece);
        at(round)..at(round + 1)
    }

    pub(crate) fn rounds(&self) -> usize {
        let longest = (0..self.ranks).map(|rank| self.own(rank).len()).max();
        longest.unwrap_or(0).div_ceil(self.piece)
    }

    /// The most elements of one rank in a round.
    pub(crate) const fn piece(&self) -> usize {
        self.piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_part_of_one_rank() {
        for len in [0, 1, LEAF - 1, LEAF, LEAF + 1, 5 * LEAF + 777, 16 * LEAF] {
            for (ranks, bucket) in [(1, 0), (2, 3 * LEAF), (3, 6 * LEAF), (8, 1), (20, usize::MAX)] {
                let cut = Cut::new(len, ranks, bucket);
                let mut at = 0;
                for rank in 0..ranks {
                    let own = cut.own(rank);
                    assert!(own.start == at && (at % LEAF == 0 || at == len), "{cut:?}");
                    for round in 0..cut.rounds() {
                        let part = cut.part(rank, round);
                        assert!(part.start == at && part.len() <= cut.piece(), "{cut:?}");
                        at = part.end;
                    }
                    assert_eq!(at, own.end);
                }
                assert_eq!(at, len);
            }
        }
    }

    #[test]
    fn shares_of_much_do_not_overflow() {
        assert_eq!(share(999, 1000, usize::MAX).end, usize::MAX);
    }
}
