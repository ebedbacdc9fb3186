//! What is unlike on some rank is found before anything is written, and said on all.

use crate::model::gradient;
use half::bf16;
use lanestep::{AdamW, AnyRule, Layout, NonFinite, Optimizer, Pipeline, Tensor};
use lanestep_mpi::{Error, Sharded};
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;

const LEN: usize = 2 * Layout::LEAF + 5;

fn adamw(lr: f64) -> AnyRule {
    AdamW { lr, ..AdamW::default() }.into()
}

/// Whether an error says so of rank 1.
fn unlike<T>(result: Result<T, Error>, path: &str, there: &str, here: &str) -> Result<(), String> {
    match result {
        Err(Error::Unlike { rank: 1, what, expected, found })
            if what == path && expected == here && found == there =>
        {
            Ok(())
        }
        Err(other) => Err(format!("{path}: {other:?}")),
        Ok(_) => Err(format!("{path}: no error")),
    }
}

pub(crate) fn all(world: &SimpleCommunicator) -> Result<(), String> {
    let one = world.rank() == 1;
    makes(world, one)?;
    steps(world, one)
}

fn makes(world: &SimpleCommunicator, one: bool) -> Result<(), String> {
    let lr = if one { 0.5 } else { 0.25 };
    unlike(Sharded::new(world, adamw(lr), LEN, 2), "param_groups[0].lr", "0.5", "0.25")?;
    let len = LEN + usize::from(one);
    unlike(Sharded::new(world, adamw(0.1), len, 2), "len", &(LEN + 1).to_string(), &LEN.to_string())?;
    let batches = if one { 3 } else { 2 };
    unlike(Sharded::new(world, adamw(0.1), LEN, batches), "micro_batches", "3", "2")?;
    match (Sharded::new(world, adamw(if one { -1.0 } else { 0.1 }), LEN, 2).map(drop), one) {
        (Err(Error::Optimizer(lanestep::Error::Hyperparameter { name: "lr", .. })), true) => (),
        (Err(Error::Elsewhere { rank: 1, message }), false) if message.starts_with("lr is -1") => (),
        (other, _) => return Err(format!("a bad rule: {other:?}")),
    }
    match Sharded::new(world, adamw(0.1), LEN, 0) {
        Err(Error::MicroBatches { found: 0, .. }) => (),
        other => return Err(format!("no micro-batches: {other:?}")),
    }
    let part = Layout::from(LEN).part(0..Layout::LEAF).map_err(|error| error.to_string())?;
    match Sharded::new(world, adamw(0.1), part, 2) {
        Err(Error::Layout { found, .. }) if found == (0..Layout::LEAF, LEN) => Ok(()),
        other => Err(format!("a part: {other:?}")),
    }
}

fn steps(world: &SimpleCommunicator, one: bool) -> Result<(), String> {
    let say = |error: Error| error.to_string();
    let plain = Pipeline::default();
    let mut sharded = Sharded::new(world, adamw(0.1), LEN, 5).map_err(say)?;
    let start: Vec<f32> = (0..LEN).map(|i| i as f32 * 1e-3).collect();
    let mut params = start.clone();

    // Gradients in order, and all of them.
    let batches = sharded.micro_batches();
    match sharded.grads(batches.end).map(drop) {
        Err(Error::MicroBatch { found, .. }) if found == batches.end => (),
        other => return Err(format!("another rank's micro-batch: {other:?}")),
    }
    for batch in batches.clone().skip(usize::from(one)) {
        let batch = batch - usize::from(one);
        gradient(1, 0, batch, sharded.grads(batch).map_err(say)?);
    }
    let next = batches.end - 1;
    match (sharded.step(&mut params, &plain), one) {
        (Err(Error::Missing { next: found }), true) if found == next => (),
        (Err(Error::Elsewhere { rank: 1, message }), false) if message.contains("still to come") => (),
        (other, _) => return Err(format!("missing gradients: {other:?}")),
    }
    if one {
        gradient(1, 0, next, sharded.grads(next).map_err(say)?);
    }

    // Parameters.
    let mut short = start[..LEN - 1].to_vec();
    match (if one { sharded.step(&mut short, &plain) } else { sharded.step(&mut params, &plain) }, one) {
        (Err(Error::Optimizer(lanestep::Error::Length { what: "params", .. })), true) => (),
        (Err(Error::Elsewhere { rank: 1, .. }), false) => (),
        (other, _) => return Err(format!("a wrong length: {other:?}")),
    }
    params[7] += if one { 1.0 } else { 0.0 };
    match sharded.step(&mut params, &plain) {
        Err(Error::Params { rank: 1 }) => (),
        other => return Err(format!("other parameters: {other:?}")),
    }
    params[7] = start[7];
    let mut halves = vec![bf16::ZERO; LEN];
    let found = if one { sharded.step(&mut halves, &plain) } else { sharded.step(&mut params, &plain) };
    match found {
        Err(Error::Unlike { rank: 1, what, .. }) if what == "elements" => (),
        other => return Err(format!("other elements: {other:?}")),
    }

    // Another optimizer.
    if one {
        let other = Optimizer::new(adamw(0.1), LEN).map_err(|error| error.to_string())?;
        let own = std::mem::replace(sharded.optimizer_mut(), other);
        let found = sharded.step(&mut params, &plain);
        *sharded.optimizer_mut() = own;
        match found {
            Err(Error::Layout { found, .. }) if found == (0..LEN, LEN) => (),
            other => return Err(format!("an optimizer of all: {other:?}")),
        }
    } else {
        match sharded.step(&mut params, &plain) {
            Err(Error::Elsewhere { rank: 1, .. }) => (),
            other => return Err(format!("an optimizer of all on rank 1: {other:?}")),
        }
    }

    // What is set.
    let pipeline = Pipeline { max_norm: one.then_some(1.0), ..plain };
    unlike(sharded.step(&mut params, &pipeline), "pipeline.max_norm", "1.0", "null")?;
    let pipeline = Pipeline { scale: if one { -1.0 } else { 1.0 }, ..plain };
    match (sharded.step(&mut params, &pipeline), one) {
        (Err(Error::Optimizer(lanestep::Error::Hyperparameter { name: "scale", .. })), true) => (),
        (Err(Error::Elsewhere { rank: 1, .. }), false) => (),
        (other, _) => return Err(format!("a bad pipeline: {other:?}")),
    }
    sharded.set_bucket(if one { 1 } else { 1 << 20 }).map_err(say)?;
    match sharded.step(&mut params, &plain) {
        Err(Error::Unlike { rank: 1, what, .. }) if what == "bucket" => (),
        other => return Err(format!("other buckets: {other:?}")),
    }
    sharded.set_bucket(1).map_err(say)?;
    sharded.set_lr(if one { 0.3 } else { 0.2 }).map_err(say)?;
    unlike(sharded.step(&mut params, &plain), "param_groups[0].lr", "0.3", "0.2")?;
    // The same, but set otherwise.
    if one {
        sharded.optimizer_mut().set_lr(0.2).map_err(|error| error.to_string())?;
    }
    sharded.optimizer_mut().set_steps(if one { 3 } else { 0 });
    unlike(sharded.step(&mut params, &plain), "steps", "3", "0")?;
    sharded.optimizer_mut().set_steps(0);
    let (left, right) = params.split_at_mut(if one { 9 } else { 8 });
    unlike(sharded.step_tensors(&mut [left, right], &plain), "tensors[0]", "9", "8")?;

    // Nothing has been written until now, and now it goes well.
    let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    if bits(&params) != bits(&start) || sharded.optimizer().steps() != 0 {
        return Err("something was written".to_owned());
    }
    let leaf = |batch| {
        let mut grads = vec![0.0; LEN];
        gradient(1, 0, batch, &mut grads);
        grads
    };
    let grads = crate::model::summed(0, 8, 5, &leaf);
    let mut expected = start.clone();
    let mut optimizer = Optimizer::new(adamw(0.1), LEN).map_err(|error| error.to_string())?;
    optimizer.set_lr(0.2).map_err(|error| error.to_string())?;
    let pipeline = Pipeline { non_finite: NonFinite::Error, ..plain };
    let report = optimizer.step_with(&mut [Tensor::new(&mut expected, &grads)], &pipeline);
    let found = sharded.step(&mut params, &pipeline).map_err(say)?;
    if Ok(found) != report || bits(&params) != bits(&expected) {
        return Err("a step after errors has other bits".to_owned());
    }

    // Set alike in different ways, which is no error.
    if one {
        sharded.optimizer_mut().set_lr(0.4).map_err(|error| error.to_string())?;
    } else {
        sharded.set_lr(0.4).map_err(say)?;
    }
    for _ in 0..2 {
        for batch in sharded.micro_batches() {
            gradient(1, 1, batch, sharded.grads(batch).map_err(say)?);
        }
        sharded.step(&mut params, &plain).map_err(say)?;
    }
    Ok(())
}
