//! Partial sums on their way to those who own the parameters, and parameters on their way back.

use crate::Error;
use crate::cut::{Cut, share};
use crate::gradients::add;
use crate::pieces::Pieces;
use crate::tree;
use lanestep::Element;
use mpi::Count;
use mpi::datatype::{Equivalence, Partition, PartitionMut};
use mpi::request::{WaitGuard, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives;
use std::mem::swap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Moves gradients and parameters between ranks, in rounds of which several are under way at once.
#[derive(Debug)]
pub(crate) struct Exchange {
    rank: usize,
    pub(crate) cut: Cut,
    /// How many sums each rank ends in.
    roots: Vec<usize>,
    /// How they become one.
    joins: Vec<(usize, usize)>,
    buffers: Buffers,
    /// Since they were last forgotten.
    pub(crate) times: Times,
}

/// Where the time of a step goes, on one rank. What is under way while others are stepped takes no time of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Gradients to be packed, and waited for.
    pub exchange: Duration,
    /// Gradients to be summed and measured, and parameters to be stepped.
    pub step: Duration,
    /// Parameters to be waited for, and put to their places.
    pub gather: Duration,
}

/// Adds the time that something takes.
fn timed<T>(time: &mut Duration, what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let found = what();
    *time += start.elapsed();
    found
}

/// They stay from step to step.
#[derive(Debug, Default)]
struct Buffers {
    /// Sums that are sent, that come in, and that have come in.
    out: Parcels<f32>,
    coming: Parcels<f32>,
    here: Parcels<f32>,
    /// Parameters that have been stepped, that are sent, and that come in, in bytes.
    stepped: Vec<u8>,
    leaving: Vec<u8>,
    back: Parcels<u8>,
}

/// Where the gradients of a rank's own range come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Sums of all ranks, to be exchanged.
    Sums(&'a [Vec<f32>]),
    /// What has been [collected](Exchange::collect).
    Own(&'a [f32]),
    /// There are none, as nothing is stepped.
    None,
}

impl Exchange {
    /// # Errors
    /// [`Error::TooMany`].
    pub(crate) fn new(
        rank: usize,
        ranks: usize,
        len: usize,
        micro_batches: usize,
        bucket: usize,
    ) -> Result<Self, Error> {
        let roots: Vec<_> = (0..ranks).map(|rank| tree::roots(share(rank, ranks, micro_batches))).collect();
        let counts: Vec<_> = roots.iter().map(Vec::len).collect();
        let joins = tree::joins(roots.into_iter().flatten());
        let cut = cut(&counts, len, bucket)?;
        Ok(Self { rank, cut, roots: counts, joins, buffers: Buffers::default(), times: Times::default() })
    }

    /// Goes on in rounds of about so many elements of all ranks together.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub(crate) fn set_bucket(&mut self, bucket: usize) -> Result<(), Error> {
        self.cut = cut(&self.roots, self.cut.len, bucket)?;
        self.buffers = Buffers::default();
        Ok(())
    }

    /// What this rank owns.
    pub(crate) fn own(&self) -> Range<usize> {
        self.cut.own(self.rank)
    }

    /// Gathers the gradients of this rank's range, and hands over each part with its place while the next is on its way. They stay in
    /// the place of its own first sum's, which are not needed any more, or else in `spare`.
    pub(crate) fn collect(
        &mut self,
        world: &SimpleCommunicator,
        sums: &mut [Vec<f32>],
        spare: &mut [f32],
        mut found: impl FnMut(Range<usize>, &[f32]),
    ) {
        let Self { rank, cut, roots, joins, buffers, times } = self;
        let Buffers { out, coming, here, .. } = buffers;
        let (own, rounds) = (cut.own(*rank), cut.rounds());
        for round in 0..=rounds {
            let exchanged = round < rounds;
            if exchanged {
                timed(&mut times.exchange, || pack(cut, round, sums, out));
                coming.expect_sums(cut.part(*rank, round).len(), roots);
            }
            let (sent, mut received) = (out.sent(), coming.received());
            let collected = scope(|scope| {
                let exchange = exchanged.then(|| {
                    let request = world.immediate_all_to_all_varcount_into(scope, &sent, &mut received);
                    WaitGuard::from(request)
                });
                let collected = round.checked_sub(1).map(|before| {
                    timed(&mut times.step, || {
                        let part = cut.part(*rank, before);
                        let grads = sum(joins, part.len(), here);
                        found(part.clone(), grads);
                        (part, grads)
                    })
                });
                timed(&mut times.exchange, || drop(exchange));
                collected
            });
            if let Some((part, grads)) = collected {
                kept(sums, spare, &own)[part.start - own.start..][..part.len()].copy_from_slice(grads);
            }
            swap(coming, here);
        }
    }

    /// Steps this rank's parts by `step`, and brings all parameters to all ranks: while a round is stepped, the next is exchanged
    /// and the one before gathered.
    pub(crate) fn step<P: Element>(
        &mut self,
        world: &SimpleCommunicator,
        grads: Source<'_>,
        params: &mut Pieces<'_, '_, P>,
        mut step: impl FnMut(Range<usize>, &mut Pieces<'_, '_, P>, &[f32]),
    ) {
        let Self { rank, cut, roots, joins, buffers, times } = self;
        let Buffers { out, coming, here, stepped, leaving, back } = buffers;
        let (own, rounds) = (cut.own(*rank), cut.rounds());
        for round in 0..rounds + 2 {
            let sums = match grads {
                Source::Sums(sums) if round < rounds => Some(sums),
                _ => None,
            };
            let (to_step, gathered) =
                (round.checked_sub(1).filter(|round| *round < rounds), round.checked_sub(2));
            if let Some(sums) = sums {
                timed(&mut times.exchange, || pack(cut, round, sums, out));
                coming.expect_sums(cut.part(*rank, round).len(), roots);
            }
            if let Some(round) = gathered {
                back.lay((0..cut.ranks).map(|rank| cut.part(rank, round).len() * size_of::<P>()));
            }
            let (sent, mut received, mut back_here) = (out.sent(), coming.received(), back.received());
            scope(|scope| {
                let exchange = sums.map(|_| {
                    let request = world.immediate_all_to_all_varcount_into(scope, &sent, &mut received);
                    WaitGuard::from(request)
                });
                let gather = gathered.map(|_| {
                    let request =
                        world.immediate_all_gather_varcount_into(scope, &leaving[..], &mut back_here);
                    WaitGuard::from(request)
                });
                if let Some(round) = to_step {
                    timed(&mut times.step, || {
                        let part = cut.part(*rank, round);
                        let grads = match grads {
                            Source::Sums(_) => sum(joins, part.len(), here),
                            Source::Own(grads) => &grads[part.start - own.start..][..part.len()],
                            Source::None => &[],
                        };
                        step(part.clone(), params, grads);
                        params.get(part, stepped);
                    });
                }
                timed(&mut times.gather, || drop(gather));
                timed(&mut times.exchange, || drop(exchange));
            });
            if let Some(round) = gathered {
                timed(&mut times.gather, || put_back(cut, *rank, round, &back.numbers, params));
            }
            swap(coming, here);
            swap(stepped, leaving);
        }
    }
}

/// Puts the parameters of other ranks to their places.
fn put_back<P: Element>(
    cut: &Cut,
    rank: usize,
    round: usize,
    mut bytes: &[u8],
    params: &mut Pieces<'_, '_, P>,
) {
    for from in 0..cut.ranks {
        let part = cut.part(from, round);
        let (here, rest) = bytes.split_at(part.len() * size_of::<P>());
        if from != rank {
            params.put(part, here);
        }
        bytes = rest;
    }
}

/// The place of a rank's own finished gradients: that of its first sum, or `spare` where it has none.
pub(crate) fn kept<'a>(sums: &'a mut [Vec<f32>], spare: &'a mut [f32], own: &Range<usize>) -> &'a mut [f32] {
    sums.first_mut().map_or(spare, |sum| &mut sum[own.clone()])
}

/// The cut whose rounds are of about so many elements, and such that MPI can count them.
fn cut(roots: &[usize], len: usize, bucket: usize) -> Result<Cut, Error> {
    let ranks = roots.len();
    // For each element of a piece, a rank gets as many sums as there are, sends each of its own to all, and gets all ranks'
    // parameters, in bytes.
    let most = roots.iter().max().map_or(0, |most| most * ranks);
    let roots = roots.iter().sum::<usize>().max(most).max(size_of::<f32>() * ranks);
    let largest = Count::MAX as usize / roots;
    let cut = Cut::new(len, ranks, bucket.min(largest.saturating_mul(ranks)));
    if cut.piece() <= largest { Ok(cut) } else { Err(Error::TooMany { ranks, roots }) }
}

/// Packs what each owner gets of `sums` in a round.
fn pack(cut: &Cut, round: usize, sums: &[Vec<f32>], out: &mut Parcels<f32>) {
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

/// Finishes the tree over the sums that have come in, of so many numbers each.
fn sum<'a>(joins: &[(usize, usize)], len: usize, here: &'a mut Parcels<f32>) -> &'a [f32] {
    for &(left, right) in joins {
        let (front, back) = here.numbers.split_at_mut(right * len);
        add(&back[..len], &mut front[left * len..][..len]);
    }
    &here.numbers[..len]
}

/// What is sent to each rank, or comes from each, end to end.
#[derive(Debug, Default)]
struct Parcels<T> {
    numbers: Vec<T>,
    counts: Vec<Count>,
    places: Vec<Count>,
}

impl<T: Equivalence + Clone + Default> Parcels<T> {
    /// Makes room for so many numbers of each rank.
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
        // Two empty ones may have one address, which MPI would take for an exchange in place.
        self.numbers.resize(at.max(1), T::default());
    }

    /// Makes room for so many numbers of each sum.
    fn expect_sums(&mut self, len: usize, roots: &[usize]) {
        self.lay(roots.iter().map(|roots| roots * len));
    }

    fn sent(&self) -> Partition<'_, [T], &[Count], &[Count]> {
        Partition::new(&self.numbers, &self.counts, &self.places)
    }

    fn received(&mut self) -> PartitionMut<'_, [T], &[Count], &[Count]> {
        PartitionMut::new(&mut self.numbers, &self.counts, &self.places)
    }
}
