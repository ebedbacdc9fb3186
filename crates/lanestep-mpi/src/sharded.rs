//! An optimizer over many ranks.

use crate::Error;
use crate::agree::{agree, digest};
use crate::cut::{Cut, share};
use crate::exchange::{Parcels, Routes, expect_params};
use crate::gradients::Gradients;
use crate::pieces::Pieces;
use lanestep::checkpoint::Recorded;
use lanestep::{Element, Layout, Optimizer, Pipeline, Report, Tensor};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use std::fmt;
use std::ops::Range;

/// How many elements are in a round, of all ranks together, unless it is said.
const BUCKET: usize = 1 << 20;

/// An optimizer whose state is sharded over the ranks of a communicator.
pub struct Sharded<R> {
    world: SimpleCommunicator,
    rank: usize,
    optimizer: Optimizer<R>,
    micro_batches: usize,
    gradients: Gradients,
    routes: Routes,
    cut: Cut,
    /// Whether parameters have been compared.
    begun: bool,
}

impl<R: Recorded> Sharded<R> {
    /// For parameters that are so many, or laid out so; each step takes the gradients of so many micro-batches.
    pub fn new(
        world: &impl Communicator,
        rule: R,
        layout: impl Into<Layout>,
        micro_batches: usize,
    ) -> Result<Self, Error> {
        let world = world.duplicate();
        let (rank, ranks) = (world.rank() as usize, world.size() as usize);
        let len = layout.into().len();
        let make = || {
            if micro_batches == 0 {
                return Err(Error::NoMicroBatches);
            }
            let routes = Routes::new(rank, ranks, micro_batches);
            let cut = routes.cut(len, BUCKET)?;
            let optimizer = Optimizer::new(rule, cut.own(rank).len())?;
            Ok((routes, cut, optimizer))
        };
        let (made, error) = match make() {
            Ok(made) => (Some(made), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let text = format!("{{\"micro_batches\": {micro_batches}, \"len\": {len}}}");
        agree(&world, error, digest(text.as_bytes()), 0, || Ok(text))?;
        let (routes, cut, optimizer) = made.expect("no rank has found an error");
        let gradients = Gradients::new(len, share(rank, ranks, micro_batches));
        Ok(Self { world, rank, optimizer, micro_batches, gradients, routes, cut, begun: false })
    }

    /// The micro-batches of this rank.
    pub fn micro_batches(&self) -> Range<usize> {
        self.gradients.batches()
    }

    /// What of the parameters this rank keeps the state of.
    pub fn range(&self) -> Range<usize> {
        self.cut.own(self.rank)
    }

    /// Zeros, one for each parameter, to be filled.
    pub fn grads(&mut self, micro_batch: usize) -> Result<&mut [f32], Error> {
        self.gradients.begin(micro_batch)
    }

    /// About how many elements of all ranks are on their way at once.
    pub fn set_bucket(&mut self, elements: usize) -> Result<(), Error> {
        self.cut = self.routes.cut(self.cut.len, elements)?;
        Ok(())
    }

    /// One step.
    pub fn step<P: Element>(&mut self, params: &mut [P], pipeline: &Pipeline) -> Result<Report, Error> {
        self.step_tensors(&mut [params], pipeline)
    }

    /// One step over many slices.
    pub fn step_tensors<P: Element>(
        &mut self,
        params: &mut [&mut [P]],
        pipeline: &Pipeline,
    ) -> Result<Report, Error> {
        let mut params = Pieces::new(params);
        let ready = self.gradients.check();
        agree(&self.world, ready, 0, 0, || Ok(String::new()))?;
        self.begun = true;
        let mut sums = self.gradients.take();
        let own = self.cut.own(self.rank);
        let mut spare = if sums.is_empty() { vec![0.0; own.len()] } else { vec![] };
        self.exchange(&mut sums, &mut spare);
        let grads = kept(&mut sums, &mut spare, own.clone());
        let mut rest = &*grads;
        let mut tensors: Vec<_> = params
            .of(own)
            .map(|piece| {
                let (here, after) = rest.split_at(piece.len());
                rest = after;
                Tensor::new(piece, here)
            })
            .collect();
        let report = self.optimizer.step_with(&mut tensors, pipeline);
        self.gather(&mut params);
        self.gradients.recycle(sums);
        Ok(report?)
    }

    fn exchange(&self, sums: &mut [Vec<f32>], spare: &mut [f32]) {
        let (mut out, mut inbox) = (Parcels::default(), Parcels::default());
        let own = self.cut.own(self.rank);
        for round in 0..self.cut.rounds() {
            self.routes.pack(&self.cut, round, sums, &mut out);
            self.routes.expect(&self.cut, round, &mut inbox);
            self.world.all_to_all_varcount_into(&out.sent(), &mut inbox.received());
            let grads = self.routes.sum(&self.cut, round, &mut inbox);
            let part = self.cut.part(self.rank, round);
            kept(sums, spare, own.clone())[part.start - own.start..part.end - own.start]
                .copy_from_slice(grads);
        }
    }

    fn gather<P: Element>(&self, params: &mut Pieces<'_, '_, P>) {
        let (mut stepped, mut inbox) = (Vec::new(), Parcels::default());
        for round in 0..self.cut.rounds() {
            params.get(self.cut.part(self.rank, round), &mut stepped);
            expect_params(&self.cut, round, size_of::<P>(), &mut inbox);
            self.world.all_gather_varcount_into(&stepped[..], &mut inbox.received());
            let mut bytes = &inbox.numbers[..];
            for rank in 0..self.cut.ranks {
                let part = self.cut.part(rank, round);
                let (here, rest) = bytes.split_at(part.len() * size_of::<P>());
                params.put(part, here);
                bytes = rest;
            }
        }
    }
}

/// Where the finished gradients of this rank's range stay: in the place of its first sum's, which are not needed any more.
fn kept<'a>(sums: &'a mut [Vec<f32>], spare: &'a mut [f32], own: Range<usize>) -> &'a mut [f32] {
    sums.first_mut().map_or(spare, |sum| &mut sum[own])
}

impl<R> fmt::Debug for Sharded<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded")
            .field("rank", &self.rank)
            .field("cut", &self.cut)
            .field("micro_batches", &self.micro_batches)
            .finish_non_exhaustive()
    }
}
