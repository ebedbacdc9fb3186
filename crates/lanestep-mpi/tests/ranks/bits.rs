//! The bits of one process on any number of ranks.

use crate::model::{Model, gradient, layerwise};
use lanestep::{AdamW, AnyRule, Format, Group, Lamb, Lars, Layout, NonFinite, Pipeline, Rounding, Sgd};
use lanestep_mpi::Sharded;
use mpi::topology::SimpleCommunicator;

const LEAF: usize = Layout::LEAF;

fn plain(rule: impl Into<AnyRule>, len: usize, micro_batches: usize) -> Model {
    Model {
        seed: 1,
        groups: vec![Group::new(rule.into(), 0..len)],
        tensors: vec![len],
        micro_batches,
        bucket: 1,
        format: Format::F32,
        params: Format::F32,
        rounding: Rounding::Nearest,
        split: false,
        ema: None,
        pipelines: vec![Pipeline::default(); 2],
    }
}

/// Lengths and numbers of micro-batches around those of ranks.
pub(crate) fn lengths(world: &SimpleCommunicator) -> Result<(), String> {
    let clipped = Pipeline { max_norm: Some(0.5), measure_update: true, ..Pipeline::default() };
    for (k, len) in [0, 1, LEAF - 1, LEAF + 1, 3 * LEAF, 8 * LEAF + 777].into_iter().enumerate() {
        for (l, micro_batches) in [[1, 5], [3, 8], [2, 13]][k % 3].into_iter().enumerate() {
            let bucket = [1, 1 << 30][(k + l) % 2];
            let tensors = if len > LEAF { vec![0, 5, len - 5, 0] } else { vec![len] };
            let pipelines = vec![Pipeline::default(), clipped];
            let model = plain(AdamW::default(), len, micro_batches);
            Model { bucket, tensors, pipelines, ..model }.check(world)?;
        }
    }
    Ok(())
}

/// Every rule beside another one, with everything that a step can do in turns.
pub(crate) fn rules(world: &SimpleCommunicator) -> Result<(), String> {
    let rules = AnyRule::all();
    for (k, rule) in rules.iter().enumerate() {
        let len = [3 * LEAF + 777, 4 * LEAF, 2 * LEAF + 1][k % 3];
        let other = AnyRule::from(Sgd { momentum: 0.9, ..Sgd::default() });
        // Not at leaves, and in the middle of a block of a format.
        let ends = [0, len / 3 + 1, 2 * len / 3, len - 100, len];
        let frozen = Group { frozen: true, ..Group::new(*rule, ends[2]..ends[3]) };
        let groups = vec![
            Group::over(*rule, [ends[0]..ends[1], ends[3]..ends[4]]),
            Group { lr_scale: 0.5, ..Group::new(other, ends[1]..ends[2]) },
            Group { frozen: k % 2 == 0, ..frozen },
        ];
        let params = [Format::F32, Format::Bf16, Format::F16, Format::F32, Format::Bf16][k % 5];
        let non_finite = [NonFinite::Propagate, NonFinite::Skip, NonFinite::Error][k % 3];
        let pipeline = Pipeline {
            scale: [1.0, 0.25][k % 2],
            max_norm: [None, Some(1.0), None, Some(1e9)][k % 4],
            clip_value: [None, Some(0.1)][k % 2],
            non_finite,
            measure_update: k % 2 == 0 && !layerwise(rule),
            ..Pipeline::default()
        };
        Model {
            seed: k as u64,
            groups,
            tensors: vec![10, len / 2, 0, len - len / 2 - 10],
            micro_batches: [5, 8, 3][k % 3],
            bucket: [1, 1 << 20][k % 2],
            format: [Format::F32, Format::Bf16, Format::F16, Format::Block8][k % 4],
            params,
            rounding: [Rounding::Nearest, Rounding::Stochastic { seed: 7 }][k / 2 % 2],
            split: k % 5 == 4,
            ema: [None, Some(0.9)][k / 3 % 2],
            pipelines: vec![pipeline; 3],
        }
        .check(world)?;
    }
    Ok(())
}

/// Rules whose layers cuts go through, that begin and end anywhere.
pub(crate) fn layers(world: &SimpleCommunicator) -> Result<(), String> {
    let rules = [AnyRule::from(Lamb::default()), Lars { momentum: 0.9, ..Lars::default() }.into()];
    for (k, rule) in rules.into_iter().enumerate() {
        for tensors in
            [vec![5 * LEAF], vec![100, 3 * LEAF, 40, 2 * LEAF - 7, 0, 9000], vec![LEAF - 1, LEAF, 2]]
        {
            let len = tensors.iter().sum();
            let pipeline = Pipeline { max_norm: [None, Some(1.0)][k], ..Pipeline::default() };
            let model = plain(rule, len, 3);
            let groups = vec![
                Group::over(rule, [0..len / 2, len - 9..len]),
                Group::new(Sgd::default().into(), len / 2..len - 9),
            ];
            let model = Model { groups, tensors, pipelines: vec![pipeline; 2], ..model };
            model.check(world)?;
            let params = [Format::Bf16, Format::F16][k];
            Model { params, split: k == 0, format: Format::Block8, ema: Some(0.5), ..model }.check(world)?;
        }
    }
    Ok(())
}

/// Gradients take a buffer for each bit of the number of micro-batches, and not one for each.
pub(crate) fn memory(world: &SimpleCommunicator) -> Result<(), String> {
    let len = 100;
    let mut sharded =
        Sharded::new(world, AnyRule::from(Sgd::default()), len, 64).map_err(|error| error.to_string())?;
    let mut params = vec![0.0_f32; len];
    let mut places = std::collections::HashSet::new();
    for step in 0..3 {
        for batch in sharded.micro_batches() {
            let grads = sharded.grads(batch).map_err(|error| error.to_string())?;
            gradient(1, step, batch, grads);
            places.insert(grads.as_ptr() as usize);
        }
        sharded.step(&mut params, &Pipeline::default()).map_err(|error| error.to_string())?;
    }
    // Sixteen on each of four ranks: sums of 8, 4, 2 and 1, and those that are filled.
    if places.len() > 5 { Err(format!("{} buffers", places.len())) } else { Ok(()) }
}
