//! What scaling, clipping, skipping, zeroing, groups and many tensors cost beside the plain step.
//!
//! `cargo bench --bench pipeline` takes about three minutes and 5 GB; a filter such as `norm` or `tensors` less. Every
//! row of a group works on the same data; what is claimed are ratios within one run. Bits are a matter of the tests;
//! here, what a row returns is checked once before it is timed.

#[path = "step/turns.rs"]
mod turns;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use lanestep::{AdamW, Gradients, Group, Level, NonFinite, Optimizer, Parallelism, Pipeline, Report, Tensor};
use rayon::prelude::*;
use std::cell::{LazyCell, RefCell};
use std::mem::take;
use std::time::Duration;
use turns::in_turns;

const N: usize = 1 << 24;

type Rows<'a> = BenchmarkGroup<'a, WallTime>;

fn rows<'a>(c: &'a mut Criterion, name: &str, bytes: usize) -> Rows<'a> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4)).sample_size(20);
    group.throughput(Throughput::Bytes(bytes as u64));
    group
}

fn numbers(n: usize) -> Vec<f32> {
    let rng = &mut fastrand::Rng::with_seed(n as u64);
    (0..n).map(|_| rng.f32() - 0.5).collect()
}

struct Flat {
    optimizer: Optimizer<AdamW>,
    with_ema: Optimizer<AdamW>,
    params: Vec<f32>,
    grads: Vec<f32>,
    average: Vec<f32>,
}

impl Flat {
    fn new(n: usize) -> Self {
        let optimizer = || Optimizer::new(AdamW::default(), n).expect("memory");
        let (optimizer, mut with_ema) = (optimizer(), optimizer());
        with_ema.set_ema(0.999).expect("memory");
        let mut flat =
            Self { optimizer, with_ema, params: numbers(n), grads: numbers(n), average: numbers(n) };
        let before = flat.params[n - 1].to_bits();
        flat.plain();
        assert_ne!(flat.params[n - 1].to_bits(), before);
        flat
    }

    fn plain(&mut self) {
        self.optimizer.step(&mut self.params, &self.grads).expect("right lengths");
    }

    fn with(&mut self, pipeline: &Pipeline) -> Report {
        let tensors = &mut [Tensor::new(&mut self.params, &self.grads)];
        self.optimizer.step_with(tensors, pipeline).expect("finite gradients")
    }

    fn zeroing(&mut self) {
        let tensors = &mut [Tensor::zeroing(&mut self.params, &mut self.grads)];
        self.optimizer.step_with(tensors, &Pipeline::default()).expect("right lengths");
    }
}

fn pipeline(c: &mut Criterion) {
    let mut group = rows(c, "pipeline/AdamW/2^24", N * 28);
    let none = Pipeline::default();
    let clip = Pipeline { max_norm: Some(1.0), ..none };
    let clamp = Pipeline { scale: 0.5, clip_value: Some(0.1), ..none };
    let skip = Pipeline { non_finite: NonFinite::Skip, ..none };
    let measured = Pipeline { measure_update: true, ..none };
    let clamp_params = Pipeline { min_param: Some(-1.0), max_param: Some(1.0), ..none };
    let all = Pipeline { max_norm: Some(1.0), non_finite: NonFinite::Skip, measure_update: true, ..clamp };
    let flat = LazyCell::new(|| RefCell::new(Flat::new(N)));
    let mut row = |name: &str, step: &mut dyn FnMut(&mut Flat)| {
        in_turns(&mut group, name, &flat, &mut [("plain", &mut Flat::plain)], step);
    };
    row("plain", &mut |flat| flat.plain());
    row("scale+clamp", &mut |flat| assert!(!flat.with(&clamp).clipped()));
    row("clamp-params", &mut |flat| assert!(!flat.with(&clamp_params).skipped));
    row("norm-clip", &mut |flat| assert!(flat.with(&clip).clip_factor < 1.0));
    row("skip-non-finite", &mut |flat| assert!(!flat.with(&skip).skipped));
    row("measure-update", &mut |flat| assert!(flat.with(&measured).update.is_some()));
    row("all-of-these", &mut |flat| assert!(flat.with(&all).update.is_some()));
    // The average in the pass, and in one of its own.
    row("ema", &mut |flat| {
        let tensors = &mut [Tensor::new(&mut flat.params, &flat.grads)];
        flat.with_ema.step_with(tensors, &none).expect("right lengths");
    });
    row("plain-then-ema", &mut |flat| {
        flat.plain();
        let parts = flat.average.par_chunks_mut(1 << 16).zip(flat.params.par_chunks(1 << 16));
        parts.for_each(|(average, params)| {
            average.iter_mut().zip(params).for_each(|(average, p)| *average += 1e-3 * (p - *average));
        });
    });
    // What trainers do today: read the norm, write the gradients back, step.
    row("norm-clip-by-passes", &mut |flat| {
        let norm = Gradients::of(&flat.grads).norm;
        let factor = (1.0 / (norm + 1e-6)).min(1.0) as f32;
        flat.grads.par_chunks_mut(1 << 16).for_each(|grads| grads.iter_mut().for_each(|g| *g *= factor));
        flat.plain();
    });
    row("zeroing", &mut |flat| flat.zeroing());
    row("plain-then-fill", &mut |flat| {
        flat.plain();
        flat.grads.par_chunks_mut(1 << 16).for_each(|grads| grads.fill(0.0));
    });
}

/// Sums in as many lanes as it takes to wait for nothing but memory.
fn read(numbers: &[f32]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(numbers: &[f32]) -> u32 {
            read_lanes(numbers)
        }
        #[target_feature(enable = "avx2")]
        fn avx2(numbers: &[f32]) -> u32 {
            read_lanes(numbers)
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature has just been detected.
            return unsafe { avx512(numbers) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature has just been detected.
            return unsafe { avx2(numbers) };
        }
    }
    read_lanes(numbers)
}

#[inline(always)]
fn read_lanes(numbers: &[f32]) -> u32 {
    let mut lanes = [0_u32; 64];
    for tile in numbers.as_chunks::<64>().0 {
        for k in 0..64 {
            lanes[k] ^= tile[k].to_bits();
        }
    }
    lanes.iter().fold(0, |all, lane| all ^ lane)
}

/// Reading the gradients and nothing else, on one thread and with one part for each.
fn norm(c: &mut Criterion) {
    for (name, n) in [("norm/2^14", 1 << 14), ("norm/2^24", N)] {
        let mut group = rows(c, name, n * 4);
        let grads = numbers(n); // the same pages for every row
        let part = n.div_ceil(rayon::current_num_threads()).next_multiple_of(64);
        let in_parts = || grads.par_chunks(part).map(read).reduce(|| 0, |a, b| a ^ b);
        group.bench_function("ceiling/serial", |b| b.iter(|| read(&grads)));
        for level in Level::available() {
            let measure = || Gradients::measure(&grads, level, Parallelism::Serial);
            assert_eq!(measure(), Gradients::of(&grads));
            group.bench_function(format!("{level}/serial"), |b| b.iter(measure));
        }
        group.bench_function("ceiling/rayon", |b| b.iter(in_parts));
        group.bench_function("lanestep/rayon", |b| b.iter(|| Gradients::of(&grads)));
    }
}

/// The tensors of GPT-2 small, 124 million parameters in 148 tensors.
fn gpt2() -> Vec<usize> {
    let d = 768;
    let layer = [d, d, d * 3 * d, 3 * d, d * d, d, d, d, d * 4 * d, 4 * d, 4 * d * d, d];
    [vec![50257 * d, 1024 * d], layer.repeat(12), vec![d, d]].concat()
}

/// Tensors that lie where the flat slices do, so that only the cuts differ, and tensors with memory of their own.
struct Many {
    flat: Flat,
    in_groups: Optimizer<AdamW>,
    apart: Vec<(Vec<f32>, Vec<f32>)>,
    lens: Vec<usize>,
}

impl Many {
    fn new(lens: &[usize]) -> Self {
        let mut ranges = [vec![], vec![]];
        let mut start = 0;
        for (i, len) in lens.iter().enumerate() {
            ranges[i % 2].push(start..start + len);
            start += len;
        }
        // Every second tensor is in a group without decay.
        let [decayed, bare] = ranges;
        let adamw = AdamW::default();
        let groups = [Group::over(adamw, decayed), Group::over(AdamW { weight_decay: 0.0, ..adamw }, bare)];
        Self {
            flat: Flat::new(start),
            in_groups: Optimizer::with_groups(groups, start).expect("memory"),
            apart: lens.iter().map(|&len| (numbers(len), numbers(len))).collect(),
            lens: lens.to_vec(),
        }
    }

    fn cut(&mut self, optimizer: impl FnOnce(&mut Self) -> &mut Optimizer<AdamW>) {
        let (mut params, mut grads) = (take(&mut self.flat.params), take(&mut self.flat.grads));
        let (mut rest, mut rest_grads, mut tensors) = (&mut params[..], &grads[..], vec![]);
        for &len in &self.lens {
            let (now, after) = rest.split_at_mut(len);
            let (now_grads, after_grads) = rest_grads.split_at(len);
            tensors.push(Tensor::new(now, now_grads));
            (rest, rest_grads) = (after, after_grads);
        }
        optimizer(self).step_with(&mut tensors, &Pipeline::default()).expect("right lengths");
        drop(tensors);
        (self.flat.params, self.flat.grads) = (take(&mut params), take(&mut grads));
    }

    fn apart(&mut self) {
        let tensors = self.apart.iter_mut().map(|(params, grads)| Tensor::new(params, grads));
        let mut tensors: Vec<_> = tensors.collect();
        self.flat.optimizer.step_with(&mut tensors, &Pipeline::default()).expect("right lengths");
    }
}

fn tensors(c: &mut Criterion) {
    for (name, lens) in [("tensors/gpt2-small", gpt2()), ("tensors/10000x1000", vec![1000; 10_000])] {
        let mut group = rows(c, name, lens.iter().sum::<usize>() * 28);
        let many = LazyCell::new(|| RefCell::new(Many::new(&lens)));
        let mut row = |name: &str, mut step: fn(&mut Many)| {
            in_turns(&mut group, name, &many, &mut [("plain", &mut |many| many.flat.plain())], &mut step);
        };
        row("flat", |many| many.flat.plain());
        row("tensors", |many| many.cut(|many| &mut many.flat.optimizer));
        row("tensors-apart", Many::apart);
        row("groups", |many| many.cut(|many| &mut many.in_groups));
    }
}

criterion_group!(benches, pipeline, norm, tensors);
criterion_main!(benches);
