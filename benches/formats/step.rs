//! A step over numbers in the formats of a row.

use super::row::{Beside, Row, UNIT};
use bytemuck::{cast_slice, cast_slice_mut};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use lanestep::{AdamW, Buffer, Format, Level, Optimizer, Parallelism, Pipeline, Rounding, Tensor, reference};
use std::ops::Range;

const SEED: u64 = 7;

/// Parameters and gradients of a few sizes and both signs.
pub(crate) struct Data {
    params: Vec<f32>,
    grads: Vec<f32>,
}

impl Data {
    pub(crate) fn new(n: usize) -> Self {
        let rng = &mut fastrand::Rng::with_seed(n as u64);
        let sizes = [1.0, 1e-1, 1e-2, 1e-4];
        let grads = (0..n).map(|_| (rng.f32() - 0.5) * sizes[rng.usize(..4)]).collect();
        Self { params: (0..n).map(|_| rng.f32() - 0.5).collect(), grads }
    }
}

pub(crate) struct Step {
    row: Row,
    optimizer: Optimizer<AdamW>,
    params: Buffer,
    grads: Buffer,
    mirror: Buffer,
}

impl Step {
    /// After some steps that are checked against the reference, where the numbers begin and where they end.
    pub(crate) fn new(row: Row, data: &Data, level: Level, parallelism: Parallelism) -> Self {
        let n = data.params.len();
        let mirror = if row.beside == Beside::Mirror { n / 2 } else { 0 };
        let lens = [n * width(row.params) / 4, n * width(row.grads) / 4, mirror];
        let [params, grads, mirror] = Buffer::together(lens).expect("memory");
        let mut optimizer = Optimizer::new(AdamW::default(), n).expect("memory");
        optimizer.set_state_format(None, row.state).expect("memory");
        optimizer.set_level(level);
        optimizer.set_parallelism(parallelism);
        if row.stochastic {
            optimizer.set_rounding(Rounding::Stochastic { seed: SEED });
        }
        let mut step = Self { row, optimizer, params, grads, mirror };
        put(row.params, &mut step.params, &data.params);
        put(row.grads, &mut step.grads, &data.grads);
        if row.beside == Beside::Lower {
            step.optimizer.set_split(true).expect("memory");
            let halves = &mut [Tensor::of(cast_slice_mut::<_, bf16>(&mut step.params))];
            step.optimizer.set_masters(&data.params, halves).expect("as many");
        }
        step.check();
        step
    }

    pub(crate) fn run(&mut self) {
        let (params, grads) = (&mut *self.params, &*self.grads);
        let mut tensor = match (self.row.params, self.row.grads) {
            (Format::F32, Format::F32) => Tensor::new(params, grads),
            (Format::F32, Format::Bf16) => Tensor::new(params, cast_slice::<_, bf16>(grads)),
            (Format::F32, Format::F16) => Tensor::new(params, cast_slice::<_, f16>(grads)),
            (Format::Bf16, Format::F32) => Tensor::new(cast_slice_mut::<_, bf16>(params), grads),
            (Format::Bf16, Format::Bf16) => {
                Tensor::new(cast_slice_mut::<_, bf16>(params), cast_slice::<_, bf16>(grads))
            }
            other => panic!("no row has {other:?}"),
        };
        if self.row.beside == Beside::Mirror {
            tensor = tensor.mirrored(cast_slice_mut::<_, bf16>(&mut self.mirror));
        }
        self.optimizer.step_with(&mut [tensor], &Pipeline::default()).expect("right lengths");
    }

    /// Runs, and compares what is left with what the reference leaves, bit for bit.
    fn check(&mut self) {
        const STEPS: u64 = 3;
        const SOME: usize = 8 * UNIT;
        let (mut numbers, grads) = (self.numbers(), get(self.row.grads, &self.grads));
        let n = grads.len();
        let windows = [0..SOME, n - SOME..n];
        let expected = windows.clone().map(|window| {
            let mut state = vec![vec![0.0; SOME]; 2];
            let mut params = numbers[0][window.clone()].to_vec();
            for step in 0..STEPS {
                reference::adamw(
                    &AdamW::default(),
                    step + 1,
                    &mut params,
                    &grads[window.clone()],
                    &mut state,
                );
                for (name, slot) in ["exp_avg", "exp_avg_sq"].into_iter().zip(&mut state) {
                    self.round(slot, self.row.state, (step, window.start, name));
                }
                if self.row.beside != Beside::Lower {
                    self.round(&mut params, self.row.params, (step, window.start, "params"));
                }
            }
            let copy = if self.row.beside == Beside::Mirror {
                params.iter().map(|p| reference::bf16(*p, None)).collect()
            } else {
                vec![]
            };
            let [first, second] = [0, 1].map(|slot| state[slot].clone());
            [params, first, second, copy]
        });
        (0..STEPS).for_each(|_| self.run());
        numbers = self.numbers();
        for (window, expected) in windows.into_iter().zip(expected) {
            for (found, expected) in numbers.iter().zip(expected) {
                let found = found.get(window.clone()).unwrap_or_default();
                let same = found.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits()));
                assert!(same, "{}: other bits than the reference", self.row.name);
            }
        }
    }

    /// Parameters, moments and the copy, as they are computed with.
    fn numbers(&mut self) -> [Vec<f32>; 4] {
        let n = self.optimizer.len();
        let [mut params, mut first, mut second] = [0; 3].map(|_| vec![0.0; n]);
        if self.row.beside == Beside::Lower {
            let halves = &[Tensor::of(cast_slice_mut::<_, bf16>(&mut self.params))];
            self.optimizer.masters(halves, &mut params).expect("as many");
        } else {
            params = get(self.row.params, &self.params);
        }
        self.optimizer.read_state("exp_avg", &mut first).expect("a state of AdamW");
        self.optimizer.read_state("exp_avg_sq", &mut second).expect("a state of AdamW");
        [params, first, second, get(Format::Bf16, &self.mirror)]
    }

    /// What is kept of numbers, of which the first is the `start`th of all.
    fn round(&self, numbers: &mut [f32], format: Format, (step, start, name): (u64, usize, &str)) {
        let stochastic = self.row.stochastic;
        let random = |i: usize| {
            let seed = if stochastic { SEED } else { 0 };
            reference::random16(seed, step, (start + i) as u64, name)
        };
        let maybe = |i| stochastic.then(|| random(i));
        match format {
            Format::F32 => {}
            Format::Bf16 => (0..).zip(numbers).for_each(|(i, x)| *x = reference::bf16(*x, maybe(i))),
            Format::F16 => {
                let kept = if name == "exp_avg_sq" { reference::positive_f16 } else { reference::f16 };
                (0..).zip(numbers).for_each(|(i, x)| *x = kept(*x, maybe(i)));
            }
            Format::Block8 => {
                for (start, block) in (0..).step_by(UNIT).zip(numbers.chunks_mut(UNIT)) {
                    let signed = name == "exp_avg";
                    let random: Vec<_> = Range { start, end: start + block.len() }.map(random).collect();
                    let (scale, codes) = reference::block8(signed, block, &random);
                    block.copy_from_slice(&reference::from_block8(signed, scale, &codes));
                }
            }
            other => panic!("no row has {other}"),
        }
    }
}

/// The bytes of a number.
fn width(format: Format) -> usize {
    if format == Format::F32 { 4 } else { 2 }
}

fn put(format: Format, to: &mut [f32], numbers: &[f32]) {
    match format {
        Format::Bf16 => cast_slice_mut::<_, bf16>(to).convert_from_f32_slice(numbers),
        Format::F16 => cast_slice_mut::<_, f16>(to).convert_from_f32_slice(numbers),
        _ => to.copy_from_slice(numbers),
    }
}

fn get(format: Format, from: &[f32]) -> Vec<f32> {
    match format {
        Format::Bf16 => cast_slice::<_, bf16>(from).iter().map(|x| x.to_f32()).collect(),
        Format::F16 => cast_slice::<_, f16>(from).iter().map(|x| x.to_f32()).collect(),
        _ => from.to_vec(),
    }
}
