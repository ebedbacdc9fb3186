//! A step of AdamW beside candle's, as both are called: by gradients in a `GradStore`.
//!
//! `cargo bench -p lanestep-candle` takes half a minute. The two step in turns, as the machine's moods weigh more than what is to be
//! seen, and have the same gradients. What is claimed is the ratio of their medians within one run.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Optimizer, ParamsAdamW};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lanestep_candle::lanestep;
use std::time::{Duration, Instant};

/// A language model of 10 million parameters: what it embeds, and eight blocks.
fn model() -> Vec<Vec<usize>> {
    let block = [
        vec![256],
        vec![256],
        vec![768, 256],
        vec![768],
        vec![256, 256],
        vec![256],
        vec![256],
        vec![256],
        vec![1024, 256],
        vec![1024],
        vec![256, 1024],
        vec![256],
    ];
    let words = if cfg!(debug_assertions) { 16 } else { 14_500 };
    let blocks = if cfg!(debug_assertions) { 1 } else { 8 };
    [vec![vec![words, 256]], vec![block.to_vec(); blocks].concat()].concat()
}

fn small() -> Vec<Vec<usize>> {
    vec![vec![64]; if cfg!(debug_assertions) { 200 } else { 2000 }]
}

/// An optimizer with variables of its own.
struct Run<O> {
    vars: Vec<Var>,
    grads: GradStore,
    optimizer: O,
}

impl<O: Optimizer> Run<O> {
    fn new(shapes: &[Vec<usize>], config: O::Config) -> Result<Self> {
        let mut rng = fastrand::Rng::with_seed(0);
        let mut random = |shape: &Vec<usize>| {
            let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| rng.f32() - 0.5).collect();
            Tensor::from_vec(numbers, &**shape, &Device::Cpu)
        };
        let mut grads = Tensor::zeros((), DType::F32, &Device::Cpu)?.backward()?;
        let mut vars = Vec::new();
        for shape in shapes {
            let var = Var::from_tensor(&random(shape)?)?;
            grads.insert(&var, random(shape)?);
            vars.push(var);
        }
        let optimizer = O::new(vars.clone(), config)?;
        Ok(Self { vars, grads, optimizer })
    }

    fn step(&mut self) -> Duration {
        let start = Instant::now();
        self.optimizer.step(&self.grads).expect("gradients of these variables");
        start.elapsed()
    }
}

/// Both are at the same place after three steps.
fn check(ours: &[Var], theirs: &[Var]) -> Result<()> {
    for (a, b) in ours.iter().zip(theirs) {
        let far = (a.as_tensor() - b.as_tensor())?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        assert!(far < 1e-6, "{far} from what candle has");
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn row(c: &mut Criterion, name: &str, shapes: &[Vec<usize>]) -> Result<()> {
    let params: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
    let mut ours = Run::<lanestep_candle::AdamW>::new(shapes, lanestep::AdamW::default())?;
    let mut theirs = Run::<candle_nn::AdamW>::new(shapes, ParamsAdamW::default())?;
    for _ in 0..3 {
        ours.step();
        theirs.step();
    }
    check(&ours.vars, &theirs.vars)?;

    let mut times = [vec![], vec![]];
    let mut group = c.benchmark_group("AdamW");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(8))
        .throughput(Throughput::Elements(params as u64));
    group.bench_function(name, |b| {
        b.iter_custom(|iterations| {
            let before = times[0].len();
            for _ in 0..iterations {
                times[1].push(theirs.step());
                times[0].push(ours.step());
            }
            times[0][before..].iter().sum()
        });
    });
    group.finish();
    if times[0].is_empty() {
        return Ok(()); // filtered out
    }
    let [ours, theirs] = times.each_mut().map(|times| median(times));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{name}: {params} parameters in {} variables; candle {theirs:.2?}, lanestep {ours:.2?}: {ratio:.1} x",
        shapes.len()
    );
    Ok(())
}

fn step(c: &mut Criterion) {
    row(c, "a model", &model()).expect("memory");
    row(c, "many small variables", &small()).expect("memory");
}

criterion_group!(benches, step);
criterion_main!(benches);
