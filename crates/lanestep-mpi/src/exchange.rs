//! Partial sums on their way to those who own the parameters, and parameters on their way back.

use crate::Error;
use crate::cut::{Cut, share};
use crate::gradients::add;
use crate::tree;
use mpi::Count;
use mpi::datatype::{Equivalence, Partition, PartitionMut};

/// What is sent to each rank, or comes from each, end to end.
#[derive(Debug, Default)]
pub(crate) struct Parcels<T> {
    pub(crate) numbers: Vec<T>,
    counts: Vec<Count>,
    places: Vec<Count>,
}

impl<T: Equivalence + Clone + Default> Parcels<T> {
    /// So many numbers of each rank.
    fn lay(&mut self, lens: impl IntoIterator<Item = usize>) {
        let count = |len: usize| Count::try_from(len).expect("a round that was cut to fit");
        self.counts.clear();
        self.places.clear();
        let mut at = 0;
        for len in lens {
            self.counts.push(count(len));
            self.places.push(count(at));
            at += len;
        }
        self.numbers.resize(at, T::default());
    }

    pub(crate) fn sent(&self) -> Partition<'_, [T], &[Count], &[Count]> {
        Partition::new(&self.numbers, &self.counts, &self.places)
    }

    pub(crate) fn received(&mut self) -> PartitionMut<'_, [T], &[Count], &[Count]> {
        PartitionMut::new(&mut self.numbers, &self.counts, &self.places)
    }
}

/// Which sums every rank has.
#[derive(Debug)]
pub(crate) struct Routes {
    rank: usize,
    /// How many sums each rank ends in.
    roots: Vec<usize>,
    /// How they become one.
    joins: Vec<(usize, usize)>,
}

impl Routes {
    pub(crate) fn new(rank: usize, ranks: usize, micro_batches: usize) -> Self {
        let roots: Vec<_> = (0..ranks).map(|rank| tree::roots(share(rank, ranks, micro_batches))).collect();
        let counts = roots.iter().map(Vec::len).collect();
        Self { rank, roots: counts, joins: tree::joins(roots.into_iter().flatten()) }
    }

    /// The cut whose rounds are of about so many elements, and such that MPI can count them.
    ///
    /// # Errors
    /// [`Error::TooMany`] if there is none.
    pub(crate) fn cut(&self, len: usize, bucket: usize) -> Result<Cut, Error> {
        let ranks = self.roots.len();
        let most = self.roots.iter().max().map_or(1, |most| most * ranks);
        // A rank gets as many sums of a piece as there are, sends each of its own to all, and gets all pieces in bytes.
        let roots = self.roots.iter().sum::<usize>().max(most).max(4 * ranks);
        let largest = Count::MAX as usize / roots;
        let cut = Cut::new(len, ranks, bucket.min(largest.saturating_mul(ranks)));
        if cut.piece() <= largest { Ok(cut) } else { Err(Error::TooMany { ranks, roots }) }
    }

    /// Packs what each owner gets of `sums` in a round.
    pub(crate) fn pack(&self, cut: &Cut, round: usize, sums: &[Vec<f32>], out: &mut Parcels<f32>) {
        out.lay((0..cut.ranks).map(|owner| cut.part(owner, round).len() * sums.len()));
        let mut room = &mut out.numbers[..];
        for owner in 0..cut.ranks {
            let part = cut.part(owner, round);
            for sum in sums {
                let (here, rest) = room.split_at_mut(part.len());
                here.copy_from_slice(&sum[part.clone()]);
                room = rest;
            }
        }
    }

    /// Makes room for what this rank gets in a round.
    pub(crate) fn expect(&self, cut: &Cut, round: usize, inbox: &mut Parcels<f32>) {
        let len = cut.part(self.rank, round).len();
        inbox.lay(self.roots.iter().map(|roots| roots * len));
    }

    /// Finishes the tree over what has come in: the gradients of this rank's part of a round.
    pub(crate) fn sum<'a>(&self, cut: &Cut, round: usize, inbox: &'a mut Parcels<f32>) -> &'a mut [f32] {
        let len = cut.part(self.rank, round).len();
        for &(left, right) in &self.joins {
            let (front, back) = inbox.numbers.split_at_mut(right * len);
            add(&back[..len], &mut front[left * len..][..len]);
        }
        &mut inbox.numbers[..len]
    }
}

/// Makes room for the parameters of all ranks in a round, in bytes.
pub(crate) fn expect_params(cut: &Cut, round: usize, size: usize, inbox: &mut Parcels<u8>) {
    inbox.lay((0..cut.ranks).map(|rank| cut.part(rank, round).len() * size));
}
