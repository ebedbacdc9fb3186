//! An optimizer over many ranks.

use crate::Error;
use crate::agree::{Intent, agree, elsewhere};
use crate::cut::share;
use crate::exchange::{Exchange, Source, Times};
use crate::gradients::Gradients;
use crate::pieces::Pieces;
use crate::step::take;
use lanestep::checkpoint::{Recorded, Snapshot};
use lanestep::{Element, Group, Layout, Optimizer, Pipeline, Report};
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use serde_json::{Value, json};
use std::any::type_name;
use std::fmt;
use std::hash::Hasher;
use std::ops::Range;
use twox_hash::XxHash3_64;

/// How many micro-batches there may be.
const MICRO_BATCHES: usize = 1 << 24;

/// How many elements are in a round, of all ranks together, unless it is said.
const BUCKET: usize = 1 << 20;

/// An optimizer whose state is sharded over the ranks of a communicator: each keeps that of its own range of the parameters.
///
/// A step takes the gradients of a fixed number of micro-batches, which are shared out over the ranks and summed along one binary
/// tree over all of them, wherever they are. So the bits depend on that number, and not on how many ranks there are: they are those
/// of one process that sums along the tree and steps with an [`Optimizer`].
///
/// All ranks must do the same: make it of the same rule and layout, set the same, and step together. What is unlike is found
/// before anything is written, and is an [`Error`] on every rank.
pub struct Sharded<R> {
    world: SimpleCommunicator,
    optimizer: Optimizer<R>,
    gradients: Gradients,
    exchange: Exchange,
    micro_batches: usize,
    /// Of the optimizer's record, and of what has been done since; `None` if that is not known.
    digest: Option<u64>,
    /// Whether the parameters have been compared.
    compared: bool,
}

impl<R: Recorded> Sharded<R> {
    /// For parameters that are so many, or laid out so, of which each step takes the gradients of so many micro-batches. All ranks of
    /// the communicator call it together.
    ///
    /// # Errors
    /// As [`Optimizer::new`]; [`Error::MicroBatches`], [`Error::Layout`] if it is but a part, [`Error::TooMany`], [`Error::Checkpoint`]; [`Error::Unlike`] and
    /// [`Error::Elsewhere`] if other ranks have other rules, lengths or numbers of micro-batches.
    pub fn new(
        world: &impl Communicator,
        rule: R,
        layout: impl Into<Layout>,
        micro_batches: usize,
    ) -> Result<Self, Error> {
        Self::of(world, layout.into(), micro_batches, |part| Ok(Optimizer::new(rule, part)?))
    }

    /// For parameters in groups, whose ranges are those of the whole.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Optimizer::with_groups`].
    pub fn with_groups(
        world: &impl Communicator,
        groups: impl IntoIterator<Item = Group<R>>,
        layout: impl Into<Layout>,
        micro_batches: usize,
    ) -> Result<Self, Error> {
        Self::of(world, layout.into(), micro_batches, |part| Ok(Optimizer::with_groups(groups, part)?))
    }

    /// Of what all ranks make for their own parts.
    pub(crate) fn of(
        world: &impl Communicator,
        layout: Layout,
        micro_batches: usize,
        make: impl FnOnce(Layout) -> Result<Optimizer<R>, Error>,
    ) -> Result<Self, Error> {
        let world = world.duplicate();
        let (rank, ranks, len) = (world.rank() as usize, world.size() as usize, layout.whole());
        let make = || {
            if !(1..=MICRO_BATCHES).contains(&micro_batches) {
                return Err(Error::MicroBatches { allowed: MICRO_BATCHES, found: micro_batches });
            }
            check_layout(&layout, &(0..len), len)?;
            let exchange = Exchange::new(rank, ranks, len, micro_batches, BUCKET)?;
            let optimizer = make(layout.part(exchange.own())?)?;
            let mut text = record(&optimizer)?;
            text["micro_batches"] = micro_batches.into();
            Ok((optimizer, exchange, text))
        };
        let (made, intent) = match make() {
            Ok(made) => {
                let intent = Intent::of(&made.2);
                (Some(made), Ok(intent))
            }
            Err(error) => (None, Err(error)),
        };
        let text = made.as_ref().map(|(.., text)| text.clone());
        agree(&world, intent, || Ok(text.unwrap_or_default()))?;
        let (optimizer, exchange, _) = made.expect("no rank has found an error");
        let gradients = Gradients::new(len, share(rank, ranks, micro_batches));
        Ok(Self { world, optimizer, gradients, exchange, micro_batches, digest: None, compared: false })
    }

    /// Changes the learning rate, as [`Optimizer::set_lr`] does.
    ///
    /// # Errors
    /// As there.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), Error> {
        self.optimizer.set_lr(lr)?;
        // Cheaper than to make a record for each step of a schedule.
        self.digest = self.digest.map(|digest| {
            let mut hasher = XxHash3_64::with_seed(digest);
            hasher.write_u64(lr.to_bits());
            hasher.finish()
        });
        Ok(())
    }

    /// One step by the gradients of all micro-batches of all ranks, with what `pipeline` asks for on the way: those of this rank
    /// must have been [filled in](Self::grads), and are used up, unless ranks do not agree. On every rank, `params` are all parameters; every rank has the
    /// same ones afterwards, and the same report.
    ///
    /// # Errors
    /// As [`Optimizer::step_with`], and [`Error::Optimizer`] if the update of a [layerwise](lanestep::Formula::LAYERWISE) rule is to be
    /// measured; [`Error::Missing`] if gradients are still to come; [`Error::Unlike`], [`Error::Params`] or [`Error::Elsewhere`] if
    /// other ranks are about to do something else. Nothing has been written then, on any rank.
    pub fn step<P: Element>(&mut self, params: &mut [P], pipeline: &Pipeline) -> Result<Report, Error> {
        self.step_tensors(&mut [params], pipeline)
    }

    /// The same with parameters in many slices, which laid end to end are all of them: the layers of
    /// [layerwise](lanestep::Formula::LAYERWISE) rules.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_tensors<P: Element>(
        &mut self,
        params: &mut [&mut [P]],
        pipeline: &Pipeline,
    ) -> Result<Report, Error> {
        let mut params = Pieces::new(params);
        let lens = params.lens();
        let intent = self.intent(&mut params, &lens, pipeline);
        let unlike = agree(&self.world, intent, || self.text::<P>(&lens, pipeline))?;
        if unlike {
            // The same in other ways.
            self.digest = None;
        }
        self.compared = true;
        let mut sums = self.gradients.take();
        let step = self.optimizer.in_parts(pipeline)?;
        let report = take(&self.world, &mut self.exchange, step, pipeline, &mut params, &lens, &mut sums);
        self.gradients.recycle(sums);
        report
    }

    /// Lets parameters and their [average](Optimizer::swap_ema) change places, to evaluate or ship the average: all ranks call it together, and
    /// have all of it afterwards. The second call puts both back, bit for bit; until then, steps are an error.
    ///
    /// # Errors
    /// As [`Optimizer::swap_ema`]; [`Error::Unlike`] and [`Error::Elsewhere`] as [`step`](Self::step).
    pub fn swap_ema<P: Element>(&mut self, params: &mut [&mut [P]]) -> Result<(), Error> {
        let (mut params, own) = (Pieces::new(params), self.range());
        let lens = params.lens();
        let text = || self.described::<P>(&lens);
        let intent = self.check(&lens).and_then(|()| Ok(Intent::of(&text()?)));
        agree(&self.world, intent, text)?;
        let swapped = self.optimizer.swap_ema(&mut params.alone(own)).map_err(Error::from);
        elsewhere(&self.world, swapped)?;
        self.gather(&mut params);
        Ok(())
    }

    /// What this rank is about to do, or why it cannot.
    fn intent<P: Element>(
        &mut self,
        params: &mut Pieces<'_, '_, P>,
        lens: &[usize],
        pipeline: &Pipeline,
    ) -> Result<Intent, Error> {
        self.gradients.check()?;
        self.check(lens)?;
        // What a step refuses is to be found before anything is sent: a leaf of parameters shows it.
        let own = self.exchange.own();
        let first = own.start..own.end.min(own.start + Layout::LEAF);
        self.optimizer.in_parts(pipeline)?.measure(own.start, &mut params.alone(first))?;

        let mut hasher = XxHash3_64::new();
        hasher.write_u64(self.digest()?);
        hasher.write(json!(pipeline).to_string().as_bytes());
        hasher.write(type_name::<P>().as_bytes());
        hasher.write_usize(self.exchange.cut.piece());
        hasher.write_usize(self.micro_batches);
        lens.iter().for_each(|len| hasher.write_usize(*len));
        let digest = hasher.finish();
        let mut hasher = XxHash3_64::new();
        if !self.compared {
            params.hash(&mut hasher);
        }
        Ok(Intent { digest, params: hasher.finish() })
    }

    /// That of the optimizer.
    fn digest(&mut self) -> Result<u64, Error> {
        if let Some(digest) = self.digest {
            return Ok(digest);
        }
        let Intent { digest, .. } = Intent::of(&record(&self.optimizer)?);
        self.digest = Some(digest);
        Ok(digest)
    }

    /// What the optimizer is, and slices of these lengths that are its parameters: what must be alike wherever all do something together.
    pub(crate) fn described<P>(&self, lens: &[usize]) -> Result<Value, Error> {
        let mut text = record(&self.optimizer)?;
        text["elements"] = type_name::<P>().into();
        text["tensors"] = lens.into();
        Ok(text)
    }

    /// What must be alike in a step.
    fn text<P>(&self, lens: &[usize], pipeline: &Pipeline) -> Result<Value, Error> {
        let mut text = self.described::<P>(lens)?;
        text["micro_batches"] = self.micro_batches.into();
        text["bucket"] = self.exchange.cut.piece().into();
        text["pipeline"] = json!(pipeline);
        Ok(text)
    }
}

/// Whether a layout is of these places among so many.
fn check_layout(layout: &Layout, places: &Range<usize>, whole: usize) -> Result<(), Error> {
    let (expected, found) = ((places.clone(), whole), (layout.places(), layout.whole()));
    if found == expected { Ok(()) } else { Err(Error::Layout { expected, found }) }
}

/// What an optimizer is besides its numbers.
fn record<R: Recorded>(optimizer: &Optimizer<R>) -> Result<Value, Error> {
    let record = Snapshot::of(optimizer).record()?;
    let mut record: Value = serde_json::from_str(&record).expect("a record is JSON");
    record["len"] = optimizer.layout().whole().into();
    Ok(record)
}

impl<R> Sharded<R> {
    /// The micro-batches of this rank: a run of all, which may be empty.
    #[must_use]
    pub fn micro_batches(&self) -> Range<usize> {
        self.gradients.batches()
    }

    /// What of the parameters this rank keeps the state of.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.exchange.own()
    }

    /// The same of all ranks.
    pub(crate) fn ranges(&self) -> Vec<Range<usize>> {
        let cut = self.exchange.cut;
        (0..cut.ranks).map(|rank| cut.own(rank)).collect()
    }

    pub(crate) const fn world(&self) -> &SimpleCommunicator {
        &self.world
    }

    /// Whether slices of these lengths are all parameters: where the layout has names, its tensors, or one slice of all. And whether the
    /// optimizer is still one of this rank's range.
    pub(crate) fn check(&self, lens: &[usize]) -> Result<(), Error> {
        check_layout(self.optimizer.layout(), &self.range(), self.exchange.cut.len)?;
        let (layout, found) = (self.optimizer.layout(), lens.iter().sum());
        let expected = layout.whole();
        let tensors = layout.iter().count();
        if tensors == 0 || found == expected && lens.len() == 1 {
            let wrong = lanestep::Error::Length { what: "params", expected, found };
            return if found == expected { Ok(()) } else { Err(wrong.into()) };
        }
        for (index, (found, (name, range))) in lens.iter().zip(layout.iter()).enumerate() {
            if *found != range.len() {
                let (name, expected, found) = (name.to_owned(), range.len(), *found);
                return Err(lanestep::Error::TensorLength { index, name, expected, found }.into());
            }
        }
        if lens.len() != tensors {
            return Err(lanestep::Error::TensorCount { expected: tensors, found: lens.len() }.into());
        }
        Ok(())
    }

    /// Brings to all ranks what each has in its range.
    pub(crate) fn gather<P: Element>(&mut self, params: &mut Pieces<'_, '_, P>) {
        self.exchange.step(&self.world, Source::None, params, |_, _, _| ());
        self.compared = true;
    }

    /// Where the time of the last step went, on this rank.
    #[must_use]
    pub const fn times(&self) -> Times {
        self.exchange.times
    }

    /// Zeros, one for each parameter, to be filled with the gradients of one of [this rank's micro-batches](Self::micro_batches), in
    /// their order. Those of the one before are summed with others as soon as this is called.
    ///
    /// # Errors
    /// [`Error::MicroBatch`] if it is not the next.
    pub fn grads(&mut self, micro_batch: usize) -> Result<&mut [f32], Error> {
        self.gradients.begin(micro_batch)
    }

    /// Forgets the gradients that there are since the last step, as after an error: the first micro-batch is the next.
    pub fn forget_grads(&mut self) {
        self.gradients.forget();
    }

    /// Goes on in rounds of about so many elements of all ranks together: while one is stepped, the next is exchanged and the one
    /// before gathered. Each rank has at least [`Layout::LEAF`] of them. The bits do not depend on it. Default: 2^20.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub fn set_bucket(&mut self, elements: usize) -> Result<(), Error> {
        self.exchange.set_bucket(elements)
    }

    /// The optimizer of this rank's [range](Self::range).
    #[must_use]
    pub const fn optimizer(&self) -> &Optimizer<R> {
        &self.optimizer
    }

    /// The same, to be set. All ranks must set the same, but for its state, its level and its parallelism.
    pub const fn optimizer_mut(&mut self) -> &mut Optimizer<R> {
        self.digest = None;
        &mut self.optimizer
    }
}

impl<R: fmt::Debug> fmt::Debug for Sharded<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded")
            .field("range", &self.range())
            .field("micro_batches", &self.micro_batches())
            .field("optimizer", &self.optimizer)
            .finish_non_exhaustive()
    }
}
