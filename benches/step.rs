//! What a step costs: every rule, size and level, serial and parallel, beside the memory ceiling of the same streams.
//!
//! `cargo bench -- --quick` runs all in about two minutes; a filter such as `'AdamW/2\^24'` or `subnormal` less. A
//! result is checked against `lanestep::reference` once before it is timed. Data is warm where it fits: 2^10
//! parameters are in L1 and 2^14 in L2, 2^20 may be in L3, 2^24 are not in any cache. Throughput counts every byte
//! read and written once: 28 for a parameter of Adam.

#[path = "step/ceiling.rs"]
mod ceiling;
#[path = "step/tight.rs"]
mod tight;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use lanestep::{AdamW, AnyRule, Level, Optimizer, Parallelism, Rule};
use std::time::Duration;

const SIZES: [u32; 4] = [10, 14, 20, 24];

fn parallelisms() -> Vec<(&'static str, Parallelism)> {
    vec![
        ("serial", Parallelism::Serial),
        #[cfg(feature = "rayon")]
        ("rayon", Parallelism::RAYON),
    ]
}

struct Data {
    params: Vec<f32>,
    grads: Vec<f32>,
    state: Vec<Vec<f32>>,
}

impl Data {
    /// Parameters and gradients of a few sizes and both signs, no two neighbours alike.
    fn new(n: usize, slots: usize) -> Self {
        let rng = &mut fastrand::Rng::with_seed(n as u64);
        let params = (0..n).map(|_| rng.f32() - 0.5).collect();
        let grads = (0..n).map(|_| (rng.f32() - 0.5) * 10_f32.powi(rng.i32(-4..1))).collect();
        Self { params, grads, state: vec![vec![0.0; n]; slots] }
    }
}

/// Parameters after two steps of `rule` by the reference.
fn expect(rule: AnyRule, data: &mut Data) -> Vec<u32> {
    let mut params = data.params.clone();
    for t in 1..=2 {
        rule.reference(t, &mut params, &data.grads, &mut data.state);
    }
    bits(&params)
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

fn group<'a>(c: &'a mut Criterion, name: &str, n: usize, slots: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2)).sample_size(20);
    group.throughput(Throughput::Bytes((n * 4 * (3 + 2 * slots)) as u64));
    group
}

fn rules(c: &mut Criterion) {
    for rule in AnyRule::all().into_iter().chain(with_momentum()) {
        for size in SIZES {
            rule_at_size(c, rule, 1 << size, &format!("{}/2^{size}", title(rule)));
        }
    }
}

/// The defaults of SGD have no state.
fn with_momentum() -> Option<AnyRule> {
    Some(lanestep::Sgd { momentum: 0.9, ..Default::default() }.into())
}

fn title(rule: AnyRule) -> String {
    match rule {
        AnyRule::Sgd(sgd) if sgd.momentum != 0.0 => "SGD-momentum".to_owned(),
        _ => rule.name().to_owned(),
    }
}

fn rule_at_size(c: &mut Criterion, rule: AnyRule, n: usize, name: &str) {
    let slots = rule.slots().len();
    let mut group = group(c, name, n, slots);
    let mut data = Data::new(n, slots);
    let expected = expect(rule, &mut data);
    for (mode, parallelism) in parallelisms() {
        group.bench_function(format!("ceiling/{mode}"), |b| {
            let mut data = Data::new(n, slots);
            b.iter(|| ceiling::pass(&mut data.params, &data.grads, &mut data.state, mode == "rayon"));
        });
        for level in Level::available() {
            group.bench_function(format!("{level}/{mode}"), |b| {
                let new = || Optimizer::new(rule, n).unwrap().with_level(level).with_parallelism(parallelism);
                let mut optimizer = new();
                let mut params = data.params.clone();
                for _ in 0..2 {
                    optimizer.step(&mut params, &data.grads).unwrap();
                }
                assert!(bits(&params) == expected, "{name} {level} {mode}: other bits than the reference");
                b.iter(|| optimizer.step(&mut params, &data.grads).unwrap());
            });
        }
    }
}

/// AdamW against loops written by hand for it alone, in L2, and at a size where only the call counts.
fn yardstick(c: &mut Criterion) {
    for (n, name) in [(1 << 14, "yardstick/2^14"), (64, "yardstick/64")] {
        let rule = AnyRule::from(AdamW::default());
        let mut group = group(c, name, n, 2);
        let mut data = Data::new(n, 2);
        let expected = expect(rule, &mut data);
        let optimizer = || Optimizer::new(AdamW::default(), n).unwrap();
        group.bench_function("lanestep", |b| {
            let (mut optimizer, mut params) = (optimizer(), data.params.clone());
            b.iter(|| optimizer.step(&mut params, &data.grads).unwrap());
        });
        for (loop_name, tight) in tight::loops() {
            let mut t = 0;
            let mut step = |data: &mut Data| {
                t += 1;
                let [m, v] = &mut data.state[..] else { unreachable!("two slots") };
                tight(t, &mut data.params, &data.grads, m, v);
            };
            let mut data = Data::new(n, 2);
            step(&mut data);
            step(&mut data);
            assert!(bits(&data.params) == expected, "{loop_name}: other bits than the reference");
            group.bench_function(loop_name, |b| b.iter(|| step(&mut data)));
        }
    }
}

/// Numbers that make plain loops slow.
fn subnormal(c: &mut Criterion) {
    const N: usize = 1 << 14;
    let kinds = [("1e-20", 1e-20), ("1e-30", 1e-30), ("1e-36", 1e-36), ("1e-40", 1e-40), ("3000-zeros", 0.0)];
    for rule in AnyRule::all().into_iter().chain(with_momentum()) {
        let slots = rule.slots().len();
        let mut group = group(c, &format!("subnormal/{}", title(rule)), N, slots);
        let ordinary = Data::new(N, slots);
        let tiny = kinds.map(|(name, gradient)| (name, vec![gradient; N]));
        for (name, grads) in tiny.iter().map(|(name, grads)| (*name, grads)).chain([("ordinary", &ordinary.grads)])
        {
            group.bench_function(format!("{name}/lanestep"), |b| {
                let mut optimizer = Optimizer::new(rule, N).unwrap();
                let mut params = ordinary.params.clone();
                for t in 0..3001 {
                    let grads = if t == 0 { &ordinary.grads } else { grads };
                    optimizer.step(&mut params, grads).unwrap();
                }
                b.iter(|| optimizer.step(&mut params, grads).unwrap());
            });
        }
    }
    let mut group = group(c, "subnormal/AdamW", N, 2);
    let ordinary = Data::new(N, 2);
    let tiny = kinds.map(|(name, gradient)| (name, vec![gradient; N]));
    for (name, grads) in tiny.iter().map(|(name, grads)| (*name, grads)).chain([("ordinary", &ordinary.grads)]) {
        group.bench_function(format!("{name}/plain-loop"), |b| {
            let mut data = Data::new(N, 2);
            let [m, v] = &mut data.state[..] else { unreachable!("two slots") };
            for t in 1..=3001 {
                let grads = if t == 1 { &ordinary.grads } else { grads };
                tight::plain(t, &mut data.params, grads, m, v);
            }
            b.iter(|| tight::plain(3002, &mut data.params, grads, m, v));
        });
    }
}

criterion_group!(benches, yardstick, subnormal, rules);
criterion_main!(benches);
