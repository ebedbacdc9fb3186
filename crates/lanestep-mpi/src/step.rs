//! One step over all ranks, of which each steps its own range.

use crate::Error;
use crate::agree::{all, elsewhere};
use crate::exchange::{Exchange, Source, Times, kept};
use crate::pieces::Pieces;
use lanestep::{Element, InParts, Magnitude, OpenLeaf, Pipeline, Report, Rule, Tensor};
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;

/// Exchanges the sums, steps and gathers: as one pass of rounds, unless something must be known of all gradients before.
pub(crate) fn take<R: Rule, P: Element>(
    world: &SimpleCommunicator,
    exchange: &mut Exchange,
    mut step: InParts<'_, R>,
    pipeline: &Pipeline,
    params: &mut Pieces<'_, '_, P>,
    lens: &[usize],
    sums: &mut [Vec<f32>],
) -> Result<Report, Error> {
    let own = exchange.own();
    exchange.times = Times::default();
    let mut failed = Ok(());
    let mut note = |result: Result<(), lanestep::Error>| failed = failed.clone().and(result);
    let mut spare = Vec::new();
    let grads = if step.measures() || step.is_layerwise() {
        if sums.is_empty() {
            spare.resize(own.len(), 0.0);
        }
        let mut leaves = Vec::new();
        exchange.collect(world, sums, &mut spare, |part, grads| {
            if step.measures() {
                let found = step.measure(part.start, &mut params.with(part, grads));
                note(found.map(|found| leaves.extend(found)));
            }
        });
        if step.measures() && !step.decide(&all_magnitudes(world, &leaves))? {
            return Ok(step.finish(&[])?);
        }
        let grads = &*kept(sums, &mut spare, &own);
        if step.is_layerwise() {
            step.set_layers(lens)?;
            know_layers(world, &mut step, exchange, params.with(own.clone(), grads))?;
        }
        Source::Own(grads)
    } else {
        Source::Sums(sums)
    };
    let mut changes = Vec::new();
    exchange.step(world, grads, params, |part, params, grads| {
        let found = step.step(part.start, &mut params.with(part, grads));
        note(found.map(|found| changes.extend(found)));
    });
    if pipeline.measure_update {
        let (numbers, _) = all(world, changes.as_flattened());
        changes = numbers.as_chunks().0.to_vec();
    }
    // A rule may have changed its mind on one rank.
    elsewhere(world, failed.map_err(Error::from))?;
    Ok(step.finish(&changes)?)
}

/// The sums of the gradients of all ranks.
fn all_magnitudes(world: &SimpleCommunicator, own: &[Magnitude]) -> Vec<Magnitude> {
    let words = own.iter().flat_map(|found| {
        let first = found.first_non_finite.map_or(u64::MAX, |place| place as u64);
        [found.squares.to_bits(), found.max_abs.to_bits().into(), found.non_finite, first]
    });
    let (words, _) = all(world, &words.collect::<Vec<u64>>());
    let found = |[squares, max_abs, non_finite, first]: &[u64; 4]| Magnitude {
        squares: f64::from_bits(*squares),
        max_abs: f32::from_bits(*max_abs as u32),
        non_finite: *non_finite,
        first_non_finite: Some(*first as usize).filter(|_| *first != u64::MAX),
    };
    words.as_chunks().0.iter().map(found).collect()
}

/// Measures layers, of which a cut may go through.
fn know_layers<R: Rule>(
    world: &SimpleCommunicator,
    step: &mut InParts<'_, R>,
    exchange: &Exchange,
    tensors: Vec<Tensor<'_>>,
) -> Result<(), Error> {
    // An error is returned when no rank waits for another.
    let own_open = step.open_leaf(&tensors);
    let (numbers, _) = all(world, own_open.as_ref().copied().unwrap_or_default().as_flattened());
    // Those of the last rank before this that has parameters.
    let before = (0..world.rank() as usize).rev().find(|rank| !exchange.cut.own(*rank).is_empty());
    let mut open = OpenLeaf::default();
    if let Some(before) = before {
        let len = open.as_flattened().len();
        open.as_flattened_mut().copy_from_slice(&numbers[before * len..][..len]);
    }
    let own_leaves = step.layer_leaves(&tensors, &open);
    let (leaves, _) = all(world, own_leaves.as_deref().unwrap_or_default().as_flattened());
    elsewhere(world, own_open.and(own_leaves).map_err(Error::from))?;
    Ok(step.know_layers(leaves.as_chunks().0)?)
}
